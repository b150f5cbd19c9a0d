package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// cores are the two CPU cores of a measurement.
type cores struct {
	server, load int
	shared       bool // what is started may use both
}

// pinSelf takes the first two cores that this process may use and moves all
// its threads to the second one.
func pinSelf() (cores, error) {
	var may unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		return cores{}, fmt.Errorf("read the CPU affinity: %w", err)
	}
	var found []int
	for i := 0; len(found) < 2 && i < 8*len(may)*8; i++ {
		if may.IsSet(i) {
			found = append(found, i)
		}
	}
	if len(found) < 2 {
		return cores{}, errors.New("there is only one CPU core")
	}
	runtime.GOMAXPROCS(1)
	c := cores{server: found[0], load: found[1]}
	// Twice: a thread may have been started by one that was not moved yet.
	for range 2 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return cores{}, fmt.Errorf("list the threads: %w", err)
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				continue
			}
			if err := pinThread(id, c.load); err != nil && !errors.Is(err, unix.ESRCH) {
				return cores{}, err
			}
		}
	}
	return c, nil
}

func pinThread(id int, cores ...int) error {
	var set unix.CPUSet
	for _, core := range cores {
		set.Set(core)
	}
	if err := unix.SchedSetaffinity(id, &set); err != nil {
		return fmt.Errorf("pin a thread to CPU %d: %w", cores, err)
	}
	return nil
}

// startPinned starts the command on the server's core: a child inherits the
// affinity of the thread that starts it.
func startPinned(cmd *exec.Cmd, c cores) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	on := []int{c.server}
	if c.shared {
		on = append(on, c.load)
	}
	if err := pinThread(0, on...); err != nil {
		return err
	}
	err := cmd.Start()
	return errors.Join(err, pinThread(0, c.load))
}

// fdatasync makes the file's content durable.
func fdatasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
