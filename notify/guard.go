package notify

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"syscall"

	"github.com/konlog/konlog/store"
)

// errNotPublic is matched by the error of a connection that was not made
// because of where it would have led.
var errNotPublic = errors.New("is not a public address")

// refused are the networks inside the public ranges that are not somebody's
// server on the internet.
var refused = prefixes(
	"0.0.0.0/8",        // this host
	"10.0.0.0/8",       // private
	"100.64.0.0/10",    // between a provider and its customers
	"127.0.0.0/8",      // loopback
	"168.63.129.16/32", // Azure's host, which hands out credentials
	"169.254.0.0/16",   // link-local; the metadata services of clouds
	"172.16.0.0/12",    // private
	"192.0.0.0/24",     // protocol assignments; Oracle's metadata service
	"192.0.2.0/24",     // documentation
	"192.88.99.0/24",   // relays of 6to4
	"192.168.0.0/16",   // private
	"198.18.0.0/15",    // benchmarks
	"198.51.100.0/24",  // documentation
	"203.0.113.0/24",   // documentation
	"224.0.0.0/4",      // multicast
	"240.0.0.0/4",      // reserved, and broadcast
	"2001::/23",        // protocol assignments, Teredo among them, which wraps IPv4
	"2001:db8::/32",    // documentation
	"3fff::/20",        // documentation
)

var (
	globalUnicast = netip.MustParsePrefix("2000::/3")     // all of IPv6 that is handed out
	sixToFour     = netip.MustParsePrefix("2002::/16")    // an IPv4 address from the third byte on
	nat64         = netip.MustParsePrefix("64:ff9b::/96") // an IPv4 address at the end
)

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// public reports whether anybody on the internet could reach the address. One
// that wraps an IPv4 address is what that one is.
func public(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	if a.Is6() {
		b := a.As16()
		switch {
		case nat64.Contains(a):
			return public(netip.AddrFrom4([4]byte(b[12:16])))
		case sixToFour.Contains(a):
			return public(netip.AddrFrom4([4]byte(b[2:6])))
		case !globalUnicast.Contains(a): // loopback, private, link-local, multicast, mapped in other ways
			return false
		}
	}
	for _, p := range refused {
		if p.Contains(a) {
			return false
		}
	}
	return a.IsValid()
}

// control is asked by the dialer after the name was resolved, for each address
// that it is about to connect to: a name that led elsewhere a moment ago makes
// no difference.
func control(network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !strings.HasPrefix(network, "tcp") {
		return fmt.Errorf("%s %s: %w", network, address, errNotPublic)
	}
	if !public(to.Addr()) {
		return fmt.Errorf("%s %w", to.Addr(), errNotPublic)
	}
	return nil
}

// CheckURL refuses a URL that names a place which is not public. One whose
// name leads there passes: names are resolved when there is something to send.
func (s *Sender) CheckURL(raw string) error {
	if s.options.AllowPrivate {
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return store.Errorf(store.CodeInvalidWebhook, "the url is malformed")
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return notPublic(host)
	}
	if a, err := netip.ParseAddr(host); err == nil && !public(a) {
		return notPublic(host)
	}
	return nil
}

func notPublic(host string) error {
	return store.Errorf(store.CodeWebhookURL, "%.80s %w; the operator can allow such receivers (webhooks.allow-private)", host, errNotPublic)
}
