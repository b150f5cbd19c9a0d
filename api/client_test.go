package api

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func prefixes(texts ...string) (nets []netip.Prefix) {
	for _, text := range texts {
		nets = append(nets, netip.MustParsePrefix(text))
	}
	return nets
}

// TestClientAddr: an address is believed as far to the left as the chain of
// trusted proxies goes, and never what a stranger says.
func TestClientAddr(t *testing.T) {
	const stranger, proxy = "203.0.113.9:5000", "10.0.0.1:5000"
	cases := []struct {
		name, peer string
		values     []string
		want       string
	}{
		{"no proxy", stranger, nil, "203.0.113.9"},
		{"a stranger's word", stranger, []string{"192.0.2.1"}, "203.0.113.9"},
		{"the proxy's word", proxy, []string{"192.0.2.1"}, "192.0.2.1"},
		{"the client's own to the left", proxy, []string{"198.51.100.7, 192.0.2.1"}, "192.0.2.1"},
		{"in a header of its own", proxy, []string{"198.51.100.7", "192.0.2.1"}, "192.0.2.1"},
		{"two proxies", proxy, []string{"192.0.2.1, 10.0.0.2"}, "192.0.2.1"},
		{"two proxies and a lie", proxy, []string{"127.0.0.1, 192.0.2.1, 10.0.0.2"}, "192.0.2.1"},
		{"only proxies", proxy, []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"nothing said", proxy, nil, "10.0.0.1"},
		{"empty", proxy, []string{""}, "10.0.0.1"},
		{"no address", proxy, []string{"192.0.2.1, unknown"}, "10.0.0.1"},
		{"no address behind a proxy", proxy, []string{"x, 10.0.0.2"}, "10.0.0.2"},
		{"with a port", proxy, []string{"192.0.2.1:1234"}, "192.0.2.1"},
		{"IPv6", proxy, []string{"2001:db8::1"}, "2001:db8::1"},
		{"IPv6 in brackets", proxy, []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"IPv6 with a port", proxy, []string{"[2001:db8::1]:99"}, "2001:db8::1"},
		{"IPv6 with a zone", proxy, []string{"fe80::1%eth0"}, "fe80::1"},
		{"IPv4 in IPv6", proxy, []string{"::ffff:192.0.2.1"}, "192.0.2.1"},
		{"a proxy over IPv4 in IPv6", "[::ffff:10.0.0.1]:1", []string{"192.0.2.1"}, "192.0.2.1"},
		{"over a Unix socket", "@", []string{"192.0.2.1"}, "127.0.0.1"},
		{"too many hops", proxy, []string{"192.0.2.1" + strings.Repeat(", 10.0.0.2", hopsMax)}, "10.0.0.2"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, header := range []string{HeaderXForwardedFor, HeaderForwarded} {
				s := &Server{cfg: Config{TrustedProxies: prefixes("10.0.0.0/8"), ProxyHeader: header}}
				r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
				for _, v := range c.values {
					if header == HeaderForwarded {
						v = elements(v)
					}
					r.Header.Add(header, v)
				}
				if got := ClientAddr(s.withClient(r)).String(); got != c.want {
					t.Errorf("%s %q from %s: %s, want %s", header, r.Header[header], c.peer, got, c.want)
				}
			}
		})
	}
	if got := ClientAddr(&http.Request{RemoteAddr: stranger}).String(); got != "203.0.113.9" {
		t.Errorf("without the guard: %s", got)
	}
	loopback := &Server{cfg: Config{TrustedProxies: prefixes("127.0.0.0/8")}}
	if got := ClientAddr(loopback.withClient(&http.Request{RemoteAddr: "@", Header: http.Header{HeaderXForwardedFor: {"192.0.2.1"}}})).String(); got != "192.0.2.1" {
		t.Errorf("a trusted proxy over a Unix socket: %s", got)
	}
}

