package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/konlog/konlog/store"
)

func TestScopeRules(t *testing.T) {
	file := writeConfig(t, `
[retention]
age = "30d"
events = 500
scopes = ["ci-*=age:7d bytes:1MiB", "a=b=events:0", "=age:1h"]
[quota]
session-bytes = "5MiB"
scopes = ["team-*=sessions:3 bytes:1GiB", "*=session-bytes:0"]
`)
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	addFlags(flags, serverSetting)
	c, err := resolve(flags, lookup(nil), file)
	if err != nil {
		t.Fatal(err)
	}
	wantRetention := []store.ScopeRetention{
		{Pattern: "ci-*", Retention: store.Retention{Age: 7 * day, Events: 500, Bytes: 1 << 20}},
		{Pattern: "a=b", Retention: store.Retention{Age: 30 * day, Events: 0, Bytes: 1 << 30}},
		{Pattern: "", Retention: store.Retention{Age: time.Hour, Events: 500, Bytes: 1 << 30}},
	}
	if got := retentionScopes(c); !reflect.DeepEqual(got, wantRetention) {
		t.Errorf("retention: got %+v, want %+v", got, wantRetention)
	}
	wantQuotas := store.Quotas{SessionBytes: 5 << 20, Scopes: []store.ScopeQuota{
		{Pattern: "team-*", Sessions: 3, Bytes: 1 << 30, SessionBytes: 5 << 20},
		{Pattern: "*"},
	}}
	if got := quotas(c); !reflect.DeepEqual(got, wantQuotas) {
		t.Errorf("quotas: got %+v, want %+v", got, wantQuotas)
	}
	flags = pflag.NewFlagSet("test", pflag.ContinueOnError)
	addFlags(flags, serverSetting)
	if err := flags.Parse([]string{"--quota-scopes", "a=sessions:1", "--quota-scopes", "b=bytes:2KiB"}); err != nil {
		t.Fatal(err)
	}
	if c, err = resolve(flags, lookup(nil), ""); err != nil || len(quotas(c).Scopes) != 2 {
		t.Errorf("a flag that is repeated: %+v, %v", quotas(c).Scopes, err)
	}
}

func TestScopeRulesRefused(t *testing.T) {
	for _, text := range []string{"team", "team=", "team=age:7d", "team=sessions:-1", "team=sessions:x", "team=bytes:5parsecs", "team=sessions", "team=sessions:1,bytes:2", strings.Repeat("x", 200) + "=sessions:1"} {
		_, err := parseRules(keyQuotaScopes, text)
		if err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	_, err := parseRules(keyRetentionScopes, "team=sessions:1")
	if err == nil || !strings.Contains(err.Error(), "age:7d bytes:1GiB events:1000") {
		t.Errorf("the refusal does not show the form: %v", err)
	}
}
