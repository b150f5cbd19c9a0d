package notify

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
	"github.com/konlog/konlog/stream"
)

// addresses says of each what the guard must say.
var addresses = map[string]bool{
	"93.184.216.34": true, "8.8.8.8": true, "100.63.255.255": true, "100.128.0.1": true, "172.15.0.1": true, "172.32.0.1": true, "192.0.1.1": true, "223.255.255.255": true,
	"2606:4700:4700::1111": true, "2a00:1450:4001::200e": true, "2001:200::1": true,
	"::ffff:8.8.8.8": true, "64:ff9b::808:808": true, "2002:808:808::1": true,

	"127.0.0.1": false, "127.255.255.254": false, "0.0.0.0": false, "0.1.2.3": false, "10.1.2.3": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false,
	"169.254.169.254": false, "100.64.0.1": false, "100.100.100.200": false, "100.127.255.255": false, "192.0.0.192": false, "192.0.2.1": false, "198.18.0.1": false, "198.19.255.255": false,
	"198.51.100.1": false, "203.0.113.1": false, "192.88.99.1": false, "224.0.0.1": false, "239.255.255.255": false, "240.0.0.1": false, "255.255.255.255": false, "168.63.129.16": false,
	"::": false, "::1": false, "::7f00:1": false, "fe80::1": false, "fe80::1%eth0": false, "febf::1": false, "fec0::1": false, "fc00::1": false, "fd00:ec2::254": false, "ff02::1": false, "100::1": false,
	"2001:db8::1": false, "3fff::1": false, "2001::1": false, "2001:0:4136:e378:8000:63bf:3fff:fdd2": false, "5f00::1": false, "4000::1": false,
	"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:169.254.169.254": false, "::ffff:0:7f00:1": false,
	"64:ff9b::7f00:1": false, "64:ff9b::a9fe:a9fe": false, "64:ff9b::a00:1": false, "64:ff9b:1::808:808": false, "2002:7f00:1::1": false, "2002:a9fe:a9fe::1": false, "2002:c0a8:101::1": false,
}

func TestGuardAddresses(t *testing.T) {
	for text, want := range addresses {
		a := netip.MustParseAddr(text)
		if got := public(a); got != want {
			t.Errorf("%s: got public %t, want %t", text, got, want)
		}
		err := control("tcp", netip.AddrPortFrom(a, 443).String(), nil)
		if (err == nil) != want || err != nil && !errors.Is(err, errNotPublic) {
			t.Errorf("dial %s: %v", text, err)
		}
	}
	for _, c := range [][2]string{{"udp", "8.8.8.8:53"}, {"unix", "/run/x"}, {"tcp", "8.8.8.8"}, {"tcp", ""}} {
		if control(c[0], c[1], nil) == nil {
			t.Errorf("%s %q was let through", c[0], c[1])
		}
	}
}

func FuzzGuard(f *testing.F) {
	for text := range addresses {
		b := netip.MustParseAddr(text).As16()
		f.Add(b[:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if !ok || !public(a) {
			return
		}
		for _, v := range []netip.Addr{a, a.Unmap()} { // what the standard library knows of must not pass
			if v.IsLoopback() || v.IsPrivate() || v.IsLinkLocalUnicast() || v.IsMulticast() || v.IsUnspecified() || !v.IsGlobalUnicast() {
				t.Fatalf("%s is public", v)
			}
		}
	})
}

func TestCheckURL(t *testing.T) {
	s := &Sender{}
	for raw, want := range map[string]bool{
		"https://example.org/x": true, "http://8.8.8.8/": true, "http://[2606:4700:4700::1111]:8080/": true, "http://localhost.example.org": true,
		"http://localhost/": false, "http://LOCALHOST:80/": false, "http://localhost./": false, "http://a.localhost/": false, "http://127.0.0.1:8787/": false, "http://127.0.0.1./": false,
		"http://[::1]/": false, "http://[::ffff:10.0.0.1]/": false, "http://[fe80::1%25eth0]/": false, "http://169.254.169.254/latest": false, "http://0.0.0.0": false,
	} {
		err := s.CheckURL(raw)
		if (err == nil) != want || err != nil && store.CodeOf(err) != store.CodeWebhookURL {
			t.Errorf("%s: %v", raw, err)
		}
	}
	open := &Sender{options: Options{AllowPrivate: true}}
	if err := open.CheckURL("http://127.0.0.1/"); err != nil {
		t.Errorf("private receivers are allowed: %v", err)
	}
	if store.CodeOf(s.CheckURL("http://a b")) != store.CodeInvalidWebhook {
		t.Error("a broken url passed")
	}
}

// dnsServer answers every question for an address with the one given, as a
// resolver over a stream.
func dnsServer(address *atomic.Value) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			for {
				var size [2]byte
				if _, err := io.ReadFull(far, size[:]); err != nil {
					return
				}
				q := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(far, q); err != nil {
					return
				}
				end := 12
				for q[end] != 0 {
					end += int(q[end]) + 1
				}
				end += 5 // the root, type and class
				a := append([]byte{}, q[:end]...)
				copy(a[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}) // one question, no answer
				if q[end-3] == 1 {                                      // type A
					a[7] = 1
					a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
					ip := netip.MustParseAddr(address.Load().(string)).As4()
					a = append(a, ip[:]...)
				}
				if _, err := far.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...)); err != nil {
					return
				}
			}
		}()
		return near, nil
	}}
}

