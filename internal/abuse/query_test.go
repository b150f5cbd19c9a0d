package abuse

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/konlog/konlog/api"
)

// limited is how often a limit has worked, as the metrics say.
func (tg *target) limited(t *testing.T, limit string) int {
	t.Helper()
	req, _ := http.NewRequest("GET", "http://"+tg.addr+"/metrics", nil)
	req.Header.Set("Authorization", "Bearer "+ordinaryToken)
	res, err := tg.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	_, rest, ok := strings.Cut(string(text), `konlog_limited_total{limit="`+limit+`"} `)
	if !ok {
		t.Fatalf("no metric of %s: %.300s", limit, text)
	}
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Queries that are made to be dear are refused or bounded: many terms, short
// prefixes, patterns, deep cursors.
func TestQueryBombs(t *testing.T) {
	tg := newTarget(t, nil)
	tg.seed("lorem", 400, 2000)
	many := make([]string, 2000)
	for i := range many {
		many[i] = "s" + strconv.Itoa(i) + ":1"
	}
	bombs := []string{
		"/v1/search?q=" + url.QueryEscape("l* o* r* e* m*"),
		"/v1/search?q=" + url.QueryEscape(strings.Repeat("lor* ", 32)),
		"/v1/search?q=" + url.QueryEscape(strings.Repeat("a ", 250)),
		"/v1/search?q=" + url.QueryEscape(`"lorem ipsum lorem ipsum lorem ipsum" -zzz lor* ips*`) + "&limit=100",
		"/v1/search?q=" + url.QueryEscape(strings.Repeat(`"`, 200)+strings.Repeat("(", 200)+" NEAR/2 lorem"),
		"/v1/search?q=" + url.QueryEscape(strings.Repeat("-lorem ", 60)),
		"/v1/search?q=" + url.QueryEscape("lorem' OR 1=1 --"),
		"/v1/sessions?q=" + url.QueryEscape(strings.Repeat("%_", 2000)),
		"/v1/sessions?q=" + url.QueryEscape(strings.Repeat("%", 100)+"z"),
		"/v1/sessions?tag=" + strings.Repeat("x", 10_000),
		"/v1/turns?q=" + url.QueryEscape(strings.Repeat("lor* ", 30)),
		"/v1/turns?cursor=" + strings.Repeat("9", 1000),
		"/v1/poll?cursor=" + strings.Join(many, ","),
		"/v1/sse?cursor=" + strings.Join(many, ","),
		"/v1/sessions/lorem/events?types=" + strings.Repeat("a,", 5000),
		"/v1/sessions/lorem/events?after=99999999999999999999999",
		"/v1/sessions/lorem/events?" + strings.Repeat("a=1&", 4000),
		"/v1/kontasks?tag=" + url.QueryEscape(strings.Repeat("*", 5000)),
	}
	for _, path := range bombs {
		if status, body := tg.ask("GET", path, ""); status == 0 || status >= 500 {
			t.Errorf("%.80s: %d %.200s", path, status, body)
		}
	}
	tg.under(measured{heap: connectionsHeap() + 8<<20, sockets: socketsMax()}, func(ctx context.Context) {
		crowd(ctx, 4, func(_ context.Context, i int) {
			for _, path := range bombs[i*4 : i*4+4] {
				tg.ask("GET", path, "")
			}
		})
	})
}

// So many sessions per hour and credential, by whatever route; tags, titles and
// meta are bounded each.
func TestManySessions(t *testing.T) {
	tg := newTarget(t, nil)
	var made, refused atomic.Int64
	tg.under(measured{heap: connectionsHeap() + 4<<20, sockets: socketsMax()}, func(ctx context.Context) {
		crowd(ctx, 4, func(_ context.Context, i int) {
			n := made.Load() + refused.Load()
			path, body := fmt.Sprintf("/v1/sessions/m%d-%d/events", i, n), `{"type":"a"}`
			switch status, answer := tg.ask("POST", path, body, "Content-Type: application/json"); {
			case status == 201:
				made.Add(1)
			case codeOf(answer) == "too_many_sessions/sessions-per-hour", codeOf(answer) == "rate_limited/requests":
				refused.Add(1)
			default:
				if status != 0 {
					t.Errorf("%d %s", status, answer)
				}
			}
		})
	})
	if most := int64(settings().Rates.SessionsPerHour) + 1; made.Load() > most || made.Load() == 0 || refused.Load() == 0 {
		t.Errorf("%d sessions were made and %d refused; the limit is %d", made.Load(), refused.Load(), most)
	}
}

// Descriptions of a session that are too much are refused.
func TestManyTags(t *testing.T) {
	tg := newTarget(t, func(c *api.Config) { c.Rates.SessionsPerHour = 0 })
	tags := `["` + strings.Join(strings.Split(strings.Repeat("t", 5000), ""), `","`) + `"]`
	meta := `{` + strings.Repeat(`"k":"v",`, 5000) + `"z":1}`
	for name, body := range map[string]string{
		"tags": `{"tags":` + tags + `}`, "meta": `{"meta":{"a":"` + strings.Repeat("x", 60<<10) + `"}}`, "one key": `{"meta":` + meta + `}`,
		"title": `{"title":"` + strings.Repeat("x", 60<<10) + `"}`, "scope": `{"scope":"` + strings.Repeat("x", 60<<10) + `"}`, "all": `{"meta":{"a":"` + strings.Repeat("x", 1<<20) + `"}}`,
	} {
		if status, answer := tg.ask("PUT", "/v1/sessions/tagged", body, "Content-Type: application/json"); status != 400 && status != 413 && status != 0 {
			t.Errorf("%s: %d %.200s", name, status, answer)
		}
	}
}

// HTML that is made to be dear to read is given in a time that does not hold up
// the others.
func TestHTMLBombs(t *testing.T) {
	tg := newTarget(t, nil)
	for i, html := range []string{
		strings.Repeat("<div>", 120_000),
		strings.Repeat("<script>", 80_000),
		strings.Repeat("<", 700_000),
		strings.Repeat("<a b='", 90_000),
		strings.Repeat("<style>a{color:red", 30_000),
		strings.Repeat("<!--", 150_000),
		strings.Repeat("</script>", 70_000) + "Loading …",
		strings.Repeat("&amp;", 130_000),
	} {
		body := fmt.Sprintf(`{"session":"cards","status":"ready","context":{"output":%q}}`, html)
		path := fmt.Sprintf("/v1/kontasks/k%d", i)
		if status, answer := tg.ask("PUT", path, body, "Content-Type: application/json"); status != 200 && status != 201 {
			t.Fatalf("card %d: %d %.200s", i, status, answer)
		}
	}
	tg.under(measured{heap: connectionsHeap() + 32<<20, sockets: socketsMax()}, func(ctx context.Context) {
		crowd(ctx, 2, func(_ context.Context, i int) {
			for k := range 4 {
				if status, answer := tg.ask("GET", fmt.Sprintf("/v1/kontasks/k%d/output", i*4+k), ""); status != 200 && status != 429 && status != 0 {
					t.Errorf("card %d: %d %.200s", i*4+k, status, answer)
				}
			}
		})
	})
}