// elements writes a list of addresses as the header Forwarded has them.
func elements(list string) string {
	var all []string
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		if strings.ContainsAny(one, ":[%") {
			one = `"` + one + `"`
		}
		all = append(all, "For="+one)
	}
	return strings.Join(all, ", ")
}

// TestOneHeader: of the other family nothing is believed, which the proxy may
// pass on as the client wrote it.
func TestOneHeader(t *testing.T) {
	header := http.Header{
		HeaderXForwardedFor: {"192.0.2.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"x.example"},
		HeaderForwarded: {`for=192.0.2.2;proto=http;host="y.example:81"`},
	}
	for name, want := range map[string]client{
		"":                  {netip.MustParseAddr("192.0.2.1"), "https", "x.example"},
		HeaderXForwardedFor: {netip.MustParseAddr("192.0.2.1"), "https", "x.example"},
		HeaderForwarded:     {netip.MustParseAddr("192.0.2.2"), "http", "y.example:81"},
	} {
		s := &Server{cfg: Config{TrustedProxies: prefixes("10.0.0.0/8"), ProxyHeader: name}}
		if got := clientOf(s.withClient(&http.Request{RemoteAddr: "10.0.0.1:1", Host: "konlog", Header: header})); got != want {
			t.Errorf("%q: %+v, want %+v", name, got, want)
		}
		if got, want := clientOf(s.withClient(&http.Request{RemoteAddr: "11.0.0.1:1", Host: "konlog", Header: header})), (client{netip.MustParseAddr("11.0.0.1"), "http", "konlog"}); got != want {
			t.Errorf("%q from a stranger: %+v, want %+v", name, got, want)
		}
	}
}

func TestClientScheme(t *testing.T) {
	s := &Server{cfg: Config{TrustedProxies: prefixes("10.0.0.0/8")}}
	for _, c := range []struct {
		peer  string
		tls   bool
		proto []string
		want  string
	}{
		{"192.0.2.1:1", false, nil, "http"},
		{"192.0.2.1:1", true, nil, "https"},
		{"192.0.2.1:1", false, []string{"https"}, "http"},
		{"192.0.2.1:1", true, []string{"http"}, "https"},
		{"10.0.0.1:1", false, nil, "http"},
		{"10.0.0.1:1", false, []string{"HTTPS"}, "https"},
		{"10.0.0.1:1", true, []string{"http"}, "http"},
		{"10.0.0.1:1", false, []string{"https", "http"}, "http"}, // the last is the proxy's
		{"10.0.0.1:1", false, []string{"ws"}, "http"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-Proto": c.proto}}
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		if got := ClientScheme(s.withClient(r)); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestParseForwarded(t *testing.T) {
	for text, want := range map[string][]hop{
		"":              {},
		"for=192.0.2.1": {{"192.0.2.1", "", ""}},
		`FOR="[2001:db8::1]:47";Proto=https;by=x;host=a`: {{"[2001:db8::1]:47", "https", "a"}},
		"for=a, for=b;proto=http ,for=c":                 {{"a", "", ""}, {"b", "http", ""}, {"c", "", ""}},
		`for="a, for=b"`:                                 {{"a, for=b", "", ""}},
		`for="a\"b"`:                                     {{`a"b`, "", ""}},
		";for=a;;,":                                      {{"a", "", ""}},
		`for="a, for=b`:                                  nil,
		`for="a\`:                                        nil,
		"for":                                            nil,
		"=a":                                             nil,
		"for=":                                           nil,
		`for=a"b`:                                        nil,
		"for=a b":                                        nil,
		`for="a"b`:                                       nil,
		"f r=a":                                          nil,
	} {
		got, ok := parseForwarded(text)
		if ok != (want != nil) || len(got) != len(want) {
			t.Errorf("%q: %v, %v", text, got, ok)
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%q: %v", text, got)
			}
		}
	}
}

func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"", "for=a", `for="[::1]:1";proto=https, for=b`, `for="\`, ",;,", `a="b"c`} {
		f.Add(seed)
	}
	s := &Server{cfg: Config{TrustedProxies: prefixes("10.0.0.0/8"), ProxyHeader: HeaderForwarded}}
	f.Fuzz(func(t *testing.T, text string) {
		r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{HeaderForwarded: {text, "for=192.0.2.1"}}}
		c := clientOf(s.withClient(r))
		if !c.addr.IsValid() || c.scheme != "http" && c.scheme != "https" {
			t.Errorf("%q: %+v", text, c)
		}
		// Whatever a client writes to the left, the proxy's element counts or,
		// where the client broke the header, nobody's.
		if got := c.addr.String(); got != "192.0.2.1" && got != "10.0.0.1" {
			t.Errorf("%q is believed: %s", text, got)
		}
	})
}

func TestAddressKey(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "2001:db8:1:2:ffff::": "2001:db8:1:2::/64", "2001:db8:1:3::": "2001:db8:1:3::/64",
	} {
		if got := AddressKey(netip.MustParseAddr(addr)).String(); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
	if AddressKey(netip.Addr{}).IsValid() {
		t.Error("no address has a key")
	}
}

// TestForwardedHost: behind a proxy that rewrites Host the names are those
// that the client asked for.
func TestForwardedHost(t *testing.T) {
	r := newRig(t, Config{AllowedHosts: []string{"konlog.example"}, TrustedProxies: prefixes("127.0.0.0/8")})
	const origin = "https://konlog.example"
	wantStatus(t, r.post(eventsPath, `{"type":"text"}`, "Origin", origin, "X-Forwarded-Host", "konlog.example"), 201)
	wantCode(t, r.post(eventsPath, `{"type":"text"}`, "Origin", "https://evil.example", "X-Forwarded-Host", "konlog.example"), 403, codeOriginNotAllowed)
	wantCode(t, r.do("GET", "/healthz", nil, "X-Forwarded-Host", "evil.example"), 421, codeHostNotAllowed)
	strict := newRig(t, Config{AllowedHosts: []string{"konlog.example"}})
	wantCode(t, strict.post(eventsPath, `{"type":"text"}`, "Origin", origin, "X-Forwarded-Host", "konlog.example"), 403, codeOriginNotAllowed)
}

// forwardedFor is a chain of addresses as the header Forwarded has it.
func forwardedFor(chain string) string {
	var hops []string
	for by := range strings.SplitSeq(chain, ", ") {
		if strings.Contains(by, ":") {
			by = `"[` + by + `]"`
		}
		hops = append(hops, "for="+by)
	}
	return strings.Join(hops, ", ")
}

// A client behind a proxy on another machine cannot pass itself off as this
// one, whose addresses have no limits.
func TestForwardedLoopback(t *testing.T) {
	for _, c := range []struct{ peer, chain, want string }{
		{"10.0.0.1", "127.0.0.1", "10.0.0.1"},
		{"10.0.0.1", "127.0.0.1, 10.0.0.7", "10.0.0.7"},
		{"10.0.0.1", "::1, 10.0.0.7", "10.0.0.7"},
		{"127.0.0.1", "127.0.0.1, 10.0.0.7", "10.0.0.7"}, // the next proxy is elsewhere
		{"127.0.0.1", "127.0.0.9", "127.0.0.9"},          // the proxy is here, and so is who came to it
		{"127.0.0.1", "9.9.9.9", "9.9.9.9"},
	} {
		for header, value := range map[string]string{HeaderXForwardedFor: c.chain, HeaderForwarded: forwardedFor(c.chain)} {
			s := &Server{cfg: Config{TrustedProxies: prefixes("10.0.0.0/8", "127.0.0.1/32"), ProxyHeader: header}}
			r := &http.Request{RemoteAddr: c.peer + ":1", Header: http.Header{header: {value}}}
			if got := ClientAddr(s.withClient(r)).String(); got != c.want {
				t.Errorf("%s: %s over %s counts as %s, want %s", header, value, c.peer, got, c.want)
			}
		}
	}
}
