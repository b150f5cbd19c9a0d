package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/spf13/pflag"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/trace"
)

// observed is a running server with default settings.
type observed struct {
	*testing.T
	s  *server
	cl *client.Client
}

func observe(t *testing.T, logger *slog.Logger, env map[string]string) *observed {
	t.Helper()
	vars := map[string]string{"KONLOG_ADDR": "127.0.0.1:0", "KONLOG_DATA": t.TempDir(), "KONLOG_DRAIN_SPREAD": "0s"}
	maps.Copy(vars, env)
	c, err := resolve(pflag.NewFlagSet("", pflag.ContinueOnError), func(name string) (string, bool) { v, ok := vars[name]; return v, ok }, "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := startServer(t.Context(), c, logger)
	if err != nil {
		t.Fatal(err)
	}
	cl, err := client.New(s.url, client.WithRetry(client.RetryLimits{Attempts: 1}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cl.Close()
		if err := s.stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &observed{t, s, cl}
}

// scrape is what the server counts now.
func (o *observed) scrape() scrape {
	o.Helper()
	text, err := o.cl.Metrics(o.Context())
	if err != nil {
		o.Fatal(err)
	}
	s, err := parseScrape(text)
	if err != nil {
		o.Fatal(err)
	}
	return s
}

// send makes a request and returns the status.
func (o *observed) send(method, path, body string, header ...string) int {
	o.Helper()
	r, err := http.NewRequestWithContext(o.Context(), method, o.s.url+path, strings.NewReader(body))
	if err != nil {
		o.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		o.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

func readDoc(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile("../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const observabilityDoc = "docs/OBSERVABILITY.md"

// labelsOf are the names of a metric's labels.
func labelsOf(f *dto.MetricFamily) []string {
	names := map[string]bool{}
	for _, m := range f.GetMetric() {
		for _, l := range m.Label {
			names[l.GetName()] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

var docRow = regexp.MustCompile("(?m)^\\| `(konlog_\\w+)` \\| (\\w+) \\| ([^|]*)\\| ([^|]*)\\|$")

// Every metric stands in the documentation as it is, and nothing else does.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	o := observe(t, quietLog(), nil)
	o.send("GET", "/nothing", "")
	served := o.scrape()
	documented := map[string]bool{}
	for _, row := range docRow.FindAllStringSubmatch(readDoc(t, observabilityDoc), -1) {
		name, typ, labels, text := row[1], row[2], strings.Split(strings.ReplaceAll(strings.TrimSpace(row[3]), "`", ""), ", "), row[4]
		if documented[name] {
			t.Errorf("%s is documented twice", name)
		}
		documented[name] = true
		f := served[name]
		switch {
		case f == nil && strings.Contains(text, "only with TLS"):
		case f == nil:
			t.Errorf("%s is documented and not served", name)
		case strings.ToLower(f.GetType().String()) != typ:
			t.Errorf("%s is a %s, not a %s", name, f.GetType(), typ)
		case strings.Join(labelsOf(f), ", ") != strings.Join(labels, ", "):
			t.Errorf("%s has the labels %q, documented are %q", name, labelsOf(f), labels)
		}
	}
	for name, f := range served {
		if strings.HasPrefix(name, "konlog_") && !documented[name] {
			t.Errorf("%s is served and not in %s", name, observabilityDoc)
		}
		for _, label := range labelsOf(f) {
			if strings.Contains(label, "session") || strings.Contains(label, "addr") || strings.Contains(label, "token") {
				t.Errorf("%s is labelled by %s, which clients choose", name, label)
			}
		}
	}
	text, err := o.cl.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "konlog_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// limitSettings are the settings that bound what clients can do.
func limitSettings() (keys []string) {
	for _, s := range settings {
		group, _, _ := strings.Cut(s.key, ".")
		bounds := group == "limits" || group == "quota" || group == "disk" || s.key == "agents.max" || group == "engine"
		if bounds && (s.kind == kindInt || s.kind == kindBytes || s.kind == kindDuration) {
			keys = append(keys, s.key)
		}
	}
	return keys
}

var (
	limitRow  = regexp.MustCompile("(?m)^\\| ((?:`[a-z-]+\\.[a-z-]+`(?:, )?)+) \\| (.*) \\|$")
	backticks = regexp.MustCompile("`([^`]+)`")
)

// Every limit has its value as a metric, and says in the documentation what
// shows that it is near or reached; that exists, with the label's value.
func TestEveryLimitHasAMetric(t *testing.T) {
	t.Parallel()
	o := observe(t, quietLog(), nil)
	served := o.scrape()
	doc := readDoc(t, observabilityDoc)
	_, doc, _ = strings.Cut(doc, "\n## Limits\n")
	doc, _, _ = strings.Cut(doc, "\n## ")
	shown := map[string]string{}
	for _, row := range limitRow.FindAllStringSubmatch(doc, -1) {
		for _, key := range backticks.FindAllStringSubmatch(row[1], -1) {
			shown[key[1]] = row[2]
		}
		metrics := 0
		for _, m := range backticks.FindAllStringSubmatch(row[2], -1) {
			if !strings.HasPrefix(m[1], "konlog_") {
				continue
			}
			metrics++
			for _, problem := range problemsOf(m[1], served) {
				t.Errorf("%s: %s", row[1], problem)
			}
		}
		if metrics == 0 {
			t.Errorf("%s: no metric shows it", row[1])
		}
	}
	for _, key := range limitSettings() {
		if shown[key] == "" {
			t.Errorf("%s has no row under Limits in %s", key, observabilityDoc)
		}
		delete(shown, key)
	}
	for key := range shown {
		t.Errorf("%s is no limit, but has a row", key)
	}
	for key, want := range limitValues(o.s.settings) {
		if got, ok := served.sum("konlog_limit", "name", key); !ok || got != want {
			t.Errorf("konlog_limit of %s: got %v, want %v", key, got, want)
		}
	}
	for _, transport := range []string{"websocket", "sse", "poll"} {
		for _, name := range []string{"connections", "subscriptions", "connections_opened_total", "writes_total", "delivered_events_total", "delivered_bytes_total"} {
			if _, ok := served.sum("konlog_"+name, "transport", transport); !ok {
				t.Errorf("konlog_%s is not there for %s", name, transport)
			}
		}
	}
}

var (
	selector   = regexp.MustCompile(`\b((?:konlog|process|go)_\w+)\b(?:\{([^}]*)\})?`)
	matcher    = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	grouping   = regexp.MustCompile(`\b(?:by|ignoring|on)\s*\(([^)]*)\)`)
	ofTheJob   = []string{"job", "instance"} // what a scrape adds
	histSuffix = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// problemsOf says what of a PromQL expression the server does not have.
func problemsOf(expr string, served scrape) (problems []string) {
	known := map[string]bool{}
	selectors := selector.FindAllStringSubmatch(expr, -1)
	for _, sel := range selectors {
		name := sel[1]
		f := served[name]
		if f == nil {
			if f = served[histSuffix.ReplaceAllString(name, "")]; f.GetType() != dto.MetricType_HISTOGRAM {
				f = nil
			}
			known["le"] = true
		}
		if f == nil {
			if name != "konlog_tls_certificate_expiry_seconds" { // only with TLS
				problems = append(problems, name+" is not served")
			}
			continue
		}
		for _, label := range labelsOf(f) {
			known[label] = true
		}
		for _, m := range matcher.FindAllStringSubmatch(sel[2], -1) {
			if slices.Contains(ofTheJob, m[1]) {
				continue
			}
			if !slices.Contains(labelsOf(f), m[1]) {
				problems = append(problems, fmt.Sprintf("%s has no label %s", name, m[1]))
				continue
			}
			for _, want := range strings.Split(m[3], "|") {
				if _, ok := served.sum(f.GetName(), m[1], want); !ok && strings.HasPrefix(m[2], "=") {
					problems = append(problems, fmt.Sprintf("%s has no %s %q", name, m[1], want))
				}
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(g[1], ",") {
			if label = strings.TrimSpace(label); !known[label] && !slices.Contains(ofTheJob, label) {
				problems = append(problems, fmt.Sprintf("nothing in %q has the label %s", expr, label))
			}
		}
	}
	return problems
}

// dashboard is what is read of the dashboard.
type dashboard struct {
	Title, UID    string
	SchemaVersion int
	Panels        []struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ H, W, X, Y int }
		Targets []struct{ Expr, RefID string }
	}
	Templating struct {
		List []struct{ Name, Type string }
	}
}

func TestDashboard(t *testing.T) {
	t.Parallel()
	o := observe(t, quietLog(), nil)
	served := o.scrape()
	var d dashboard
	if err := json.Unmarshal([]byte(readDoc(t, "deploy/grafana/konlog.json")), &d); err != nil {
		t.Fatal(err)
	}
	var rows, variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
	}
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if p.ID == 0 || ids[p.ID] || p.Title == "" {
			t.Errorf("panel %q has no id, no title, or another's id", p.Title)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if cells[at] != "" || at[0] >= 24 {
					t.Fatalf("panel %q lies over %q, or outside", p.Title, cells[at])
				}
				cells[at] = p.Title
			}
		}
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		if len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			if len(selector.FindAllString(target.Expr, -1)) == 0 {
				t.Errorf("panel %q: %q names no metric", p.Title, target.Expr)
			}
			for _, problem := range problemsOf(strings.NewReplacer("$job", ".*", "$instance", ".*").Replace(target.Expr), served) {
				t.Errorf("panel %q: %s", p.Title, problem)
			}
		}
	}
	if got, want := strings.Join(rows, " "), "Log Readers Limits Agents Storage Process"; got != want {
		t.Errorf("rows: got %s, want %s", got, want)
	}
	if d.Title != "konlog" || d.UID != "konlog" || d.SchemaVersion < 36 || strings.Join(variables, " ") != "datasource job instance" {
		t.Errorf("got %+v", d.Templating)
	}
}

var (
	alertRule = regexp.MustCompile(`(?m)^      - alert: (\w+)\n        expr: >-\n          (.+)\n        for: (\w+)\n        labels:\n          severity: (critical|warning|info)\n        annotations:\n          summary: '(.+)'\n          description: '(.+)'\n          runbook_url: (\S+)$`)
	inText    = regexp.MustCompile(`\$labels\.(\w+)`)
)

func TestAlerts(t *testing.T) {
	t.Parallel()
	o := observe(t, quietLog(), nil)
	served := o.scrape()
	text, doc := readDoc(t, "deploy/prometheus/alerts.yml"), readDoc(t, observabilityDoc)
	rules := alertRule.FindAllStringSubmatch(text, -1)
	if len(rules) == 0 || len(rules) != strings.Count(text, "- alert:") {
		t.Fatalf("%d of %d rules have all that they need", len(rules), strings.Count(text, "- alert:"))
	}
	known := map[string]bool{}
	for _, r := range rules {
		name, expr := r[1], r[2]
		known[name] = true
		for _, problem := range problemsOf(expr, served) {
			t.Errorf("%s: %s", name, problem)
		}
		if !strings.Contains(doc, "\n### "+name+"\n\n") || !strings.HasSuffix(r[7], observabilityDoc+"#"+strings.ToLower(name)) {
			t.Errorf("%s has no section in %s, or another's link", name, observabilityDoc)
		}
		for _, label := range inText.FindAllStringSubmatch(r[5]+r[6], -1) {
			if !slices.Contains(ofTheJob, label[1]) && !strings.Contains(expr, label[1]) {
				t.Errorf("%s: its text has the label %s, its expression has not", name, label[1])
			}
		}
	}
	for _, section := range regexp.MustCompile(`(?m)^### (Konlog\w+)$`).FindAllStringSubmatch(doc, -1) {
		if !known[section[1]] {
			t.Errorf("%s has a section and no rule", section[1])
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Log("promtool is not here; the rules were not read by Prometheus itself")
		return
	}
	for _, args := range [][]string{{"check", "rules", "../../deploy/prometheus/alerts.yml"}, {"check", "config", "../../deploy/prometheus/prometheus.yml"}} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// What is done shows, where it belongs and nowhere else.
func TestMetricsCount(t *testing.T) {
	t.Parallel()
	o := observe(t, quietLog(), nil)
	before := o.scrape()
	for range 3 {
		if got := o.send("POST", "/v1/sessions/s1/events", `[{"type":"note","data":{}},{"type":"note","data":{"n":1}}]`); got != http.StatusCreated {
			t.Fatalf("status %d", got)
		}
	}
	o.send("POST", "/v1/sessions/s1/events", `{"type":"note","key":"k","data":{}}`)
	o.send("POST", "/v1/sessions/s1/events", `{"type":"note","key":"k","data":{}}`)
	o.send("POST", "/v1/sessions/s1/events", `{"type":"no type","data":{}}`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	live := make(chan struct{}, 1)
	got := make(chan int64, 100)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for e, err := range o.cl.Tail(ctx, "s1", client.TailOptions{Transport: "sse", OnState: func(s client.State) {
			if s.Kind == client.StateCaughtUp {
				select {
				case live <- struct{}{}:
				default:
				}
			}
		}}) {
			if err != nil {
				return
			}
			got <- e.ID
		}
	}()
	for range 7 {
		<-got
	}
	<-live
	o.send("POST", "/v1/sessions/s1/events", `{"type":"note","data":{"live":true}}`)
	<-got
	var after scrape
	for deadline := time.Now().Add(10 * time.Second); ; { // the server counts after the reader has it
		after = o.scrape()
		if after.value("konlog_delivered_events_total", "transport", "sse") == 8 && samples(after, "konlog_reader_lag_seconds") == 1 || time.Now().After(deadline) {
			break
		}
	}
	grew := func(name string, labels ...string) float64 {
		return after.value(name, labels...) - before.value(name, labels...)
	}
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"konlog_appends_total", nil, 6}, {"konlog_append_duplicates_total", nil, 1}, {"konlog_events_total", nil, 8},
		{"konlog_refused_total", nil, 1}, {"konlog_refused_total", []string{"code", "invalid_type"}, 1},
		{"konlog_http_requests_total", []string{"route", "/v1/sessions/:s/events", "method", "POST", "status", "201"}, 5},
		{"konlog_connections", []string{"transport", "sse"}, 1}, {"konlog_connections", nil, 1}, {"konlog_subscriptions", nil, 1}, {"konlog_subscriptions", []string{"transport", "sse"}, 1},
		{"konlog_delivered_events_total", []string{"transport", "sse"}, 8}, {"konlog_streams_open", nil, 1}, {"konlog_connections_opened_total", []string{"transport", "websocket"}, 0},
		{"konlog_sessions", nil, 1}, {"konlog_commits_failed_total", nil, 0}, {"konlog_readers_cut_total", nil, 0},
	} {
		if got := grew(c.name, c.labels...); got != c.want {
			t.Errorf("%s %q grew by %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	if n := samples(after, "konlog_append_seconds") - samples(before, "konlog_append_seconds"); n != 6 {
		t.Errorf("%v appends were timed", n)
	}
	if n, sum := samples(after, "konlog_reader_lag_seconds"), sumOf(after, "konlog_reader_lag_seconds"); n != 1 || sum <= 0 || sum > 60 {
		t.Errorf("lag: %v batches, %v seconds", n, sum)
	}
	if events := sumOf(after, "konlog_commit_events") - sumOf(before, "konlog_commit_events"); events < 8 {
		t.Errorf("commits had %v events", events)
	}
	for _, name := range []string{"konlog_commit_seconds", "konlog_commit_sync_seconds", "konlog_queue_wait_seconds"} {
		if samples(after, name) == samples(before, name) || sumOf(after, name) <= sumOf(before, name) {
			t.Errorf("%s did not grow", name)
		}
	}
	if c, s := sumOf(after, "konlog_commit_seconds"), sumOf(after, "konlog_commit_sync_seconds"); s >= c {
		t.Errorf("COMMITs took %v of transactions of %v", s, c)
	}
	if after.value("konlog_database_bytes") == 0 || after.value("konlog_wal_bytes") == 0 {
		t.Error("the database has no size")
	}
	cancel()
	<-ended
}

func samples(s scrape, name string) (n float64) {
	for _, m := range s[name].GetMetric() {
		n += float64(m.GetHistogram().GetSampleCount())
	}
	return n
}

func sumOf(s scrape, name string) (sum float64) {
	for _, m := range s[name].GetMetric() {
		sum += m.GetHistogram().GetSampleSum()
	}
	return sum
}

// logText keeps lines.
type logText struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.b.String()
	l.b.Reset()
	return text
}

// What requests carry stands in no line at any level, nor in the metrics; at
// info they make no line at all; and a refusal can be found by its request id.
func TestLogIsQuietAndDiscreet(t *testing.T) {
	t.Parallel()
	const secret = "S3CR3T-in-a-request"
	work := func(o *observed) {
		for _, body := range []string{`{"type":"note","data":{"t":"` + secret + `"}}`, `{"type":"` + secret + ` ","data":{}}`, `{"type":"note","` + secret, secret} {
			o.send("POST", "/v1/sessions/s1/events", body, "Authorization", "Bearer "+secret, "Cookie", "konlog="+secret, "X-Request-Id", "find-me")
		}
		o.send("POST", "/v1/sessions/s1/events", `{"type":"note"}`, "Producer-Id", secret)
		o.send("POST", "/v1/sessions/s1/events?create="+secret, `{"type":"note"}`)
		o.send("POST", "/v1/sessions/s1/prompts", `{"text":"`+secret+`"}`)
		o.send("POST", "/v1/sessions/s1/answers", `{"requestId":"`+secret+`","allow":true}`)
		o.send("POST", "/v1/webhooks", `{"url":"https://example.org/`+secret+`","types":["`+secret+`"]}`)
		o.send("GET", "/v1/search?q="+secret, "")
		o.send("GET", "/v1/sessions?cursor="+secret+"&access_token="+secret+"&ticket="+secret, "")
		o.send("GET", "/v1/sessions/s1/ws?ticket="+secret, "")
	}
	t.Run("info", func(t *testing.T) {
		var text logText
		o := observe(t, slog.New(slog.NewTextHandler(&text, nil)), nil)
		text.take()
		work(o)
		if got := text.take(); got != "" {
			t.Errorf("requests made lines:\n%s", got)
		}
	})
	t.Run("debug", func(t *testing.T) {
		var text logText
		o := observe(t, slog.New(slog.NewJSONHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug})), nil)
		work(o)
		got := text.take()
		if strings.Contains(got, secret) {
			t.Errorf("the log has what requests carried:\n%s", got)
		}
		if !strings.Contains(got, `"request":"find-me"`) {
			t.Errorf("a refusal cannot be found by its id:\n%s", got)
		}
		metrics, err := o.cl.Metrics(t.Context())
		if err != nil || bytes.Contains(metrics, []byte(secret)) {
			t.Errorf("the metrics have what requests carried, or: %v", err)
		}
		for line := range strings.Lines(got) {
			var fields map[string]any
			if err := json.Unmarshal([]byte(line), &fields); err != nil || fields["msg"] == "" || fields["level"] == "" || fields["time"] == "" {
				t.Errorf("line %q: %v", line, err)
			}
		}
	})
}

func TestLogFormat(t *testing.T) {
	for format, want := range map[string]string{"text": "msg=hello", "json": `"msg":"hello"`} {
		var b bytes.Buffer
		logger, err := newLogger(&b, slog.LevelInfo, format)
		if err != nil {
			t.Fatal(err)
		}
		logger.Debug("nothing")
		logger.Info("hello")
		if got := b.String(); !strings.Contains(got, want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: got %q", format, got)
		}
	}
	if _, err := newLogger(io.Discard, slog.LevelInfo, "xml"); err == nil || explain(err).code != exitUsage || explain(err).hint == "" {
		t.Errorf("got %v", err)
	}
}

// Settings of tracing that cannot work are refused, and say what to do.
func TestTraceSettings(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string // part of the error; "" is fine
	}{
		{nil, ""},
		{map[string]string{"KONLOG_TRACE_SAMPLE": "2"}, "trace.sample"},
		{map[string]string{"KONLOG_TRACE_SAMPLE": "NaN"}, "trace.sample"},
		{map[string]string{"KONLOG_TRACE_SAMPLE": "some"}, "trace.sample"},
		{map[string]string{"KONLOG_TRACE_ENDPOINT": "collector"}, "trace.endpoint"},
		{map[string]string{"KONLOG_TRACE_ENDPOINT": "http://collector", "KONLOG_TRACE_HEADERS_FILE": "/nowhere"}, "trace."},
	} {
		cfg, err := resolve(pflag.NewFlagSet("", pflag.ContinueOnError), func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }, "")
		if err != nil {
			t.Fatal(err)
		}
		_, on, err := traceConfig(cfg)
		if (err != nil) != (c.want != "") || on || err != nil && (!strings.Contains(err.Error(), c.want) || explain(err).code != exitUsage) {
			t.Errorf("%v: got %v, on %t", c.env, err, on)
		}
	}
	cfg, err := resolve(pflag.NewFlagSet("", pflag.ContinueOnError), func(name string) (string, bool) { return "http://127.0.0.1:4318", name == "KONLOG_TRACE_ENDPOINT" }, "")
	if err != nil {
		t.Fatal(err)
	}
	_, on, err := traceConfig(cfg)
	if trace.Built != on || on == (err != nil) {
		t.Errorf("built with OpenTelemetry %t: on %t, %v", trace.Built, on, err)
	}
	if err != nil && (!errors.Is(err, trace.ErrNotBuilt) || !strings.Contains(explain(err).hint, "-tags otel")) {
		t.Errorf("got %v, hint %q", err, explain(err).hint)
	}
}