// TestGuardAfterResolution has a harmless name that leads to loopback, where a
// receiver listens that must not be reached.
func TestGuardAfterResolution(t *testing.T) {
	var reached atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer target.Close()
	_, port, _ := net.SplitHostPort(target.Listener.Addr().String())
	var address atomic.Value
	address.Store("127.0.0.1")
	hub := stream.NewHub()
	log := memory.New(memory.Options{Committed: hub.Committed})
	w, err := log.CreateWebhook(ctx, store.WebhookSpec{URL: "http://harmless.example.org:" + port + "/"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HTTP_PROXY", target.URL) // must not be asked
	guarded := Start(Options{Log: log, Webhooks: log, Hub: hub, Resolver: dnsServer(&address)})
	defer guarded.Close()
	if err := guarded.CheckURL(w.URL); err != nil {
		t.Fatalf("the name alone is harmless: %v", err)
	}
	for _, to := range []string{"127.0.0.1", "169.254.169.254", "10.0.0.1"} {
		address.Store(to)
		o, err := guarded.Test(ctx, w)
		if err != nil || o.Status != 0 || !strings.Contains(o.Error, "is not a public address") {
			t.Errorf("name that leads to %s: %+v, %v", to, o, err)
		}
	}
	if reached.Load() != 0 {
		t.Fatal("the receiver on loopback was reached")
	}
	address.Store("127.0.0.1")
	open := Start(Options{Log: log, Webhooks: log, Hub: hub, Resolver: dnsServer(&address), AllowPrivate: true})
	defer open.Close()
	if o, err := open.Test(ctx, w); err != nil || o.Status != 200 || reached.Load() != 1 {
		t.Errorf("allowed: %+v, %v", o, err)
	}
}

// TestRealHTTP goes over a socket: signed, in order, no redirect followed, a
// large answer not read to its end.
func TestRealHTTP(t *testing.T) {
	var elsewhere atomic.Int64
	seen := make(chan got, 8)
	var target *httptest.Server
	target = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, target.URL+"/elsewhere", http.StatusTemporaryRedirect)
		case "/elsewhere":
			elsewhere.Add(1)
		case "/endless":
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		default:
			text, _ := io.ReadAll(r.Body)
			seen <- got{at: time.Now(), head: r.Header, text: string(text)}
		}
	}))
	defer target.Close()
	hub := stream.NewHub()
	log := memory.New(memory.Options{Committed: hub.Committed})
	s := Start(Options{Log: log, Webhooks: log, Hub: hub, AllowPrivate: true})
	defer s.Close()
	w, err := log.CreateWebhook(ctx, store.WebhookSpec{URL: target.URL + "/hook?token=t"})
	if err != nil {
		t.Fatal(err)
	}
	s.Changed()
	for _, turn := range []string{"r-1", "r-2"} {
		_, err := log.Append(ctx, "s1", store.AppendOptions{}, store.Draft{Type: "turn_start", Turn: turn}, store.Draft{Type: "turn_end", Turn: turn, Data: []byte(`{"success":true}`)})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{`"turn":"r-1"`, `"turn":"r-2"`} {
		g := <-seen
		if !strings.Contains(g.text, want) || !strings.Contains(g.text, `"event":{"id":`) {
			t.Errorf("got %s, want %s", g.text, want)
		}
		sent, err := strconv.ParseInt(g.head.Get("webhook-timestamp"), 10, 64)
		if age := time.Since(time.Unix(sent, 0)); err != nil || age < 0 || age > time.Minute {
			t.Errorf("sent %s ago, %v", age, err)
		}
		g.at = time.Unix(sent, 0)
		verify(t, w.Secret, g)
	}
	w.URL = target.URL + "/redirect"
	if o, err := s.Test(ctx, w); err != nil || o.Status != 307 || elsewhere.Load() != 0 {
		t.Errorf("redirect: %+v, %v, followed %d times", o, err, elsewhere.Load())
	}
	w.URL = target.URL + "/endless"
	if o, err := s.Test(ctx, w); err != nil || o.Status != 200 {
		t.Errorf("endless answer: %+v, %v", o, err)
	}
	target.CloseClientConnections()
	w.URL = "http://user:pass@127.0.0.1:1/token"
	if o, err := s.Test(ctx, w); err != nil || o.Status != 0 || strings.Contains(o.Error, "token") || strings.Contains(o.Error, "pass") {
		t.Errorf("refused connection: %+v, %v", o, err)
	}
}
