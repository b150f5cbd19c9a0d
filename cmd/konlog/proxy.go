package main

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/konlog/konlog/api"
)

// loopbackNets are what the word loopback in http.trusted-proxies stands for.
// A Unix socket counts among them.
var loopbackNets = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// trustedProxies reads http.trusted-proxies.
func trustedProxies(c config) ([]netip.Prefix, error) {
	var nets []netip.Prefix
	for _, text := range c.list("http.trusted-proxies") {
		text = strings.TrimSpace(text)
		if text == "loopback" {
			nets = append(nets, loopbackNets...)
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, addrErr := netip.ParseAddr(text)
			if addrErr != nil || addr.Zone() != "" {
				return nil, usagef("setting http.trusted-proxies: %q is no network", text).because("list networks and addresses like 10.0.0.0/8 or 10.0.0.7, or loopback")
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		if prefix.Addr().Is4In6() { // clients' addresses are compared without that
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), max(prefix.Bits()-96, 0))
		}
		if prefix.Bits() == 0 {
			return nil, usagef("setting http.trusted-proxies: %s is everybody, who could then claim any address", text).because("list the networks of your proxies only")
		}
		nets = append(nets, prefix.Masked())
	}
	return nets, nil
}

// proxyHeader reads http.proxy-header.
func proxyHeader(c config) (string, error) {
	name := http.CanonicalHeaderKey(strings.TrimSpace(c.text("http.proxy-header")))
	if name != api.HeaderXForwardedFor && name != api.HeaderForwarded {
		return "", usagef("setting http.proxy-header: %q is not known", name).because("use %s, with which X-Forwarded-Proto and X-Forwarded-Host are believed too, or %s", api.HeaderXForwardedFor, api.HeaderForwarded)
	}
	return name, nil
}
