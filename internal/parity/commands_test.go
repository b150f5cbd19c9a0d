package parity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/internal/faultproxy"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
)

// The size of the commands' schedule.
const (
	ownPrompts     = 3 // of each device
	sharedPrompts  = 3 // of each session: every device sends each of them
	commandPhase   = 150 * time.Millisecond
	commandPhases  = 16 // then the network is good, however slow the machine is
	commandTimeout = 400 * time.Millisecond
	resentMin      = 15 // of some six hundred: commands whose outcome was not known
)

// deviceWires are how the devices of a session read. Those that read over a
// WebSocket send their commands as frames of it, the others over REST.
var deviceWires = []string{"ws", "many-ws", "sse", "poll"}

// TestP7_I10_CommandsThroughABadNetwork lets devices of every kind send
// prompts, stops, answers, choices and read marks through a bad network, each
// of them again until its outcome is known. In the end all of it is in the log
// once, everybody was told the same, and what they read is the log.
func TestP7_I10_CommandsThroughABadNetwork(t *testing.T) {
	t.Parallel() // it waits most of the time
	seed := seedFromEnv(t)
	r := newRig(t, sqlite.Options{CacheBytes: 1 << 20}, quick())
	proxy, err := faultproxy.New(r.addr, int64(seed), faultproxy.Faults{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), settleMax)
	defer cancel()
	h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	names := []string{"s0", "s1"}
	var devices []*device
	var reading, acting sync.WaitGroup
	for i, name := range names {
		if _, _, err := r.direct.CreateSession(ctx, name, store.SessionSpec{}); err != nil {
			t.Fatal(err)
		}
		a := &agent{c: r.direct, session: name, random: rand.New(rand.NewPCG(seed, uint64(50+i))), wanted: ownPrompts*len(deviceWires) + sharedPrompts}
		acting.Go(func() { report(t, "agent of "+name, a.run(ctx)) })
		for j, transport := range deviceWires {
			d := newDevice(fmt.Sprintf("%s over %s", name, transport), transport, name, proxy.URL(), h, rand.New(rand.NewPCG(seed, uint64(100*i+j))))
			devices = append(devices, d)
			reading.Go(func() { report(t, d.name, d.run(ctx)) })
			d.prompt(ctx)
		}
	}
	produced := make(chan struct{})
	go func() {
		defer close(produced)
		acting.Wait()
		for _, name := range names {
			_, err := r.direct.Append(ctx, name, client.AppendOptions{}, store.Draft{Type: "marker"})
			report(t, "marker", err)
		}
		for _, d := range devices {
			d.settle(ctx)
		}
	}()
	spoilCommands(ctx, proxy, rand.New(rand.NewPCG(seed, 1)), produced)
	<-produced
	if ctx.Err() != nil {
		for _, d := range devices {
			t.Logf("%s is at %d and waits for %s", d.name, d.at.after, d.waitsFor())
		}
		t.Fatal("the commands did not settle")
	}
	for _, name := range names {
		if _, err := r.direct.CloseSession(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	reading.Wait()
	sent, commands := int64(0), 0
	for _, name := range names {
		log, _ := r.readLog(t, name, false)
		c := newCommandLog(t, name, log)
		c.checkOnce()
		for _, d := range devices {
			if d.session != name {
				continue
			}
			same(t, d.name, d.got, log)
			c.checkTold(d)
			sent, commands = sent+d.sent.Load(), commands+len(d.settled)
		}
		c.checkWinners()
		for _, d := range devices {
			if d.session == name {
				c.checkFrames(d)
			}
		}
		if mark, err := r.log.Seen(t.Context(), store.SubjectLocal, name); err != nil || mark != c.seen {
			t.Errorf("%s is seen up to %d, %v, want %d", name, mark, err, c.seen)
		}
	}
	s := proxy.Stats()
	t.Logf("%d commands were sent %d times, faults %+v", commands, sent, s)
	if s.Closes+s.Resets < 5 || s.HalfOpens < 2 || s.Stalls < 2 || sent < int64(commands)+resentMin {
		t.Error("the network was too good: this proves nothing")
	}
}

// spoilCommands changes the network's faults until all commands are settled,
// and makes it a good one at the end.
func spoilCommands(ctx context.Context, proxy *faultproxy.Proxy, random *rand.Rand, produced <-chan struct{}) {
	for phase, done := 0, false; ctx.Err() == nil && phase < commandPhases && !done; phase++ {
		proxy.SetFaults(faultproxy.Faults{
			Reset: 0.15 * random.Float64(), Close: 0.1 + 0.2*random.Float64(), HalfOpen: 0.05 + 0.1*random.Float64(), Stall: 0.5 * random.Float64(),
			StallFor: time.Duration(random.IntN(150)) * time.Millisecond, Within: 128 << random.IntN(7),
			SplitMax: 64 << random.IntN(7), DelayMax: time.Duration(random.IntN(1000)) * time.Microsecond,
		})
		if random.IntN(3) == 0 {
			proxy.CutAll()
		}
		pause(ctx, commandPhase/3+time.Duration(random.Int64N(int64(commandPhase))))
		select {
		case <-produced:
			done = true
		default:
		}
	}
	proxy.SetFaults(faultproxy.Faults{})
	proxy.CutAll()
}

// happened is what of an event a device, an agent or the check looks at.
type happened struct {
	ID     int64
	Type   string
	Turn   string
	Parent string
	Time   time.Time
	Data   json.RawMessage
	says   struct {
		RequestID, KontaskID, ID, Source, Text, By, Reason string
		Choice                                             int
		Value                                              string
	}
}

func parseHappened(body []byte) (e happened, err error) {
	if err = json.Unmarshal(body, &e); err == nil && len(e.Data) > 0 && e.Data[0] == '{' {
		err = json.Unmarshal(e.Data, &e.says)
	}
	return e, err
}

// agent works off the prompts of one session, one turn at a time. It asks in
// every turn and delivers a kontask with each that a person has asked for.
type agent struct {
	c       *client.Client
	session string
	random  *rand.Rand
	wanted  int // prompts of persons

	queue                                       []happened
	open                                        happened // the prompt at work; its Turn is "" without
	prompts, asked, answered, delivered, chosen int
}

func (a *agent) run(ctx context.Context) error {
	for e, err := range a.c.Tail(ctx, a.session, client.TailOptions{}) {
		if err != nil {
			return err
		}
		h, err := parseHappened(e.JSON)
		if err != nil {
			return err
		}
		if err := a.take(ctx, h); err != nil {
			return err
		}
		for a.open.Turn == "" && len(a.queue) > 0 {
			if err := a.begin(ctx); err != nil {
				return err
			}
		}
		if a.prompts >= a.wanted && a.open.Turn == "" && len(a.queue) == 0 && a.answered >= a.asked && a.chosen >= a.delivered { // more is for the check to find
			return nil
		}
	}
	return fmt.Errorf("the tail ended: %w", ctx.Err())
}

func (a *agent) take(ctx context.Context, h happened) error {
	switch h.Type {
	case store.TypePrompt:
		if a.queue = append(a.queue, h); h.says.Source == "kontask" {
			a.chosen++
		} else {
			a.prompts++
		}
	case store.TypeTurnEnd: // of one that waited, if it is still there
		a.queue = slices.DeleteFunc(a.queue, func(q happened) bool { return q.Turn == h.Turn })
	case store.TypePermissionResponse:
		if a.answered++; h.says.RequestID == "q-"+a.open.Turn {
			return a.end(ctx, true)
		}
	case store.TypeStopTurn:
		if a.open.Turn != "" && h.Turn == a.open.Turn {
			return a.end(ctx, false)
		}
	}
	return nil
}

func (a *agent) begin(ctx context.Context) error {
	h := a.queue[0]
	a.queue = a.queue[1:]
	_, err := a.c.Append(ctx, a.session, client.AppendOptions{},
		store.Draft{Type: store.TypeTurnStart, Turn: h.Turn},
		store.Draft{Type: store.TypeTextDelta, Turn: h.Turn, Data: []byte(`{"text" : "on it"}`)},
		store.Draft{Type: store.TypePermissionRequest, Turn: h.Turn, Parent: "tool", Data: fmt.Appendf(nil, `{"requestId":"q-%s","tool":"Bash"}`, h.Turn)})
	if store.CodeOf(err) == store.CodeTurnEnded { // somebody has stopped it
		return nil
	}
	if err == nil {
		a.open, a.asked = h, a.asked+1
	}
	return err
}

// end ends the turn, with its kontask before or long after it.
func (a *agent) end(ctx context.Context, success bool) error {
	drafts := []store.Draft{{Type: store.TypeTurnEnd, Turn: a.open.Turn, Data: fmt.Appendf(nil, `{"success":%t}`, success)}}
	if a.open.says.Source != "kontask" {
		a.delivered++
		card := store.Draft{Type: store.TypeKontaskReady, Turn: a.open.Turn, Data: fmt.Appendf(nil,
			`{"id":"k-%s-%s","context":{"choices":[{"label":"one","value":"first of %[2]s"},{"label":"two","value":"second of %[2]s"}]}}`, a.session, a.open.Turn)}
		if drafts = append(drafts, card); a.random.IntN(2) == 0 {
			slices.Reverse(drafts)
		}
	}
	a.open = happened{}
	_, err := a.c.Append(ctx, a.session, client.AppendOptions{}, drafts...)
	return err
}

// command is something that a device wants, until it knows what became of it.
type command struct {
	typ   string // of the frame
	path  string // over REST
	body  string // members of the object, without braces
	about string // the key, the turn, the question, the kontask
	at    int64  // of a seen
	told  told
}

// told is what a device was told of a command.
type told struct {
	Session   string
	ID        int64
	Turn      string
	Duplicate bool
	Event     json.RawMessage
	Code      store.Code
	Retryable bool
}

// device reads one session and sends commands about what it sees.
type device struct {
	name, transport, session, base string
	http                           *http.Client
	random                         *rand.Rand
	at                             place
	got                            [][]byte
	hellos, statuses               [][]byte
	ended                          bool
	marked                         chan struct{} // closed when the marker was read
	sent                           atomic.Int64
	open                           sync.WaitGroup // commands whose outcome is not known

	mu      sync.Mutex // guards what follows
	ws      *wsWire    // or nil
	pending map[string]*command
	settled []*command
	prompts int
}

func newDevice(name, transport, session, base string, h *http.Client, random *rand.Rand) *device {
	return &device{
		name: name, transport: transport, session: session, base: base, http: h, random: random, at: place{session: session},
		marked: make(chan struct{}), pending: map[string]*command{},
	}
}

func (d *device) frames() bool { return d.transport == "ws" || d.transport == "many-ws" }

// run reads until the session is closed, over as many connections as it takes.
func (d *device) run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := d.connection(ctx)
		if d.ended || errors.Is(err, errBroken) {
			return err
		}
		pause(ctx, 10*time.Millisecond)
	}
	return fmt.Errorf("stopped at %d: %w", d.at.after, ctx.Err())
}

