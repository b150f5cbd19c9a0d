package main

import (
	"fmt"
	"testing"
)

func TestTrustedProxies(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "[]",
		"loopback":                  "[127.0.0.0/8 ::1/128]",
		"10.1.2.3/8, 192.0.2.7":     "[10.0.0.0/8 192.0.2.7/32]",
		"2001:db8::/32,::1":         "[2001:db8::/32 ::1/128]",
		"::ffff:10.0.0.0/104":       "[10.0.0.0/8]",
		"loopback,fd00::/8,1.1.1.1": "[127.0.0.0/8 ::1/128 fd00::/8 1.1.1.1/32]",
	} {
		got, err := trustedProxies(edgeConfig(t, map[string]string{"HTTP_TRUSTED_PROXIES": text}))
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, header := range []string{"forwarded", "X-FORWARDED-FOR"} {
		if _, err := proxyHeader(edgeConfig(t, map[string]string{"HTTP_PROXY_HEADER": header})); err != nil {
			t.Error(err)
		}
	}
}
