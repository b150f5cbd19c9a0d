package agent

import "bytes"

// bytesOf is a set of bytes.
type bytesOf [256]bool

// byteSet makes a set of single bytes and of ranges, such as "a-z0-9_-".
func byteSet(ranges string) (s bytesOf) {
	for i := 0; i < len(ranges); i++ {
		last := ranges[i]
		if i+2 < len(ranges) && ranges[i+1] == '-' {
			last = ranges[i+2]
		}
		for c := int(ranges[i]); c <= int(last); c++ {
			s[c] = true
		}
		if last != ranges[i] {
			i += 2
		}
	}
	return s
}

var (
	markBytes   = byteSet("a-zA-Z0-9_.-")
	numberBytes = byteSet("0-9+.eE-")
	digits      = byteSet("0-9")
	hexDigits   = byteSet("0-9a-f")
	alnum       = byteSet("a-zA-Z0-9")
	wordBytes   = byteSet("a-zA-Z0-9_")
	nameBytes   = byteSet("a-zA-Z0-9_-")
	dottedBytes = byteSet("a-zA-Z0-9_.-")
	upper32     = byteSet("A-Z2-7")
	upperAlnum  = byteSet("A-Z0-9")
	base64Bytes = byteSet("a-zA-Z0-9+/=")
	bearerBytes = byteSet("a-zA-Z0-9._~+/=-")
)

// defaultForms are the tokens and keys that are known by their form, as those
// who issue them describe it.
var defaultForms = buildForms()

func buildForms() (forms []form) {
	for _, t := range tokens {
		for _, prefix := range t.prefixes {
			forms = append(forms, t.form(prefix))
		}
	}
	forms = append(append(forms, textForms...), signedForm("jwt", "eyJ"))
	for _, n := range namedSecrets {
		for _, name := range n.names {
			forms = append(forms, n.form(name))
		}
	}
	return forms
}

// tokenForm is a token with a fixed beginning.
type tokenForm struct {
	name     string
	prefixes []string
	bytes    *bytesOf // of which the rest is made
	min, max int      // bytes of the rest; max 0 is no limit
	loose    bool     // hardly anything else has the beginning, so that it may follow a letter
}