func (d *device) connection(life context.Context) error {
	ctx, cancel := context.WithCancel(life)
	defer cancel()
	watch := time.AfterFunc(watchdog, cancel)
	defer watch.Stop()
	w, err := open(ctx, d.http, d.base, d.transport, []place{d.at})
	if err != nil {
		return err
	}
	defer w.close()
	if ws, ok := w.(*wsWire); ok {
		d.connected(ctx, ws)
		defer d.connected(ctx, nil)
	}
	for !d.ended {
		f, err := w.next()
		if err != nil {
			return err
		}
		watch.Reset(watchdog)
		if err := d.take(life, &f); err != nil { // commands outlive the connection
			return fmt.Errorf("%w: %w", errBroken, err)
		}
	}
	return nil
}

// connected notes the connection, and sends on a new one what was not answered.
func (d *device) connected(ctx context.Context, ws *wsWire) {
	d.mu.Lock()
	d.ws = ws
	again := make(map[string]*command, len(d.pending))
	for ref, c := range d.pending {
		again[ref] = c
	}
	d.mu.Unlock()
	for ref, c := range again {
		d.write(ctx, ws, ref, c)
	}
}

func (d *device) write(ctx context.Context, ws *wsWire, ref string, c *command) {
	if ws == nil {
		return
	}
	d.sent.Add(1)
	home := ""
	if d.transport == "many-ws" && c.typ != "choose" {
		home = fmt.Sprintf(`"session":%q,`, d.session)
	}
	_ = ws.conn.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"type":%q,"ref":%q,%s%s}`, c.typ, ref, home, c.body)) // what is lost is sent again
}

func (d *device) take(ctx context.Context, f *frame) error {
	switch f.kind {
	case "":
		if d.at.after++; f.session != d.session || f.id != d.at.after {
			return fmt.Errorf("got event %d of %s, want %d", f.id, f.session, d.at.after)
		}
		d.got = append(d.got, bytes.Clone(f.body))
		d.ended = d.over()
		return d.react(ctx, f.body)
	case "hello":
		if len(f.body) > 0 { // a poll has none
			d.hellos = append(d.hellos, bytes.Clone(f.body))
		}
	case "status":
		d.statuses = append(d.statuses, bytes.Clone(f.body))
		d.ended = d.over()
	case "ack", "error":
		return d.answered(ctx, f.body)
	case "ping":
		d.again(ctx)
	case "gap", "reset":
		return fmt.Errorf("%s at %d", f.kind, d.at.after)
	}
	return nil
}

// over reports whether the session's last event was read and told of by a
// status, whichever came first: who comes late gets the status first.
func (d *device) over() bool {
	e, s := len(d.got), len(d.statuses)
	return e > 0 && s > 0 && last(d.got[e-1]) && bytes.Contains(d.statuses[s-1], []byte(`"state":"closed"`))
}

// again sends what was not answered yet, though it may be on its way.
func (d *device) again(ctx context.Context) {
	if d.frames() && d.random.IntN(2) == 0 {
		d.mu.Lock()
		ws := d.ws
		d.mu.Unlock()
		d.connected(ctx, ws)
	}
}

// answered settles the command that an ack or error frame is about.
func (d *device) answered(ctx context.Context, body []byte) error {
	var a struct {
		Ref string
		told
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return err
	}
	d.mu.Lock()
	c := d.pending[a.Ref]
	d.mu.Unlock()
	switch {
	case a.Ref == "":
		return fmt.Errorf("got %s", body)
	case c == nil: // it was sent twice, and is answered twice
	case a.Retryable:
	default:
		d.known(ctx, a.Ref, c, a.told)
	}
	return nil
}

func (d *device) known(ctx context.Context, ref string, c *command, a told) {
	d.mu.Lock()
	_, open := d.pending[ref]
	delete(d.pending, ref)
	if open {
		c.told = a
		d.settled = append(d.settled, c)
	}
	d.mu.Unlock()
	if !open {
		return
	}
	if c.typ == "send_prompt" {
		d.prompt(ctx)
	}
	d.open.Done()
}

// issue sends a command until its outcome is known.
func (d *device) issue(ctx context.Context, c *command) {
	d.open.Add(1)
	d.mu.Lock()
	ref := fmt.Sprint(len(d.pending)+len(d.settled), " ", c.typ, " ", c.about)
	ref = ref[:min(len(ref), 100)]
	d.pending[ref] = c
	ws := d.ws
	d.mu.Unlock()
	if d.frames() {
		d.write(ctx, ws, ref, c)
		return
	}
	go func() {
		for ctx.Err() == nil {
			if a, ok := d.post(ctx, c); ok {
				d.known(ctx, ref, c, a)
				return
			}
			pause(ctx, 5*time.Millisecond)
		}
	}()
}

// post sends a command over REST. ok is false when nobody knows what became of it.
func (d *device) post(ctx context.Context, c *command) (a told, ok bool) {
	d.sent.Add(1)
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.base+c.path, strings.NewReader("{"+c.body+"}"))
	if err != nil {
		return told{Code: "bad_request"}, true
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := d.http.Do(req)
	if err != nil {
		return a, false
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 500 || resp.StatusCode == http.StatusRequestTimeout || resp.StatusCode == http.StatusTooManyRequests {
		return a, false
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return told{Code: store.Code("unreadable: " + string(b))}, true
	}
	if created := resp.StatusCode == http.StatusCreated; a.Code == "" && created == a.Duplicate && !strings.HasSuffix(req.URL.Path, "/seen") { // which appends nothing
		a.Code = store.Code(fmt.Sprintf("status %d for %s", resp.StatusCode, b))
	}
	return a, true
}

// settle waits until the device has read the marker, up to which there is
// something to react to, and knows what became of all its commands.
func (d *device) settle(ctx context.Context) {
	select {
	case <-d.marked:
	case <-ctx.Done():
		return
	}
	done := make(chan struct{})
	go func() { d.open.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func (d *device) waitsFor() (refs []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ref := range d.pending {
		refs = append(refs, ref)
	}
	return refs
}

// prompt issues the device's next prompt, if there is one.
func (d *device) prompt(ctx context.Context) {
	d.mu.Lock()
	n := d.prompts
	d.prompts++
	d.mu.Unlock()
	text, turn := fmt.Sprintf("prompt %d of %s", n, d.name), fmt.Sprintf(`,"requestId":"turn-%d-%s"`, n, strings.ReplaceAll(d.name, " ", "-"))
	switch {
	case n >= ownPrompts+sharedPrompts:
		return
	case n < sharedPrompts:
		text, turn = fmt.Sprintf("shared %d of %s", n, d.session), "" // the server names the turn, and all are told the same
	}
	d.issue(ctx, &command{typ: "send_prompt", path: "/v1/sessions/" + d.session + "/prompts", about: text, body: fmt.Sprintf(`"text":%q,"key":%q%s`, text, text, turn)})
}

// react is what a person does on seeing an event.
func (d *device) react(ctx context.Context, body []byte) error {
	e, err := parseHappened(body)
	if err != nil {
		return err
	}
	one := "/v1/sessions/" + d.session
	stop := func(oneIn int) {
		if d.random.IntN(oneIn) == 0 {
			key := fmt.Sprintf("stop %d by %s", e.ID, d.name)
			d.issue(ctx, &command{typ: "stop_turn", path: one + "/stop", about: key, body: fmt.Sprintf(`"requestId":%q,"reason":%q,"key":%q`, e.Turn, key, key)})
		}
	}
	switch e.Type {
	case store.TypePrompt:
		stop(16)
	case store.TypeTurnStart:
		stop(12)
	case store.TypePermissionRequest:
		d.issue(ctx, &command{typ: "answer", path: one + "/answers", about: e.says.RequestID,
			body: fmt.Sprintf(`"requestId":%q,"allow":%t,"by":%q`, e.says.RequestID, d.random.IntN(2) == 0, d.name)})
	case store.TypeKontaskReady:
		c := &command{typ: "choose", path: "/v1/kontasks/" + e.says.ID + "/choose", about: e.says.ID, body: fmt.Sprintf(`"choice":%d`, d.random.IntN(2))}
		if d.frames() {
			c.body += fmt.Sprintf(`,"kontaskId":%q`, e.says.ID)
		}
		d.issue(ctx, c)
	case store.TypeTurnEnd:
		d.issue(ctx, &command{typ: "seen", path: one + "/seen", about: fmt.Sprint(e.ID), at: e.ID, body: fmt.Sprintf(`"id":%d`, e.ID)})
	case "marker":
		close(d.marked)
	}
	return nil
}

// commandLog is a session's log against which is held what devices were told.
type commandLog struct {
	*testing.T
	name    string
	lines   [][]byte
	events  []happened
	after   []store.Session // after[n] is the fold of the first n
	winners map[string]int  // devices that were told that they were first, by what they decided
	seen    int64           // the highest mark that was asked for
}

func newCommandLog(t *testing.T, name string, lines [][]byte) *commandLog {
	t.Helper()
	c := &commandLog{T: t, name: name, lines: lines, winners: map[string]int{}, after: []store.Session{{ID: name, Floor: 1}}}
	for _, line := range lines {
		e, err := parseHappened(line)
		if err != nil {
			t.Fatal(err)
		}
		next := c.after[len(c.after)-1]
		next.Fold(&store.Event{ID: e.ID, Session: name, Type: e.Type, Turn: e.Turn, Parent: e.Parent, Time: e.Time, Data: e.Data}, 0)
		c.events, c.after = append(c.events, e), append(c.after, next)
	}
	return c
}

// checkOnce wants every prompt, answer, choice, begin and end once.
func (c *commandLog) checkOnce() {
	c.Helper()
	count := map[string]int{}
	for _, e := range c.events {
		switch e.Type {
		case store.TypePrompt:
			count["prompt "+e.says.Text]++
			if e.says.KontaskID != "" {
				count["prompt of "+e.says.KontaskID]++
			}
		case store.TypePermissionRequest:
			count["answer to "+e.says.RequestID] += 0
		case store.TypePermissionResponse:
			count["answer to "+e.says.RequestID]++
		case store.TypeKontaskReady:
			count["choice from "+e.says.ID] += 0
			count["prompt of "+e.says.ID] += 0
		case store.TypeKontaskChosen:
			count["choice from "+e.says.KontaskID]++
		case store.TypeTurnStart, store.TypeTurnEnd:
			count[e.Type+" of "+e.Turn]++
		case store.TypeStopTurn:
			count[e.says.Reason]++
		}
	}
	for n := range sharedPrompts {
		count[fmt.Sprintf("prompt shared %d of %s", n, c.name)] += 0
	}
	for what, n := range count {
		if n != 1 {
			c.Errorf("%s: %d times %s", c.name, n, what)
		}
	}
}

// checkTold holds what a device was told of its commands against the log.
func (c *commandLog) checkTold(d *device) {
	c.Helper()
	prompts := 0
	for _, k := range d.settled {
		a := &k.told
		if k.typ == "seen" {
			if c.seen = max(c.seen, k.at); a.Code != "" || a.ID < k.at {
				c.Errorf("%s: seen %d: %+v", d.name, k.at, *a)
			}
			continue
		}
		if k.typ == "stop_turn" && a.Code == store.CodeNoTurn {
			if slices.ContainsFunc(c.events, func(e happened) bool { return e.says.Reason == k.about }) {
				c.Errorf("%s: %s is in the log, and was refused", d.name, k.about)
			}
			continue
		}
		if a.Code != "" || a.Session != c.name || a.ID < 1 || a.ID > int64(len(c.events)) {
			c.Errorf("%s: %s %s: told %+v", d.name, k.typ, k.about, *a)
			continue
		}
		e := c.events[a.ID-1]
		if a.Duplicate && !bytes.Equal(a.Event, c.lines[a.ID-1]) {
			c.Errorf("%s: %s %s: the first is %s, told %s", d.name, k.typ, k.about, c.lines[a.ID-1], a.Event)
		}
		right := false
		switch k.typ {
		case "send_prompt":
			prompts++
			right = e.Type == store.TypePrompt && e.says.Text == k.about && a.Turn == e.Turn && e.Turn != ""
		case "stop_turn":
			right = e.Type == store.TypeStopTurn && e.says.Reason == k.about && a.Turn == e.Turn
		case "answer":
			right = e.Type == store.TypePermissionResponse && e.says.RequestID == k.about && a.Turn == e.Turn && e.Parent == "tool" && (a.Duplicate || e.says.By == d.name)
		case "choose":
			next := c.events[a.ID]
			right = e.Type == store.TypeKontaskChosen && e.says.KontaskID == k.about && next.Type == store.TypePrompt &&
				next.says.KontaskID == k.about && next.Turn == a.Turn && next.says.Text == e.says.Value
		}
		if !right {
			c.Errorf("%s: %s %s: told %+v, the log has %s", d.name, k.typ, k.about, *a, c.lines[a.ID-1])
		}
		if !a.Duplicate {
			c.winners[k.typ+" "+k.about]++
		}
	}
	if prompts != ownPrompts+sharedPrompts {
		c.Errorf("%s: %d prompts were acknowledged", d.name, prompts)
	}
}

// checkWinners wants nobody to be first where somebody else was. That nobody
// is happens: the winner's answer was lost, and its second attempt came second.
func (c *commandLog) checkWinners() {
	c.Helper()
	for what, n := range c.winners {
		if n > 1 {
			c.Errorf("%s: %d devices were the first with %s", c.name, n, what)
		}
	}
}

// checkFrames holds every hello and status against the fold of the log up to
// the event that they name, and the last status against what the session is.
func (c *commandLog) checkFrames(d *device) {
	c.Helper()
	type status struct {
		State, Turn string
		Queued      int
		Head        int64
	}
	is := func(s status) bool {
		if s.Head >= int64(len(c.after)) {
			return false
		}
		state := &c.after[s.Head]
		return s.State == state.State() && s.Turn == state.Turn && s.Queued == len(state.Queue())
	}
	type listed struct {
		ID                   int64
		RequestID, KontaskID string
	}
	var s status
	for _, b := range d.statuses {
		s = status{}
		if err := json.Unmarshal(b, &s); err != nil || !is(s) {
			c.Errorf("%s: %s is not what the session was then: %v", d.name, b, err)
		}
	}
	if s.State != store.StateClosed || s.Head != int64(len(c.lines)) {
		c.Errorf("%s: the last status is %+v", d.name, s)
	}
	for _, b := range d.hellos {
		var h struct {
			Through             int64
			Questions, Kontasks []listed
			Status              status
		}
		if err := json.Unmarshal(b, &h); err != nil || !is(h.Status) || h.Status.Head != h.Through {
			c.Errorf("%s: %s: %v", d.name, b, err)
			continue
		}
		var open store.Open
		if o := c.after[h.Through].Open; o != nil {
			open = *o
		}
		var got, want []string
		for _, q := range h.Questions {
			got = append(got, q.RequestID)
		}
		for _, q := range open.Questions {
			want = append(want, q.RequestID)
		}
		seen := int64(0) // at least, for the cards that are not shown were
		for _, card := range open.Kontasks {
			if !slices.ContainsFunc(h.Kontasks, func(k listed) bool { return k.ID == card.ID }) {
				seen = max(seen, card.ID)
			}
		}
		for _, card := range open.Kontasks {
			if card.ID > seen {
				want = append(want, card.KontaskID)
			}
		}
		for _, k := range h.Kontasks {
			got = append(got, k.KontaskID)
		}
		if seen > c.seen {
			c.Errorf("%s: hello through %d hides a kontask of event %d, and seen is %d", d.name, h.Through, seen, c.seen)
		}
		if !slices.Equal(got, want) {
			c.Errorf("%s: hello through %d shows %q, want %q", d.name, h.Through, got, want)
		}
	}
}
