//go:build unix

package run

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// childSwitch makes the test binary play another program: the value is its part.
const childSwitch = "KONLOG_TEST_CHILD"

// init and not TestMain: a guard and an agent need nothing of the tests.
func init() {
	part := os.Getenv(childSwitch)
	if part == "" {
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "guard" {
		os.Exit(GuardMain(os.Args[2:]))
	}
	time.AfterFunc(time.Minute, func() { os.Exit(99) }) // a test that failed leaves nothing for long
	play(part, os.Args[1:])
	os.Exit(0)
}

func play(part string, args []string) {
	switch part {
	case "echo": // what it reads
		_, _ = io.Copy(os.Stdout, os.Stdin)
	case "exit":
		code, _ := strconv.Atoi(args[0])
		os.Exit(code)
	case "die": // by a signal
		n, _ := strconv.Atoi(args[0])
		_ = syscall.Kill(os.Getpid(), syscall.Signal(n))
		select {}
	case "stderr":
		_, _ = os.Stderr.WriteString(args[0])
	case "flags": // of its standard streams
		for fd := range 3 {
			flags, _, _ := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFL, 0)
			fmt.Println(fd, flags&syscall.O_NONBLOCK)
		}
		fmt.Println(inherited())
	case "environ":
		fmt.Println(strings.Join(os.Environ(), "\n"))
		wd, _ := os.Getwd()
		fmt.Println("dir", wd, "args", os.Args)
	case "signals": // tells of those it gets, and ends with SIGTERM
		got := make(chan os.Signal, 8)
		signal.Notify(got, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
		fmt.Println("ready")
		for s := range got {
			fmt.Println(s)
			if s == syscall.SIGTERM {
				os.Exit(7)
			}
		}
	case "deaf":
		_ = os.Stdin.Close()
		fmt.Println("deaf")
		select {}
	case "sleep":
		fmt.Println("asleep")
		select {}
	case "fill": // more than a pipe holds, and out
		line := strings.Repeat("x", 999) + "\n"
		n, _ := strconv.Atoi(args[0])
		for range n {
			_, _ = os.Stdout.WriteString(line)
		}
	case "family":
		family(args)
	case "mute": // a child that no polite signal ends
		signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
		select {}
	case "flood":
		for text := bytes.Repeat([]byte("flood\n"), 1000); ; {
			_, _ = os.Stdout.Write(text)
		}
	case "chatter":
		for range time.Tick(20 * time.Millisecond) {
			fmt.Println("chatter")
		}
	case "runner":
		playRunner(args)
	}
}

// inherited lists the open files that a program started from here gets.
func inherited() (fds []int) {
	for fd := 3; fd < 64; fd++ {
		if on, _, err := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0); err == 0 && on&syscall.FD_CLOEXEC == 0 {
			fds = append(fds, fd)
		}
	}
	return fds
}

// family starts a child in its group, one in a session of its own and one
// whose parent is gone, prints their pids, and stays, or leaves, or chatters.
func family(args []string) {
	pids := []string{strconv.Itoa(os.Getpid())}
	out := os.Stdout // they hold the pipe, but of a family that stays
	if args[0] == "stay" {
		out = nil
	}
	child := func(newSession bool, part string) *os.Process {
		p, err := os.StartProcess(self(), []string{"child"}, &os.ProcAttr{
			Env: replaceEnv(os.Environ(), childSwitch, part), Files: []*os.File{nil, out, nil},
			Sys: &syscall.SysProcAttr{Setsid: newSession},
		})
		if err != nil {
			panic(err)
		}
		return p
	}
	if args[0] == "between" {
		fmt.Println(child(true, "mute").Pid)
		os.Exit(0)
	}
	part := "mute"
	if args[0] == "chatter" || args[0] == "flood" {
		part = args[0]
	}
	pids = append(pids, strconv.Itoa(child(false, part).Pid), strconv.Itoa(child(true, "mute").Pid))
	r, w, _ := os.Pipe()
	between, err := os.StartProcess(self(), []string{"child", "between"}, &os.ProcAttr{
		Env: os.Environ(), Files: []*os.File{nil, w, nil}, Sys: &syscall.SysProcAttr{},
	})
	if err != nil {
		panic(err)
	}
	_ = w.Close()
	line, _ := bufio.NewReader(r).ReadString('\n')
	_, _ = between.Wait()
	pids = append(pids, strings.TrimSpace(line))
	fmt.Println("\npids", strings.Join(pids, " ")) // in a line of its own, whatever a child has printed
	if args[0] == "stay" {
		select {}
	}
}

// playRunner is a runner to be killed: it starts a family and tells their pids.
func playRunner(args []string) {
	p, err := startProcess(testSpec("family", args...))
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("guard", p.group.leader.Pid)
	go func() { _, _ = io.Copy(os.Stdout, p.Stdout()) }()
	select {}
}

func self() string {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return exe
}

func replaceEnv(env []string, name, value string) []string {
	return lastOfEach(append(append([]string{}, env...), name+"="+value))
}

// testSpec plays a part behind a guard.
func testSpec(part string, args ...string) processSpec {
	return processSpec{
		Args:  append([]string{self()}, args...),
		Env:   replaceEnv(os.Environ(), childSwitch, part),
		Guard: []string{self(), "guard"},
	}
}