// tokens go from the common to the rare.
var tokens = []tokenForm{
	{name: "anthropic-key", prefixes: []string{"sk-ant-"}, bytes: &nameBytes, min: 20, loose: true},
	{name: "openai-key", prefixes: []string{"sk-proj-", "sk-svcacct-", "sk-admin-", "sk-None-"}, bytes: &nameBytes, min: 20, loose: true},
	{name: "openrouter-key", prefixes: []string{"sk-or-v1-"}, bytes: &hexDigits, min: 32, loose: true},
	{name: "api-key", prefixes: []string{"sk-"}, bytes: &alnum, min: 32, max: 128},
	{name: "github-token", prefixes: []string{"ghp_", "gho_", "ghu_", "ghr_"}, bytes: &wordBytes, min: 36, max: 255},
	{name: "github-token", prefixes: []string{"ghs_"}, bytes: &dottedBytes, min: 36},
	{name: "github-token", prefixes: []string{"github_pat_"}, bytes: &wordBytes, min: 22, max: 255, loose: true},
	{name: "gitlab-token", prefixes: []string{"glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "glft-", "glsoat-", "glimt-", "glagent-", "gloas-", "glffct-"}, bytes: &dottedBytes, min: 20, loose: true},
	{name: "aws-access-key-id", prefixes: []string{"AKIA", "ASIA", "ABIA", "ACCA"}, bytes: &upper32, min: 16, max: 16},
	{name: "google-key", prefixes: []string{"AIza"}, bytes: &nameBytes, min: 35, max: 35},
	{name: "google-key", prefixes: []string{"AQ.Ab"}, bytes: &nameBytes, min: 40, max: 128},
	{name: "google-token", prefixes: []string{"ya29."}, bytes: &dottedBytes, min: 20},
	{name: "google-token", prefixes: []string{"1//0"}, bytes: &nameBytes, min: 40},
	{name: "google-secret", prefixes: []string{"GOCSPX-"}, bytes: &nameBytes, min: 28, loose: true},
	{name: "slack-token", prefixes: []string{"xoxa-", "xoxb-", "xoxe-", "xoxe.xoxb-", "xoxe.xoxp-", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xoxc-", "xoxd-", "xapp-", "xwfp-"}, bytes: &bearerBytes, min: 20},
	{name: "stripe-key", prefixes: []string{"sk_live_", "sk_test_", "rk_live_", "rk_test_", "sk_org_"}, bytes: &wordBytes, min: 16, loose: true},
	{name: "webhook-secret", prefixes: []string{"whsec_"}, bytes: &base64Bytes, min: 24, loose: true},
	{name: "npm-token", prefixes: []string{"npm_"}, bytes: &alnum, min: 36, max: 36},
	{name: "pypi-token", prefixes: []string{"pypi-AgE"}, bytes: &nameBytes, min: 50, loose: true},
	{name: "huggingface-token", prefixes: []string{"hf_", "api_org_"}, bytes: &alnum, min: 30, max: 64},
	{name: "groq-key", prefixes: []string{"gsk_"}, bytes: &alnum, min: 40},
	{name: "xai-key", prefixes: []string{"xai-"}, bytes: &alnum, min: 40},
	{name: "perplexity-key", prefixes: []string{"pplx-"}, bytes: &alnum, min: 40},
	{name: "replicate-token", prefixes: []string{"r8_"}, bytes: &alnum, min: 37, max: 37},
	{name: "docker-token", prefixes: []string{"dckr_pat_", "dckr_oat_"}, bytes: &nameBytes, min: 24, loose: true},
	{name: "digitalocean-token", prefixes: []string{"dop_v1_", "doo_v1_", "dor_v1_"}, bytes: &hexDigits, min: 64, loose: true},
	{name: "databricks-token", prefixes: []string{"dapi"}, bytes: &hexDigits, min: 32, max: 32},
	{name: "vault-token", prefixes: []string{"hvs.", "hvb.", "hvr."}, bytes: &nameBytes, min: 24},
	{name: "shopify-token", prefixes: []string{"shpat_", "shpca_", "shppa_", "shpss_"}, bytes: &alnum, min: 32, loose: true},
	{name: "sendgrid-key", prefixes: []string{"SG."}, bytes: &dottedBytes, min: 66, max: 66},
	{name: "linear-key", prefixes: []string{"lin_api_", "lin_oauth_"}, bytes: &alnum, min: 32, loose: true},
	{name: "notion-token", prefixes: []string{"ntn_"}, bytes: &alnum, min: 40},
	{name: "grafana-token", prefixes: []string{"glsa_"}, bytes: &wordBytes, min: 40},
	{name: "supabase-key", prefixes: []string{"sbp_", "sb_secret_"}, bytes: &nameBytes, min: 31},
	{name: "planetscale-secret", prefixes: []string{"pscale_tkn_", "pscale_pw_", "pscale_oauth_"}, bytes: &dottedBytes, min: 32, loose: true},
	{name: "sentry-token", prefixes: []string{"sntrys_", "sntryu_"}, bytes: &base64Bytes, min: 40, loose: true},
	{name: "atlassian-token", prefixes: []string{"ATATT3", "ATCTT3"}, bytes: &bearerBytes, min: 100},
	{name: "postman-key", prefixes: []string{"PMAK-"}, bytes: &nameBytes, min: 59},
	{name: "rubygems-key", prefixes: []string{"rubygems_"}, bytes: &hexDigits, min: 48, loose: true},
	{name: "age-key", prefixes: []string{"AGE-SECRET-KEY-1"}, bytes: &upperAlnum, min: 58, loose: true},
}

func (t tokenForm) form(prefix string) form {
	is := func(text []byte, from int) bool { return t.loose || beginsWord(text, from) }
	return form{
		name: t.name, anchors: []string{prefix},
		quick: func(text []byte, from, to int) bool { return is(text, from) && mayRun(text[to:], t.bytes, t.min) },
		find: func(text []byte, from, to int) (start, end int) {
			if !is(text, from) {
				return 0, 0
			}
			rest := trimPoints(text[to : to+runOf(text[to:], t.bytes)])
			if len(rest) < t.min || t.max > 0 && len(rest) > t.max || !looksRandom(rest) {
				return 0, 0
			}
			return from, to + len(rest)
		},
	}
}

// beginsWord reports whether a token may begin there: after something that is
// no part of a word, or after an escape, be it JSON's or that of URLs.
func beginsWord(text []byte, at int) bool {
	if at == 0 || !nameBytes[text[at-1]] {
		return true
	}
	if at > 1 && text[at-2] == '\\' && bytes.IndexByte([]byte(shortEscapes), text[at-1]) >= 0 {
		return true
	}
	if at > 5 && text[at-6] == '\\' && text[at-5] == 'u' {
		return true
	}
	return at > 2 && text[at-3] == '%'
}

// tokenBytesMax is more than a token has. It also keeps a text of nothing but
// beginnings from being read over and over.
const tokenBytesMax = 1024

// runOf is how many bytes of the set the text begins with; 0 when they are more
// than a token has.
func runOf(text []byte, set *bytesOf) int {
	text = text[:min(len(text), tokenBytesMax+1)]
	for i, c := range text {
		if !set[c] {
			return i
		}
	}
	if len(text) > tokenBytesMax {
		return 0
	}
	return len(text)
}

// mayRun reports whether a text begins with so many bytes of the set. Escapes
// do not hide them, because escapeAnchors are looked for as well.
func mayRun(text []byte, set *bytesOf, least int) bool {
	return runOf(text[:min(len(text), least)], set) >= least
}

// trimPoints cuts off what ends a sentence rather than a token.
func trimPoints(token []byte) []byte { return bytes.TrimRight(token, ".-") }

// randomMin is how many different bytes a token has at least.
const randomMin = 6

// looksRandom tells a token from what stands for one in a text, such as
// sk-proj-your-key-goes-here and ghp_xxxxxxxx.
func looksRandom(token []byte) bool {
	var seen bytesOf
	different, lowerOnly := 0, true
	for _, c := range token {
		if !seen[c] {
			seen[c] = true
			different++
		}
		lowerOnly = lowerOnly && !upperAlnum[c]
	}
	return different >= randomMin && !lowerOnly
}
