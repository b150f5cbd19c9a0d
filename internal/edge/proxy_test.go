package edge

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	proxyStartMax = 30 * time.Second
	proxyStopMax  = 20 * time.Second
)

// kind is one of the proxies of the documentation.
type kind struct {
	name, program string
	file          string // of deploy/proxy
	// replace is what of the file is this test's own; every old one must be there.
	replace func(r *rig, addr string, idle time.Duration) []string
	// around puts a main configuration around the file, if it has none.
	around func(r *rig, path string) string
	args   func(path string) []string
	// alone are pairs with which the file does without what konlog says itself
	// against collecting; collects are those with which it collects. Or nil.
	alone, collects []string
}

var kinds = []kind{
	{
		name: "nginx", program: "nginx", file: "nginx.conf",
		replace: func(r *rig, addr string, idle time.Duration) []string {
			return []string{
				"server 127.0.0.1:8787;", "server " + r.addr + ";",
				"listen 443 ssl", "listen " + addr + " ssl",
				"/etc/ssl/konlog.pem", filepath.Join(r.dir, "proxy.pem"),
				"/etc/ssl/konlog.key", filepath.Join(r.dir, "proxy.key"),
				"timeout 60s;", "timeout " + millis(idle) + ";",
			}
		},
		around: func(r *rig, path string) string {
			user := ""
			if os.Geteuid() == 0 {
				user = "user root;" // else its workers could not write into the rig's folder
			}
			return user + fmt.Sprintf(` daemon off; worker_processes 1; pid %[1]s/nginx.pid; error_log stderr warn;
				events { worker_connections 512; }
				http {
					access_log off;
					client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
					include %[2]s;
				}`, r.dir, path)
		},
		args:     func(path string) []string { return []string{"-e", "stderr", "-c", path} },
		alone:    []string{"proxy_http_version 1.1;", "proxy_http_version 1.1; proxy_ignore_headers X-Accel-Buffering;"},
		collects: []string{"proxy_buffering off;", "proxy_buffering on;"},
	},
	{
		name: "HAProxy", program: "haproxy", file: "haproxy.cfg",
		replace: func(r *rig, addr string, idle time.Duration) []string {
			return []string{
				"server konlog 127.0.0.1:8787", "server konlog " + r.addr,
				"bind :443", "bind " + addr,
				"/etc/ssl/konlog.pem", filepath.Join(r.dir, "both.pem"),
				"maxconn 40000", "maxconn 400",
				"timeout client 60s", "timeout client " + millis(idle),
				"timeout server 60s", "timeout server " + millis(idle),
				"timeout tunnel 60s", "timeout tunnel " + millis(idle),
			}
		},
		args: func(path string) []string { return []string{"-db", "-f", path} },
	},
	{
		name: "Caddy", program: "caddy", file: "Caddyfile",
		replace: func(r *rig, addr string, _ time.Duration) []string {
			_, port, _ := net.SplitHostPort(addr)
			return []string{
				"grace_period 10s", "grace_period 100ms\n\tadmin off\n\tauto_https off",
				"konlog.example.org {", "https://konlog.example.org:" + port + " {\n\tbind 127.0.0.1\n\ttls " + filepath.Join(r.dir, "proxy.pem") + " " + filepath.Join(r.dir, "proxy.key"),
				"reverse_proxy 127.0.0.1:8787", "reverse_proxy " + r.addr,
			}
		},
		args: func(path string) []string { return []string{"run", "--adapter", "caddyfile", "--config", path} },
	},
}

func millis(d time.Duration) string { return fmt.Sprintf("%dms", d.Milliseconds()) }

// proxy is a running one.
type proxy struct {
	kind   kind
	rig    *rig
	addr   string
	config string
	cmd    *exec.Cmd
	ended  chan struct{}
	output *bytes.Buffer // read it when the process has ended
}

// eachProxy runs the test behind every proxy that is installed.
func eachProxy(t *testing.T, test func(t *testing.T, k kind)) {
	for _, k := range kinds {
		k.run(t, test)
	}
}

// run runs the test, if the proxy is installed. Caddy need not be, in CI
// neither: not every system has it.
func (k kind) run(t *testing.T, test func(t *testing.T, k kind)) {
	t.Run(k.name, func(t *testing.T) {
		if _, err := exec.LookPath(k.program); err != nil {
			if os.Getenv("CI") == "true" && k.name != "Caddy" {
				t.Fatalf("%s is not installed, and CI tests it", k.name)
			}
			t.Skipf("%s is not installed", k.name)
		}
		test(t, k)
	})
}

// startProxy runs a proxy before the rig. idle is what its timeouts of silence
// are set to; Caddy has none. more are further pairs to replace.
func startProxy(t *testing.T, r *rig, k kind, idle time.Duration, more ...string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{kind: k, rig: r, addr: l.Addr().String()}
	_ = l.Close()
	text, err := os.ReadFile(filepath.Join("../../deploy/proxy", k.file))
	if err != nil {
		t.Fatal(err)
	}
	config, pairs := string(text), append(k.replace(r, p.addr, idle), more...)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(config, pairs[i]) {
			t.Fatalf("%s has no %q any more", k.file, pairs[i])
		}
		config = strings.ReplaceAll(config, pairs[i], pairs[i+1])
	}
	p.config = filepath.Join(r.dir, k.file)
	if err := os.WriteFile(p.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if k.around != nil {
		main := filepath.Join(r.dir, "main.conf")
		if err := os.WriteFile(main, []byte(k.around(r, p.config)), 0o600); err != nil {
			t.Fatal(err)
		}
		p.config = main
	}
	p.start(t)
	t.Cleanup(func() { p.stop(t) })
	return p
}

func (p *proxy) start(t *testing.T) {
	t.Helper()
	p.output, p.ended = new(bytes.Buffer), make(chan struct{})
	p.cmd = exec.Command(p.kind.program, p.kind.args(p.config)...)
	p.cmd.Env = append(os.Environ(), "HOME="+p.rig.dir, "XDG_DATA_HOME="+p.rig.dir, "XDG_CONFIG_HOME="+p.rig.dir)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd, ended := p.cmd, p.ended
	go func() { defer close(ended); _ = cmd.Wait() }()
	deadline, cancel := context.WithTimeout(t.Context(), proxyStartMax)
	defer cancel()
	for {
		conn, err := net.Dial("tcp", p.addr)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended:\n%s", p.kind.name, p.output)
		case <-deadline.Done():
			p.stop(t)
			t.Fatalf("%s does not listen: %v\n%s", p.kind.name, err, p.output)
		case <-time.After(10 * time.Millisecond): // another process: there is nothing to wait on but its port
		}
	}
}

// stop ends it at once, as a crash does: connections are cut.
func (p *proxy) stop(t *testing.T) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // for nginx the fast one; it takes its workers with it
	select {
	case <-p.ended:
	case <-time.After(proxyStopMax):
		_ = p.cmd.Process.Kill()
		<-p.ended
		t.Errorf("%s did not end", p.kind.name)
	}
}

func (p *proxy) restart(t *testing.T) {
	t.Helper()
	p.stop(t)
	p.start(t)
}

// url is the address of a path behind the proxy, under its public name.
func (p *proxy) url(path string) string { return "https://" + publicHost + p.port() + path }

func (p *proxy) port() string {
	_, port, _ := net.SplitHostPort(p.addr)
	return ":" + port
}

// browser comes to the proxy from clientAddr.
func (p *proxy) browser(t *testing.T) *http.Client {
	t.Helper()
	return p.rig.browser(t, p.addr, clientAddr)
}
