package api

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// ready delivers a kontask with that context.
func (r *rig) ready(id, context string) {
	r.t.Helper()
	wantStatus(r.t, r.do("PUT", "/v1/kontasks/"+url.PathEscape(id), strings.NewReader(`{"session":"s1","status":"completed","context":`+context+`}`)), 201)
}

func contextOf(t *testing.T, output string) string {
	t.Helper()
	b, err := json.Marshal(map[string]string{"output": output})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestOutputIsHarmless: what an agent wrote as HTML comes under a policy that
// gives it no origin, no script and nothing from elsewhere, however it is asked
// for and whatever it is.
func TestOutputIsHarmless(t *testing.T) {
	r := newRig(t, Config{})
	wantStatus(t, r.post(eventsPath, `{"type":"text"}`), 201)
	r.ready("k/1", contextOf(t, `<p style="color:red">hello</p>`))
	r.ready("json", `{"output":{"a":["</pre><script>x()</script>",1]}}`)
	for _, path := range []string{"/v1/kontasks/k%2F1/output", "/v1/kontasks/json/output", "/v1/kontasks/json/output?source=1", "/v1/kontasks/k%2F1/output?source=1"} {
		a := r.get(path)
		wantStatus(t, a, 200)
		for name, want := range map[string]string{
			"Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
			"X-Content-Type-Options":  "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		want := "text/html; charset=UTF-8"
		if strings.HasSuffix(path, "source=1") {
			want = "text/plain; charset=UTF-8"
		}
		if got := a.header.Get("Content-Type"); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
		if head := r.do("HEAD", path, nil); head.status != 200 || head.body != "" || head.header.Get("Content-Security-Policy") != a.header.Get("Content-Security-Policy") {
			t.Errorf("HEAD %s: %d %v", path, head.status, head.header)
		}
	}
	if a := r.get("/v1/kontasks/k%2F1/output"); !strings.HasSuffix(a.body, `<p style="color:red">hello</p>`) || !strings.HasPrefix(a.body, "<!doctype html>") {
		t.Errorf("the card is %s", a.body)
	}
	if a := r.get("/v1/kontasks/k%2F1/output?source=1"); a.body != `<p style="color:red">hello</p>` {
		t.Errorf("the source is %s", a.body)
	}
	if a := r.get("/v1/kontasks/json/output"); !strings.Contains(a.body, "<pre>{") || strings.Contains(a.body, "<script") {
		t.Errorf("JSON is shown as %s", a.body)
	}
}

func TestOutputOfNothing(t *testing.T) {
	r := newRig(t, Config{})
	wantStatus(t, r.post(eventsPath, `{"type":"text"}`), 201)
	for id, context := range map[string]string{"none": `{}`, "null": `{"output":null}`, "text": `"output"`, "list": `[{"output":"x"}]`} {
		r.ready(id, context)
		p := wantCode(t, r.get("/v1/kontasks/"+id+"/output"), 404, codeNotFound)
		if !strings.Contains(p.Detail, "context.output") {
			t.Errorf("%s: %s", id, p.Detail)
		}
	}
	wantCode(t, r.get("/v1/kontasks/nobody/output"), 404, "kontask_not_found")
	wantCode(t, r.get("/v1/kontasks/none/output?sauce=1"), 400, "invalid_query")
	wantCode(t, r.get("/v1/kontasks/none/output?source=perhaps"), 400, "invalid_query")
}

// TestOutputFollowsTheNewestEvent: an update of the card is shown at once.
func TestOutputFollowsTheNewestEvent(t *testing.T) {
	r := newRig(t, Config{})
	wantStatus(t, r.post(eventsPath, `{"type":"text"}`), 201)
	r.ready("k", contextOf(t, "first"))
	wantStatus(t, r.do("PUT", "/v1/kontasks/k", strings.NewReader(`{"context":`+contextOf(t, "second")+`}`)), 200)
	if a := r.get("/v1/kontasks/k/output"); !strings.HasSuffix(a.body, "second") {
		t.Errorf("got %s", a.body)
	}
}

// TestCardNeverLoadsForEver: what waits for a script says that none will come,
// and the script's source stands there instead.
func TestCardNeverLoadsForEver(t *testing.T) {
	const script = "(function(){const definition=`flowchart LR\n A[\"</b>\"] <-->|\"x\"| B`;draw('d',definition);})();"
	page := string(cardPage(`<div style="background:#1e1e1e;color:#e0e0e0"><div id="d"><div>Loading diagram...</div></div><script>` + script + `</script><h4>After</h4></div>`))
	for _, gone := range []string{"<script", "Loading"} {
		if strings.Contains(page, gone) {
			t.Errorf("%q is still there: %s", gone, page)
		}
	}
	for _, want := range []string{cardNotDrawn, "A[&#34;&lt;/b&gt;&#34;] &lt;--&gt;|", "<h4>After</h4>", cardStill, "<div>" + cardNotDrawn + `<details class="konlog-script" open>`} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing in %s", want, page)
		}
	}
}

