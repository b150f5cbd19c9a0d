package agent

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/konlog/konlog/internal/long"
)

// random text for tokens that nobody issued.
func someOf(alphabet string, n int) string {
	r := rand.New(rand.NewPCG(uint64(n), uint64(len(alphabet))))
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

const (
	az     = "abcdefghijklmnopqrstuvwxyz"
	num    = "0123456789"
	azAZ09 = az + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + num
	hexLow = "abcdef" + num
	base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
)

func somePEM(kind, nl string) string {
	body := ""
	for i := range 5 {
		body += someOf(azAZ09+"+/", 64-i) + nl
	}
	return "-----BEGIN " + kind + "-----" + nl + body + "-----END " + kind + "-----"
}

// kinds has one secret of each kind, in the text that shows it to be one: the
// secret itself is between « and ».
func kinds() map[string][]string {
	jwt := "eyJ" + someOf(azAZ09, 33) + ".eyJ" + someOf(azAZ09, 60) + "." + someOf(azAZ09+"-_", 43)
	b64 := func(n int) string { return someOf(azAZ09+"+/", n) }
	return map[string][]string{
		"anthropic-key":      {"«sk-ant-api03-" + someOf(azAZ09+"-_", 93) + "AA»", "«sk-ant-oat01-" + someOf(azAZ09+"-_", 95) + "»"},
		"openai-key":         {"«sk-proj-" + someOf(azAZ09+"-_", 156) + "»", "«sk-svcacct-" + someOf(azAZ09, 58) + "»"},
		"openrouter-key":     {"«sk-or-v1-" + someOf(hexLow, 64) + "»"},
		"api-key":            {"«sk-" + someOf(azAZ09, 48) + "»", "«sk-" + someOf(hexLow, 32) + "»"},
		"github-token":       {"«ghp_" + someOf(azAZ09, 36) + "»", "«gho_" + someOf(azAZ09, 36) + "»", "«ghs_" + someOf(azAZ09, 36) + "»", "«ghs_12345_" + jwt + "»", "«github_pat_" + someOf(azAZ09, 22) + "_" + someOf(azAZ09, 59) + "»"},
		"gitlab-token":       {"«glpat-" + someOf(azAZ09+"-_", 20) + "»", "«glpat-" + someOf(azAZ09, 27) + ".01.120abcdef»"},
		"aws-access-key-id":  {"«AKIA" + someOf(base32, 16) + "»", "«ASIA" + someOf(base32, 16) + "»"},
		"aws-secret-key":     {"AWS_SECRET_ACCESS_KEY=«" + b64(40) + "»", "aws_secret_access_key = «" + b64(40) + "»", `"SecretAccessKey": "«` + b64(40) + `»"`, "aws configure set aws_secret_access_key «" + b64(40) + "»"},
		"aws-session-token":  {"export AWS_SESSION_TOKEN='«" + b64(356) + "»'"},
		"google-key":         {"«AIza" + someOf(azAZ09+"-_", 34) + "x»"},
		"google-token":       {"«ya29." + someOf(azAZ09+"-_", 120) + "»"},
		"google-secret":      {"«GOCSPX-" + someOf(azAZ09+"-_", 27) + "x»"},
		"slack-token":        {"«xoxb-" + someOf(num, 12) + "-" + someOf(num, 12) + "-" + someOf(azAZ09, 24) + "»", "«xapp-1-A" + someOf(azAZ09, 60) + "»"},
		"slack-webhook":      {"https://hooks.slack.com/services/«T" + someOf(base32, 8) + "/B" + someOf(base32, 8) + "/" + someOf(azAZ09, 24) + "»"},
		"stripe-key":         {"«sk_live_" + someOf(azAZ09, 99) + "»", "«rk_test_" + someOf(azAZ09, 24) + "»"},
		"webhook-secret":     {"«whsec_" + b64(43) + "=»"},
		"npm-token":          {"«npm_" + someOf(azAZ09, 36) + "»", "//registry.example.org/:_authToken=«" + someOf(hexLow, 36) + "»"},
		"pypi-token":         {"«pypi-AgEIcHlwaS5vcmc" + someOf(azAZ09+"-_", 150) + "»"},
		"huggingface-token":  {"«hf_" + someOf(azAZ09, 34) + "»"},
		"jwt":                {"«" + jwt + "»"},
		"bearer-token":       {"Authorization: Bearer «" + someOf(azAZ09, 24) + "»", "authorization: bearer «tok3n-4u»", `"Authorization": "Bearer «` + someOf(azAZ09, 40) + `»"`, "-H 'Authorization: token «" + someOf(hexLow, 40) + "»'", "Bearer «" + someOf(azAZ09, 32) + "»", "AUTHORIZATION: BEARER «" + someOf(azAZ09, 16) + "»"},
		"basic-auth":         {"Authorization: Basic «" + base64.StdEncoding.EncodeToString([]byte("user:Passw0rd!")) + "»"},
		"url-password":       {"postgres://app:«hunter22!x»@db.example.org:5432/app", "redis://:«s3cr3t-value»@localhost:6379", "https://x-access-token:«9fh28dh2»@git.example.org/a/b"},
		"private-key":        {"«" + somePEM("PRIVATE KEY", "\n") + "»", "«" + somePEM("RSA PRIVATE KEY", "\r\n") + "»", "«" + somePEM("OPENSSH PRIVATE KEY", "\n") + "»", "«" + somePEM("PGP PRIVATE KEY BLOCK", "\n") + "»", `KEY="«` + somePEM("EC PRIVATE KEY", `\n`) + `»"`},
		"header-key":         {"x-api-key: «" + someOf(azAZ09, 40) + "»", `"api-key":"«` + someOf(hexLow, 32) + `»"`, "PRIVATE-TOKEN: «" + someOf(azAZ09, 20) + "»"},
		"oauth-secret":       {"client_secret=«" + someOf(azAZ09, 32) + "»", `"accessToken":"«` + someOf(azAZ09+"-_", 86) + `»"`},
		"azure-key":          {"AccountName=x;AccountKey=«" + b64(86) + "==»;EndpointSuffix=core.windows.net", "SharedAccessKey=«" + b64(43) + "=»"},
		"azure-secret":       {"«" + someOf(azAZ09, 3) + "8Q~" + someOf(azAZ09+"-_", 33) + "x»"},
		"telegram-token":     {"«" + "7123456789:AA" + someOf(azAZ09, 33) + "»"},
		"sendgrid-key":       {"«SG." + someOf(azAZ09, 22) + "." + someOf(azAZ09, 43) + "»"},
		"groq-key":           {"«gsk_" + someOf(azAZ09, 52) + "»"},
		"xai-key":            {"«xai-" + someOf(azAZ09, 80) + "»"},
		"docker-token":       {"«dckr_pat_" + someOf(azAZ09+"-_", 27) + "»"},
		"digitalocean-token": {"«dop_v1_" + someOf(hexLow, 64) + "»"},
		"vault-token":        {"«hvs." + someOf(azAZ09+"-_", 90) + "»"},
		"shopify-token":      {"«shpat_" + someOf(hexLow, 32) + "»"},
		"perplexity-key":     {"«pplx-" + someOf(azAZ09, 48) + "»"},
		"replicate-token":    {"«r8_" + someOf(azAZ09, 37) + "»"},
		"databricks-token":   {"«dapi" + someOf(hexLow, 32) + "»"},
		"linear-key":         {"«lin_api_" + someOf(azAZ09, 40) + "»"},
		"notion-token":       {"«ntn_" + someOf(azAZ09, 46) + "»"},
		"grafana-token":      {"«glsa_" + someOf(azAZ09, 32) + "_" + someOf(hexLow, 8) + "»"},
		"supabase-key":       {"«sbp_" + someOf(hexLow, 40) + "»"},
		"planetscale-secret": {"«pscale_pw_" + someOf(azAZ09, 43) + "»"},
		"sentry-token":       {"«sntrys_" + b64(80) + "»"},
		"atlassian-token":    {"«ATATT3" + someOf(azAZ09+"-_", 180) + "=1A2B3C4D»"},
		"postman-key":        {"«PMAK-" + someOf(hexLow, 24) + "-" + someOf(hexLow, 34) + "»"},
		"rubygems-key":       {"«rubygems_" + someOf(hexLow, 48) + "»"},
		"age-key":            {"«AGE-SECRET-KEY-1" + someOf(base32, 58) + "»"},
	}
}

func mustRedactor(t testing.TB, o RedactOptions) *Redactor {
	t.Helper()
	r, err := NewRedactor(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func plainJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// escapeAll escapes every character, which is allowed, though nobody does it.
func escapeAll(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		if c > 0xffff {
			b.WriteString(string(c))
			continue
		}
		fmt.Fprintf(&b, `\u%04X`, c)
	}
	return b.String() + `"`
}

// wraps are the ways in which a line can have a text.
func wraps(t testing.TB, text string) map[string]string {
	slashes := strings.ReplaceAll(plainJSON(t, text), "/", `\/`)
	return map[string]string{
		"alone":     text,
		"text":      "some text " + text + " and more",
		"lines":     "one\n" + text + "\nthree",
		"string":    plainJSON(t, text),
		"object":    `{"type":"user","n":1.50,"text":` + plainJSON(t, "x\n"+text+"\n\"y\"") + `,"t":true}`,
		"in JSON":   `{"output":` + plainJSON(t, `{"text":`+plainJSON(t, text)+`}`) + `}`,
		"in JSON²":  `{"output":` + plainJSON(t, `{"o":`+plainJSON(t, `{"text":`+plainJSON(t, "é "+text)+`}`)+`}`) + `}`,
		"slashes":   `{"text":` + slashes + `}`,
		"all \\u":   `[` + escapeAll(text) + `]`,
		"list":      `[1,` + plainJSON(t, text) + `,2]`,
		"a name":    `{` + plainJSON(t, text) + `:1}`,
		"not UTF-8": "\xff\xfe " + text + " \xff",
	}
}

// bare takes the marks of the secret out of a text.
func bare(marked string) (text, secret string) {
	_, rest, _ := strings.Cut(marked, "«")
	secret, _, _ = strings.Cut(rest, "»")
	return strings.NewReplacer("«", "", "»", "").Replace(marked), secret
}

// escapedForms are how a secret may stand in a line.
func escapedForms(t testing.TB, secret string) (forms []string) {
	form := secret
	for range 4 {
		forms = append(forms, form)
		form = strings.Trim(plainJSON(t, form), `"`)
	}
	return append(forms, strings.Trim(escapeAll(secret), `"`), strings.ReplaceAll(forms[1], "/", `\/`))
}

func TestRedactorTakesEachKind(t *testing.T) {
	r := mustRedactor(t, RedactOptions{})
	for name, examples := range kinds() {
		for _, marked := range examples {
			text, secret := bare(marked)
			if secret == "" {
				t.Fatalf("%s: no secret in %q", name, marked)
			}
			for wrap, line := range wraps(t, text) {
				clean, took := r.Line([]byte(line))
				if took[name] < 1 || !bytes.Contains(clean, []byte("[redacted:"+name+"]")) {
					t.Errorf("%s, %s: took %v of %.200s\n → %.200s", name, wrap, took, line, clean)
					continue
				}
				for _, form := range escapedForms(t, secret) {
					if bytes.Contains(clean, []byte(form)) {
						t.Errorf("%s, %s: it is still in %.300s", name, wrap, clean)
					}
				}
				if json.Valid([]byte(line)) && !json.Valid(clean) {
					t.Errorf("%s, %s: no longer JSON: %.300s", name, wrap, clean)
				}
				if again, took := r.Line(clean); took != nil || !bytes.Equal(again, clean) {
					t.Errorf("%s, %s: taken again: %v %.300s", name, wrap, took, again)
				}
			}
		}
	}
	for _, f := range defaultForms {
		if len(kinds()[f.name]) == 0 {
			t.Errorf("%s has no example", f.name)
		}
	}
}

func TestRedactorKeepsWhatIsAround(t *testing.T) {
	r := mustRedactor(t, RedactOptions{Secrets: []Secret{{"DB", `p"w\7` + "\n/é😀"}}})
	jwt := "eyJ" + someOf(azAZ09, 33) + ".eyJ" + someOf(azAZ09, 60) + "." + someOf(azAZ09, 43)
	pem := somePEM("PRIVATE KEY", "\n")
	secretJSON := plainJSON(t, `p"w\7`+"\n/é😀")
	secretJSON = secretJSON[1 : len(secretJSON)-1]
	for _, tt := range []struct{ in, want string }{
		{`{"a":"x ` + secretJSON + ` y","b":1e5}`, `{"a":"x [redacted:DB] y","b":1e5}`},
		{`{"a":"` + `p\u0022w\\7\n\/\u00E9\uD83D\uDE00` + `"}`, `{"a":"[redacted:DB]"}`},
		{`{"a" : "{\"k\":\"p\\\"w\\\\7\\n/é😀\"}" }`, `{"a" : "{\"k\":\"[redacted:DB]\"}" }`},
		{`p"w\7` + "\n/é😀!", `[redacted:DB]!`},
		{`{"url":"postgres://me:hunter22@h/db?x=1"}`, `{"url":"postgres://me:[redacted:url-password]@h/db?x=1"}`},
		{`{"url":"postgres:\/\/me:hunter22@h\/db"}`, `{"url":"postgres:\/\/me:[redacted:url-password]@h\/db"}`},
		{`{"h":{"Authorization":"Bearer ` + jwt + `","x":"<&>"}}`, `{"h":{"Authorization":"Bearer [redacted:bearer-token]","x":"<&>"}}`},
		{`{"t":"a\n` + jwt + `."}`, `{"t":"a\n[redacted:jwt]."}`},
		{`{"k":` + plainJSON(t, "a\n"+pem+"\nb") + `}`, `{"k":"a\n[redacted:private-key]\nb"}`},
		{`{"k":` + plainJSON(t, "a\n"+pem[:200]) + `,"l":"m"}`, `{"k":"a\n[redacted:private-key]","l":"m"}`},
		{`{"AccessKeyId":"AKIA` + someOf(base32, 16) + `","SecretAccessKey":"` + someOf(azAZ09+"+/", 40) + `"}`, `{"AccessKeyId":"[redacted:aws-access-key-id]","SecretAccessKey":"[redacted:aws-secret-key]"}`},
		{"It is glpat-" + someOf(azAZ09, 20) + "... or Bearer " + someOf(azAZ09, 30) + ".", "It is [redacted:gitlab-token]... or Bearer [redacted:bearer-token]."},
		{"ghp_" + someOf(azAZ09, 36) + " ghp_" + someOf(azAZ09, 36), "[redacted:github-token] [redacted:github-token]"},
		{"https://x/?q%3Dsk-" + someOf(azAZ09, 48), "https://x/?q%3D[redacted:api-key]"},
	} {
		clean, took := r.Line([]byte(tt.in))
		if string(clean) != tt.want || took == nil {
			t.Errorf("%s\n got %s\nwant %s", tt.in, clean, tt.want)
		}
	}
	_, took := r.Line([]byte("ghp_" + someOf(azAZ09, 36) + " ghp_" + someOf(azAZ09, 36) + " " + jwt))
	if want := map[string]int{"github-token": 2, "jwt": 1}; !maps.Equal(took, want) {
		t.Errorf("took %v, want %v", took, want)
	}
}

// innocent are what looks like a secret and is none.
var innocent = []string{
	`{"commit":"` + someOf(hexLow, 40) + `","sha256":"` + someOf(hexLow, 64) + `"}`,
	`{"uuid":"7b0f6a52-5c0e-4f0e-9d5b-3f1a6c1f4e21","session_id":"0198f0d2-7c1e-7b3a-9c55-0123456789ab"}`,
	`{"id":"msg_01` + someOf(azAZ09, 22) + `","tool_use_id":"toolu_01` + someOf(azAZ09, 22) + `","req":"req_011` + someOf(azAZ09, 21) + `"}`,
	`{"type":"thinking","signature":"` + someOf(azAZ09+"+/", 900) + `="}`,
	`{"image":"data:image/png;base64,iVBORw0KGgo` + someOf(azAZ09+"+/", 20_000) + `=="}`,
	`{"input_tokens":1234567890,"max_tokens":4096,"apiKeySource":"ANTHROPIC_API_KEY"}`,
	`{"text":"set ANTHROPIC_API_KEY=sk-ant-... or OPENAI_API_KEY=sk-proj-your-key-goes-right-here, ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}`,
	`{"text":"Authorization: Bearer $TOKEN, Authorization: Bearer <token>, \"Authorization\": ` + "`Bearer ${token}`" + `, Authorization: Basic authentication is used"}`,
	`{"text":"const accessToken = response.data.accessToken; headers['x-api-key'] = process.env.ANTHROPIC_API_KEY"}`,
	`{"text":"postgres://user:password@localhost/db postgres://user:$PGPASSWORD@h/db https://user:<token>@h/ https://example.org/a:b@c git@github.com:a/b.git"}`,
	`{"text":"npm i @types/node@20.1.0 https://registry.example.org/@scope/pkg mailto:me@example.org"}`,
	`{"text":"-----BEGIN PRIVATE KEY----- is how a key begins, -----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n-----END PUBLIC KEY-----"}`,
	`{"text":"task-0123456789abcdef0123456789abcdef0123 disk-` + someOf(azAZ09, 40) + ` risk-free"}`,
	`{"integrity":"sha512-` + someOf(azAZ09+"+/", 86) + `=="}`,
	`{"cursor":"eyJ` + someOf(azAZ09, 200) + `"}`,
	`{"text":"bearer of bad news, Bearer authentication-is-required-here"}`,
	`{"id":"item_12","thread_id":"thread_` + someOf(azAZ09, 24) + `","call":"call_` + someOf(azAZ09, 24) + `"}`,
	`ghp_` + someOf(azAZ09, 30) + ` hf_` + someOf(azAZ09, 20) + ` sk-` + someOf(azAZ09, 20) + ` glpat-a1b2C3 abc8Q~` + someOf(azAZ09, 20) + ` 7123456789:AA` + someOf(azAZ09, 20),
	`npm_` + someOf(azAZ09, 60) + ` AIza` + someOf(azAZ09, 60) + ` abc8Q~` + someOf(azAZ09, 60) + ` 7123456789:AA` + someOf(azAZ09, 60) + ` 712:AA` + someOf(azAZ09, 33),
	`sk-ant-` + someOf(azAZ09, 3000) + ` secretaccesskey` + someOf(azAZ09, 40) + ` SecretAccessKey=` + someOf(azAZ09, 50),
	`key AKIAIOSFODNN7 is too short, xAKIA` + someOf(base32, 16) + ` is within a word`,
	`{"path":"C:\\temp\\new\\u0041x","odd":"\ud800"}`,
	`{"text":"the mark [redacted:jwt] and postgres://a:[redacted:url-password]@h/ Bearer [redacted:bearer-token]"}`,
	"", "{", `"`, `\`, `{"a":`, "\xff\xfe",
}

func TestRedactorKeepsTheInnocent(t *testing.T) {
	for _, pattern := range []string{`corp-[0-9]{9}`, `[0-9]corp`} { // with the second, all are looked at closely
		r := mustRedactor(t, RedactOptions{Secrets: []Secret{{"S", "hunter2-hunter2"}}, Patterns: []RedactPattern{{"P", pattern}}})
		for _, line := range innocent {
			clean, took := r.Line([]byte(line))
			if took != nil || string(clean) != line {
				t.Errorf("took %v of %.300s", took, line)
			}
		}
	}
}

func TestRedactorKeepsRecordingsAndDocs(t *testing.T) {
	r := mustRedactor(t, RedactOptions{Patterns: []RedactPattern{{"P", `[0-9]corp`}}}) // so that each is looked at closely
	lines := 0
	for _, dir := range []string{"../testdata/recordings", "../docs", "../README.md", "../CHANGELOG.md"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for i, line := range bytes.Split(content, []byte("\n")) {
				lines++
				if clean, took := r.Line(line); took != nil || !bytes.Equal(clean, line) {
					t.Errorf("%s:%d: took %v: %.300s", path, i+1, took, line)
				}
			}
			if clean, took := r.Line(content); took != nil || !bytes.Equal(clean, content) {
				t.Errorf("%s: took %v of the whole", path, took)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if lines < 1000 {
		t.Errorf("only %d lines were looked at", lines)
	}
}

func TestRedactorValues(t *testing.T) {
	values := map[string]string{
		"PLAIN": "hunter2-hunter2", "SPACE": "correct horse battery", "QUOTES": `a"b\c/d"e`, "LINES": "one\ntwo\tthree\r\n",
		"WIDE": "пароль-секрет", "CJK": "密码很秘密的", "EMOJI": "😀😁😂", "ONLY_QUOTES": `""""""`, "ONLY_SLASHES": `\\\\\\`,
		"DIGITS": "1234567890", "HTML": "<a&b>'c'<d>", "JSON": `{"a":["b",1],"c":null}`, "ESCAPES": `a\nb\u0041c`, "NUL": "a\x00b\x01c\x7fd",
		"LONG": someOf(azAZ09, 5000), "MARK": "redacted", "BRACKET": "]abcdefg", "ENDS": `"""""a`,
	}
	for name, value := range values {
		r := mustRedactor(t, RedactOptions{Secrets: []Secret{{name, value}}, NoDefaults: true})
		for wrap, line := range wraps(t, value) {
			if wrap == "not UTF-8" && !json.Valid([]byte(plainJSON(t, value))) {
				continue
			}
			clean, took := r.Line([]byte(line))
			if took[name] < 1 {
				t.Errorf("%s, %s: not taken from %.200s", name, wrap, line)
				continue
			}
			checkRedacted(t, r, []byte(line), clean, value)
		}
	}
	// A value that is more than one string, or a number.
	r := mustRedactor(t, RedactOptions{Secrets: []Secret{{"JSON", values["JSON"]}, {"PIN", "1234567890"}, {"BRACES", `[{},{}]`}}})
	for _, tt := range []struct{ in, want string }{
		{`{"k":{"a":["b",1],"c":null}}`, `{"k":{"[redacted:JSON]":["[redacted:JSON]","[redacted:JSON]"],"[redacted:JSON]":null}}`},
		{`{"n":-1234567890.5,"m":123456789}`, `{"n":"[redacted:PIN]","m":123456789}`},
		{`{"n":[{},{}]}`, `"[redacted:BRACES]"`},
		{`[{},{}]x`, `[redacted:BRACES]x`},
	} {
		clean, took := r.Line([]byte(tt.in))
		if string(clean) != tt.want || took == nil {
			t.Errorf("%s\n got %s %v\nwant %s", tt.in, clean, took, tt.want)
		}
	}
}

// checkRedacted checks what holds for every line and every secret value.
func checkRedacted(t testing.TB, r *Redactor, line, clean []byte, value string) {
	t.Helper()
	if json.Valid(line) && !json.Valid(clean) {
		t.Errorf("no longer JSON: %q\n → %q", line, clean)
	}
	if strings.Contains(unmarked(clean), value) {
		t.Errorf("%q is still in %q, from %q", value, clean, line)
	}
	var v any
	if json.Valid(clean) && json.Unmarshal(clean, &v) == nil && holds(v, value) {
		t.Errorf("%q is still in a string of %q, from %q", value, clean, line)
	}
	if again, took := r.Line(clean); took != nil || !bytes.Equal(again, clean) {
		t.Errorf("taken again %v: %q\n → %q", took, clean, again)
	}
}

// unmarked is a text without its marks, but with what keeps its sides apart.
func unmarked(text []byte) string {
	var b strings.Builder
	at := 0
	for _, m := range marks(text, 0, len(text)) {
		b.Write(text[at:m.from])
		b.WriteByte(0xff) // in no value
		at = m.to
	}
	b.Write(text[at:])
	return b.String()
}

// holds looks for a value in all strings, and in JSON in them.
func holds(v any, value string) bool {
	switch v := v.(type) {
	case string:
		var inner any
		return strings.Contains(unmarked([]byte(v)), value) || json.Unmarshal([]byte(v), &inner) == nil && holds(inner, value)
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return holds(e, value) })
	case map[string]any:
		for name, e := range v {
			if holds(name, value) || holds(e, value) {
				return true
			}
		}
	}
	return false
}

func TestRedactorPatterns(t *testing.T) {
	r := mustRedactor(t, RedactOptions{NoDefaults: true, Patterns: []RedactPattern{
		{"corp", `corp-[0-9]{4}`}, {"pin", `(?i)pin[=:] *([0-9]{4,6})`}, {"member", `"pw":"([^"]*)"`}, {"card", `\b[0-9]{16}\b`},
	}})
	for _, tt := range []struct{ in, want string }{
		{`{"a":"corp-1234 corp-12"}`, `{"a":"[redacted:corp] corp-12"}`},
		{`{"a":"PIN: 123456."}`, `{"a":"PIN: [redacted:pin]."}`},
		{`{"a":"c\u006frp-1234"}`, `{"a":"[redacted:corp]"}`},
		{`{"pw":"x\"y","b":"{\"pw\":\"z\"}"}`, `{"pw":"[redacted:member]","b":"{\"pw\":\"[redacted:member]\"}"}`},
		{`{"card":4111111111111111}`, `{"card":"[redacted:card]"}`},
		{`{"card":411111111111111}`, `{"card":411111111111111}`},
	} {
		clean, _ := r.Line([]byte(tt.in))
		if string(clean) != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.in, clean, tt.want)
		}
	}
	// A pattern with a fixed beginning costs other lines nothing.
	r = mustRedactor(t, RedactOptions{NoDefaults: true, Patterns: []RedactPattern{{"corp", `corp-[0-9]{4}`}}})
	if r.always || r.scan.suspect([]byte(`{"a":"b"}`)) || !r.scan.suspect([]byte("corp-")) {
		t.Error("its beginning is not looked for")
	}
}

func TestNewRedactorRefuses(t *testing.T) {
	const secret = "hunter2"
	for _, tt := range []struct {
		o    RedactOptions
		want string
	}{
		{RedactOptions{Secrets: []Secret{{"", secret}}}, "a name"},
		{RedactOptions{Secrets: []Secret{{"a b", secret}}}, "its name has ' '"},
		{RedactOptions{Secrets: []Secret{{`a"`, secret}}}, "its name has"},
		{RedactOptions{Secrets: []Secret{{strings.Repeat("x", 65), secret}}}, "a name"},
		{RedactOptions{Secrets: []Secret{{"S", "hunte"}}}, "shorter than 6"},
		{RedactOptions{Secrets: []Secret{{"S", secret + "\xff"}}}, "not UTF-8"},
		{RedactOptions{Secrets: []Secret{{"S", strings.Repeat(secret, 1<<18)}}}, "longer than"},
		{RedactOptions{Secrets: make([]Secret, 1001)}, "the limit is 1000"},
		{RedactOptions{Patterns: []RedactPattern{{"P", "("}}}, "missing closing"},
		{RedactOptions{Patterns: []RedactPattern{{"P", "a*"}}}, "everywhere"},
		{RedactOptions{Patterns: []RedactPattern{{"P", strings.Repeat("a", 5000)}}}, "the limit is 4096"},
		{RedactOptions{Patterns: []RedactPattern{{"P Q", "a"}}}, "its name has"},
	} {
		if _, err := NewRedactor(tt.o); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), secret) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
}

func TestEnvSecrets(t *testing.T) {
	want := []string{"ANTHROPIC_API_KEY", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "PGPASSWORD", "DB_PASS", "MYSQL_PWD", "npm_config__auth", "APIKEY", "MY_SECRET_1", "SLASHED_KEY", "odd_name_KEY"}
	env := []string{
		"ANTHROPIC_API_KEY=" + someOf(azAZ09, 30), "GITHUB_TOKEN=" + someOf(azAZ09, 31), "AWS_SECRET_ACCESS_KEY=" + someOf(azAZ09, 32), "AWS_ACCESS_KEY_ID=" + someOf(azAZ09, 33),
		"PGPASSWORD=hunter22", "DB_PASS=hunter23", "MYSQL_PWD=hunter24", "npm_config__auth=hunter25", "APIKEY=hunter26=27", "MY_SECRET_1= hunter28 ", "SLASHED_KEY=/aB3+" + someOf(azAZ09, 30), "odd name_KEY=hunter29",
		// and these are none
		"PATH=/usr/bin:/bin", "PWD=/home/me/work", "OLDPWD=/home/me", "HOME=/root", "SSH_AUTH_SOCK=/run/user/1/agent", "GPG_KEY_FILE=hunter33",
		"SHORT_KEY=abc", "MAX_TOKENS=1234567890", "TOKEN_COUNT=123456789", "PIN_TOKEN=12345678.5", "KEY_PATH=secrets/of/mine", "TLS_KEY=/etc/ssl/key.pem", "MY_KEY=~/.ssh/id_rsa",
		"SSH_PUBLIC_KEY=ssh-ed25519 AAAA", "KEYBOARD=qwertyuiop", "TOKENIZERS_PARALLELISM=disabled!", "API_KEY_NAME=production-key", "POSTGRES_PASSWORD=postgres", "ADMIN_PASSWORD=changeme",
		"TOKEN_URL=https://example.org/oauth", "AUTH=https://example.org/", "MONKEY=hunter30", "LANG=en_US.UTF-8", "AGAIN_TOKEN=hunter22", "NOVALUE", "=C:=C:\\", "BAD_KEY=hunter31\xff", "WIN_KEY=C:\\Users\\me\\key",
	}
	var got []string
	for _, s := range EnvSecrets(env) {
		got = append(got, s.Name)
		if s.Name == "MY_SECRET_1" && s.Value != "hunter28" || s.Name == "APIKEY" && s.Value != "hunter26=27" {
			t.Errorf("%s is %q", s.Name, s.Value)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	r := mustRedactor(t, RedactOptions{Secrets: EnvSecrets(env)})
	if clean, _ := r.Line([]byte(`{"env":"PGPASSWORD=hunter22 HOME=/root"}`)); string(clean) != `{"env":"PGPASSWORD=[redacted:PGPASSWORD] HOME=/root"}` {
		t.Errorf("got %s", clean)
	}
	many := make([]string, 0, 2000)
	for i := range 2000 {
		many = append(many, fmt.Sprintf("KEY_%d=value-%d", i, i))
	}
	mustRedactor(t, RedactOptions{Secrets: EnvSecrets(many)})
}

func TestRedactorAllocatesNothing(t *testing.T) {
	r := mustRedactor(t, RedactOptions{Secrets: []Secret{{"S", "hunter2-hunter2"}}})
	line := []byte(cleanLine)
	if n := testing.AllocsPerRun(100, func() { r.Line(line) }); n != 0 {
		t.Errorf("%v allocations for a line without secrets", n)
	}
	if clean, _ := r.Line(line); &clean[0] != &line[0] {
		t.Error("another slice")
	}
	in := bytes.Clone([]byte("ghp_" + someOf(azAZ09, 36)))
	before := bytes.Clone(in)
	r.Line(in)
	if !bytes.Equal(in, before) {
		t.Error("the line itself was changed")
	}
}

func TestRedactorIsLinear(t *testing.T) {
	long.Only(t)
	// Texts that are nothing but beginnings, in a time that a quadratic search
	// would exceed by far.
	r := mustRedactor(t, RedactOptions{Secrets: []Secret{{"S", strings.Repeat("a", 5000) + "b"}}})
	for _, part := range []string{"sk-ant-", "eyJ", "eyJaaaaaaaaaaaaa.", "://", "://a:b", "-----BEGIN PRIVATE KEY-----", "authorization: ", "a", `\`, `\\\"`, `"`, `\u0041`, "1234567890:AA", "[redacted:", "[redacted:S]", "AKIA", "aaa8Q~"} {
		text := strings.Repeat(part, 1<<20/len(part))
		parts := strings.Repeat(`"`+strings.Trim(plainJSON(t, part), `"`)+`",`, 1<<16)
		for name, line := range map[string]string{"text": text, "string": plainJSON(t, text), "list": "[" + parts + "1]"} {
			begin := time.Now()
			r.Line([]byte(line))
			if d := time.Since(begin); d > 2*time.Minute { // most take 10 ms; what is not linear takes hours
				t.Errorf("%d bytes of %q as a %s took %s", len(line), part, name, d)
			}
		}
	}
}

const cleanLine = `{"type":"stream_event","event":{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"The tests pass now, and https://example.org/a/b says\nwhy: see task-12."}},"session_id":"7b0f6a52-5c0e-4f0e-9d5b-3f1a6c1f4e21","parent_tool_use_id":null,"uuid":"0198f0d2-7c1e-7b3a-9c55-0123456789ab"}`

func BenchmarkRedactLine(b *testing.B) {
	r := mustRedactor(b, RedactOptions{Secrets: []Secret{{"S", "hunter2-hunter2"}, {"T", someOf(azAZ09, 40)}}})
	claude, err := os.ReadFile("../testdata/recordings/claude-code-duplex-4turns.jsonl")
	if err != nil {
		b.Fatal(err)
	}
	big := `{"output":"` + strings.Repeat(`a line of text, with \"quotes\" and https://example.org/\n`, 1<<20/58) + `"}`
	for name, lines := range map[string][][]byte{
		"300B":      {[]byte(cleanLine)},
		"recording": bytes.Split(bytes.TrimSpace(claude), []byte("\n")),
		"1MB":       {[]byte(big)},
		"image":     {[]byte(`{"image":"` + someOf(azAZ09+"+/", 1<<20) + `"}`)},
		"secret":    {[]byte(strings.Replace(cleanLine, "pass now", "ghp_"+someOf(azAZ09, 36), 1))},
		"escaped":   {[]byte(strings.Replace(cleanLine, "pass now", `pass \u003cnow\u003e`, 1))},
		"secretMB":  {[]byte(strings.Replace(big, "a line", "ghp_"+someOf(azAZ09, 36), 1))},
	} {
		b.Run(name, func(b *testing.B) {
			n := 0
			for _, l := range lines {
				n += len(l)
			}
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				for _, l := range lines {
					r.Line(l)
				}
			}
		})
	}
}

func FuzzRedactor(f *testing.F) {
	for _, l := range innocent {
		f.Add([]byte(l), "hunter2-hunter2")
	}
	for _, examples := range kinds() {
		text, secret := bare(examples[0])
		f.Add([]byte(plainJSON(f, map[string]string{"a": text})), secret)
	}
	f.Add([]byte(`{"a":"x\u0041\n\"b"}`), `A`+"\n"+`"bcde`)
	f.Add([]byte(`{"a":"b"}`), `":"b"}`)
	f.Add([]byte(`[redacted:S]abcdefg`), `]abcdefg`)
	f.Fuzz(func(t *testing.T, line []byte, value string) {
		r, err := NewRedactor(RedactOptions{Secrets: []Secret{{"S", value}}, Patterns: []RedactPattern{{"P", "corp-[0-9]+x?"}}})
		if err != nil {
			return
		}
		lines := [][]byte{line, append([]byte(value), line...), append(bytes.Clone(line), value...)}
		if s, err := json.Marshal(string(line) + value); err == nil {
			lines = append(lines, s, []byte(`{"a":`+string(s)+`,"b":`+escapeAll(value)+`}`))
			if s, err := json.Marshal(`{"k":` + string(s) + `}`); err == nil {
				lines = append(lines, []byte(`[`+string(s)+`]`))
			}
		}
		for _, l := range lines {
			before := bytes.Clone(l)
			clean, took := r.Line(l)
			if !bytes.Equal(l, before) {
				t.Fatalf("%q was changed", before)
			}
			if (took == nil) != bytes.Equal(l, clean) {
				t.Errorf("took %v of %q: %q", took, l, clean)
			}
			checkRedacted(t, r, l, clean, value)
		}
	})
}
