package parity

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
)

// late is how long after its turn a kontask is delivered.
const late = 5 * time.Hour

// TestI10_KontaskHoursLater lets a reader leave when its turn has ended. The
// kontask comes hours later; the reader comes back on another transport, gets
// it in its place with its choices, and two devices choose at the same time.
func TestI10_KontaskHoursLater(t *testing.T) {
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	r := newRig(t, sqlite.Options{Now: now}, quick())
	for from, to := range map[string]string{"ws": "sse", "sse": "poll", "poll": "ws-lines", "many-ws": "many-poll", "many-poll": "many-sse", "many-sse": "ws"} {
		session, card := "s-"+from, "k-"+from
		r.post(t, "/v1/sessions/"+session+"/events", `[{"type":"turn_start","turn":"t"},{"type":"text","turn":"t","data":{"text":"later"}},{"type":"turn_end","turn":"t","data":{"success":true}}]`)
		left := r.listen(t, from, place{session: session}, 3)
		ahead.Add(int64(late))
		r.append(t, "meanwhile", 3, 10)
		choices := `[{"label":"a","value":"do a"},{"label":"b","value":"do b"}]`
		record := fmt.Sprintf(`{"session":%q,"id":%q,"status":"completed" ,"title":"T","requestId":"t","context":{"choices":%s,"n":1.50}}`, session, card, choices)
		r.put(t, "/v1/kontasks/"+card, fmt.Sprintf(`{"session":%q,"status":"running","requestId":"t"}`, session))
		r.put(t, "/v1/kontasks/"+card, record)

		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		w, err := open(ctx, h, r.url, to, []place{{session: session, after: 3, epoch: left.epoch}})
		if err != nil {
			t.Fatal(err)
		}
		back := r.until(t, w, to, 5)
		log, _ := r.readLog(t, session, false)
		same(t, from+" to "+to, back.events, log[3:])
		if len(back.told) > 0 {
			t.Errorf("%s to %s: told %v", from, to, back.told)
		}
		end, ready := r.happened(t, log[2]), r.happened(t, back.events[1])
		if ready.Type != store.TypeKontaskReady || ready.Turn != "t" || string(ready.Data) != record || ready.Time.Sub(end.Time) < late {
			t.Errorf("%s to %s: got %s, hours after %s", from, to, back.events[1], log[2])
		}
		if back.hello != nil {
			var hello struct{ Kontasks []store.Card }
			if err := json.Unmarshal(back.hello, &hello); err != nil || len(hello.Kontasks) != 1 || hello.Kontasks[0].KontaskID != card || string(hello.Kontasks[0].Choices) != choices {
				t.Errorf("%s to %s: %s, %v", from, to, back.hello, err)
			}
		}
		r.chooseTwice(t, session, card)
		live := r.until(t, w, to, 7)
		log, _ = r.readLog(t, session, false)
		same(t, from+" to "+to+" live", live.events, log[5:])
		w.close()
		cancel()
	}
}

// returned is what a reader got that came back.
type returned struct {
	notes
	hello []byte // or nil: a poll has none
}

// until reads a wire until an event has this id.
func (r *rig) until(t *testing.T, w wire, who string, id int64) (n returned) {
	t.Helper()
	for {
		f, err := w.next()
		if err != nil {
			t.Fatalf("%s: %v after %d events, told %v", who, err, len(n.events), n.told)
		}
		if n.note(&f); f.kind == "hello" && len(f.body) > 0 {
			n.hello = bytes.Clone(f.body)
		}
		if f.kind == "" && f.id == id {
			return n
		}
	}
}

func (r *rig) happened(t *testing.T, body []byte) happened {
	t.Helper()
	e, err := parseHappened(body)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// chooseTwice chooses from a kontask on two transports at once.
func (r *rig) chooseTwice(t *testing.T, session, card string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, r.url+"/v1/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	start := make(chan struct{})
	var both sync.WaitGroup
	var rest, frame told
	both.Go(func() {
		<-start
		if err := json.Unmarshal(r.post(t, "/v1/kontasks/"+card+"/choose", `{"choice":"do a"}`), &rest); err != nil {
			t.Error(err)
		}
	})
	both.Go(func() {
		<-start
		if err := conn.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"type":"choose","ref":"1","kontaskId":%q,"choice":1}`, card)); err != nil {
			t.Error(err)
			return
		}
		for {
			_, b, err := conn.Read(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			if bytes.Contains(b, []byte(`"ref":"1"`)) {
				if err := json.Unmarshal(b, &frame); err != nil {
					t.Error(err)
				}
				return
			}
		}
	})
	close(start)
	both.Wait()
	log, _ := r.readLog(t, session, false)
	if len(log) != 7 {
		t.Fatalf("%s has %d events, want one choice and one prompt after the kontask", session, len(log))
	}
	chosen, prompt := r.happened(t, log[5]), r.happened(t, log[6])
	value := []string{"do a", "do b"}[chosen.says.Choice]
	if chosen.Type != store.TypeKontaskChosen || chosen.says.KontaskID != card || prompt.Type != store.TypePrompt || prompt.says.KontaskID != card ||
		prompt.says.Text != value || chosen.says.Value != value || prompt.says.Source != "kontask" {
		t.Errorf("%s: the choice is %s, its prompt %s", session, log[5], log[6])
	}
	for _, a := range []told{rest, frame} {
		if a.Code != "" || a.ID != 6 || a.Turn != prompt.Turn || a.Duplicate && !bytes.Equal(a.Event, log[5]) {
			t.Errorf("%s: told %+v, want event 6 and turn %s", session, a, prompt.Turn)
		}
	}
	if rest.Duplicate == frame.Duplicate || rest.Duplicate != (value == "do b") {
		t.Errorf("%s: chosen was %q; told %+v and %+v", session, value, rest, frame)
	}
}

func (r *rig) post(t *testing.T, path, body string) []byte { return r.send(t, "POST", path, body) }
func (r *rig) put(t *testing.T, path, body string) []byte  { return r.send(t, "PUT", path, body) }

// send makes a request that must succeed, past every proxy.
func (r *rig) send(t *testing.T, method, path, body string) []byte {
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return nil
	}
	req.Header.Set("Content-Type", "application/json")
	h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := h.Do(req)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode > 299 {
		t.Errorf("%s %s: status %d, %v: %s", method, path, resp.StatusCode, err, b)
	}
	return b
}