func TestScriptsOfACard(t *testing.T) {
	shown := func(source string) string {
		return `<details class="konlog-script" open>` + cardScript + source + "</pre></details>"
	}
	for in, want := range map[string]string{
		"<p>Loading…</p>":                                            "<p>Loading…</p>", // no script: it is prose
		"<p>Loading…</p><script>a</script>":                          "<p>" + cardNotDrawn + shown("a") + "</p>",
		"<script>a</script><p>Loading…</p>":                          shown("a") + "<p>" + cardNotDrawn + "</p>",
		"<b>Loading…</b><script src='x'></script><script>a</script>": "<b>" + cardNotDrawn + shown("a") + "</b>",
		"<p>Loading times got worse</p><script>a</script>":           "<p>Loading times got worse</p>" + shown("a"),
		"<SCRIPT type='x>y'>a && b</ScRiPt >c":                       shown("a &amp;&amp; b") + "c",
		"a<script src='x.js'></script>b":                             "ab",
		"<!-- <script>a</script> -->b<script>c</script>":             "<!-- <script>a</script> -->b" + shown("c"),
		"<style>a::after{content:'<script>'}</style>b":               "<style>a::after{content:'<script>'}</style>b",
		"<textarea><script>a</script></textarea>":                    "<textarea><script>a</script></textarea>",
		"<scripted>a</scripted>":                                     "<scripted>a</scripted>",
		"1 < 2 <script>a":                                            "1 < 2 " + shown("a"),
		"<script>a</script><script>b</script>":                       shown("a") + shown("b"),
		`<a title="</script>">b</a><script>c`:                        `<a title="</script>">b</a>` + shown("c"),
		"<script":                                                    "",
		"<script>":                                                   "",
		"<p>b<script/>Loading ...":                                   "<p>b" + shown("Loading ..."),
		"<script>var s = '</scripty>'</script>x":                     shown("var s = &#39;&lt;/scripty&gt;&#39;") + "x",
	} {
		if got, _ := withoutScripts(in); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestCardColours(t *testing.T) {
	for in, follows := range map[string]bool{
		"<p>text</p>":                                                           true,
		`<p style="color:red">text</p>`:                                         true,
		`<div style="background:#eee">text</div>`:                               false,
		`<div style="background-color:#eee">text</div>`:                         false,
		`<table bgcolor="#eee">`:                                                false,
		`<style>body{background:#fff}</style><p>text</p>`:                       false,
		`<div style="background:#111;color:#eee"><div style="background:#222">`: true,
		`<div style='color:#eee;background:#111'>`:                              true,
		`<div style="background-color:#eee">x<p style="color:red">`:             false,
		`<style>:root{color-scheme:light dark}body{background:Canvas}</style>`:  true,
		`<style>@media(prefers-color-scheme:dark){p{background:#000}}</style>`:  true,
	} {
		if got := followsScheme(in); got != follows {
			t.Errorf("%s: %v, want %v", in, got, follows)
		}
		if light := strings.Contains(string(cardPage(in)), cardLight); light == follows {
			t.Errorf("%s: on white is %v", in, light)
		}
	}
}

// FuzzCard: whatever a card holds, no script is left that this finds, and it
// ends.
func FuzzCard(f *testing.F) {
	f.Add(`<p>Loading…</p><script>a("</p>")</script>`)
	f.Add(`<!-- <script> --><style></style><textarea>`)
	f.Fuzz(func(t *testing.T, in string) {
		out, n := withoutScripts(in)
		if n == 0 && scriptAt(in) < 0 && out != in {
			t.Errorf("%q became %q", in, out)
		}
		_ = cardPage(in)
	})
}
