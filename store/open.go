package store

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// Limits of what a session keeps open. A prompt over its limit is refused; of
// the others the oldest is left out of the list, while the log still has it.
const (
	PromptsMax   = 100 // that wait for their turn: a person's patience is shorter
	QuestionsMax = 100
	TasksMax     = 200
	CardsMax     = 100
	// openBytesMax bounds what is copied from one event, so that a page of
	// arguments does not travel with every hello. The event has it all.
	openBytesMax = 8 << 10
)

// Bounds of turn_start's leaseMs.
const (
	LeaseMin = time.Second
	LeaseMax = 24 * time.Hour
)

// Open is what a session still waits for: the level-set that hello shows. It
// is a fold of the log, so the same log always gives the same lists. It is
// immutable: readers share it.
type Open struct {
	Prompts   []Queued   `json:"prompts,omitempty"`
	Questions []Question `json:"questions,omitempty"`
	Tasks     []Task     `json:"tasks,omitempty"`
	Kontasks  []Card     `json:"kontasks,omitempty"`
	Ended     *Ending    `json:"ended,omitempty"` // the turn that ended last; or nil
	AgentID   string     `json:"agentId,omitempty"`
}

// Queued is a prompt whose turn has not begun.
type Queued struct {
	ID     int64  `json:"id"`
	Turn   string `json:"turn"`
	Text   string `json:"text,omitempty"` // cut to openBytesMax
	Source string `json:"source,omitempty"`
	Time   Stamp  `json:"time"`
}

// Question is a permission_request that nobody has answered.
type Question struct {
	ID        int64           `json:"id"`
	RequestID string          `json:"requestId"`
	Turn      string          `json:"turn,omitempty"`
	Parent    string          `json:"parent,omitempty"`
	Tool      string          `json:"tool,omitempty"`
	Input     json.RawMessage `json:"input,omitempty"` // left out when it is long: the event has it
	Options   json.RawMessage `json:"options,omitempty"`
	Time      Stamp           `json:"time"`
}

// Task is background work that has begun and not ended.
type Task struct {
	ID     int64  `json:"id"` // of task_start
	Last   int64  `json:"last"`
	TaskID string `json:"taskId"`
	Turn   string `json:"turn,omitempty"`
	Title  string `json:"title,omitempty"`
	Status string `json:"status,omitempty"`
	Time   Stamp  `json:"time"`
}

// Card is a kontask that was delivered and of which nothing was chosen.
type Card struct {
	ID          int64           `json:"id"`    // of the newest event about it
	Ready       int64           `json:"ready"` // of the one that delivered it: who has seen that has seen the card
	KontaskID   string          `json:"kontaskId"`
	Type        string          `json:"kontaskType,omitempty"`
	Status      string          `json:"status,omitempty"`
	Title       string          `json:"title,omitempty"`
	Description string          `json:"description,omitempty"`
	RequestID   string          `json:"requestId,omitempty"`
	Choices     json.RawMessage `json:"choices,omitempty"`
	Time        Stamp           `json:"time"`
}

// Ending is how a turn ended.
type Ending struct {
	ID      int64  `json:"id"`
	Turn    string `json:"turn"`
	Success bool   `json:"success"`
	Reason  string `json:"reason,omitempty"`
	Time    Stamp  `json:"time"`
}

// Empty reports whether there is nothing to say. o may be nil.
func (o *Open) Empty() bool {
	return o == nil || len(o.Prompts)+len(o.Questions)+len(o.Tasks)+len(o.Kontasks) == 0 && o.Ended == nil && o.AgentID == ""
}

// queued returns the place of a turn's prompt in the queue, or -1.
func (o *Open) queued(turn string) int {
	if o == nil {
		return -1
	}
	return slices.IndexFunc(o.Prompts, func(q Queued) bool { return q.Turn == turn })
}

// Queue returns the prompts that wait. s.Open may be nil.
func (s *Session) Queue() []Queued {
	if s.Open == nil {
		return nil
	}
	return s.Open.Prompts
}

// Waits reports whether a turn was asked for and has not begun.
func (s *Session) Waits(turn string) bool { return s.Open.queued(turn) >= 0 }

// Questions returns the open questions. s.Open may be nil.
func (s *Session) Questions() []Question {
	if s.Open == nil {
		return nil
	}
	return s.Open.Questions
}

// Deadline is when the open turn's lease ends; zero when it has none.
func (s *Session) Deadline() time.Time {
	if s.Turn == "" || s.TurnLease == 0 {
		return time.Time{}
	}
	return s.TurnSeen.Add(s.TurnLease)
}

// foldOpen applies an event that changes what the session waits for.
// began says of a turn_end that its turn had begun.
func (s *Session) foldOpen(e *Event, began bool) {
	var o Open
	if s.Open != nil {
		o = *s.Open // its slices are shared: they are replaced, never changed
	}
	switch e.Type {
	case TypePrompt:
		if e.Turn == s.Turn || o.queued(e.Turn) >= 0 {
			return
		}
		o.Prompts = newest(append(slices.Clip(o.Prompts), Queued{ID: e.ID, Turn: e.Turn, Text: short(e.Text("text")), Source: short(e.Text("source")), Time: Stamp{e.Time}}), PromptsMax)
	case TypeTurnStart:
		o.startTurn(e)
	case TypeTurnEnd:
		o.endTurn(e, began)
	case TypeSessionInit:
		o.AgentID = short(e.Text("sessionId"))
	case TypeSessionClosed:
		o.Prompts, o.Questions = nil, nil
	case TypePermissionRequest, TypePermissionResponse:
		o.foldQuestion(e)
	case TypeTaskStart, TypeTaskUpdate, TypeTaskEnd:
		o.foldTask(e)
	default:
		o.foldCard(e)
	}
	s.Open = &o
	if o.Empty() {
		s.Open = nil
	}
}

func (o *Open) startTurn(e *Event) {
	o.Prompts = without(o.Prompts, func(q Queued) bool { return q.Turn == e.Turn })
}

func (o *Open) endTurn(e *Event, began bool) {
	o.startTurn(e)
	o.Questions = without(o.Questions, func(q Question) bool { return q.Turn == e.Turn })
	if !began { // a prompt that was withdrawn is no result
		return
	}
	success := string(e.Field("success")) == "true"
	o.Ended = &Ending{ID: e.ID, Turn: e.Turn, Success: success, Reason: short(e.Text("reason")), Time: Stamp{e.Time}}
}

func (o *Open) foldQuestion(e *Event) {
	id := e.Text("requestId")
	if id == "" || len(id) > ParentBytesMax { // Admit refuses long ones; an import may have them
		return
	}
	o.Questions = without(o.Questions, func(q Question) bool { return q.RequestID == id })
	if e.Type == TypePermissionResponse {
		return
	}
	q := Question{ID: e.ID, RequestID: id, Turn: e.Turn, Parent: e.Parent, Tool: short(e.Text("tool")), Time: Stamp{e.Time}}
	q.Input, q.Options = small(e.Field("input")), small(e.Field("options"))
	o.Questions = newest(append(o.Questions, q), QuestionsMax)
}

func (o *Open) foldTask(e *Event) {
	id := e.Text("taskId")
	if id == "" || len(id) > ParentBytesMax {
		return
	}
	t := Task{ID: e.ID, TaskID: id, Turn: e.Turn, Time: Stamp{e.Time}}
	known := slices.IndexFunc(o.Tasks, func(t Task) bool { return t.TaskID == id })
	if known >= 0 {
		t = o.Tasks[known]
	}
	if e.Type == TypeTaskEnd {
		o.Tasks = without(o.Tasks, func(t Task) bool { return t.TaskID == id })
		return
	}
	t.Last = e.ID
	replace(&t.Title, e.Text("title"))
	replace(&t.Status, e.Text("status"))
	if o.Tasks = slices.Clone(o.Tasks); known >= 0 {
		o.Tasks[known] = t
		return
	}
	o.Tasks = newest(append(o.Tasks, t), TasksMax)
}

func (o *Open) foldCard(e *Event) {
	id := kontaskID(e.Data)
	if id == "" {
		return
	}
	known := slices.IndexFunc(o.Kontasks, func(c Card) bool { return c.KontaskID == id })
	if e.Type == TypeKontaskChosen {
		o.Kontasks = without(o.Kontasks, func(c Card) bool { return c.KontaskID == id })
		return
	}
	if known < 0 && e.Type != TypeKontaskReady { // not delivered yet, or chosen already
		return
	}
	c := Card{KontaskID: id, Ready: e.ID}
	if known >= 0 {
		c = o.Kontasks[known]
	}
	c.ID, c.Time = e.ID, Stamp{e.Time}
	c.fill(e)
	if o.Kontasks = slices.Clone(o.Kontasks); known >= 0 {
		o.Kontasks[known] = c
		return
	}
	o.Kontasks = newest(append(o.Kontasks, c), CardsMax)
}

func (c *Card) fill(e *Event) {
	replace(&c.Type, e.Text("type"))
	replace(&c.Status, e.Text("status"))
	replace(&c.Title, e.Text("title"))
	replace(&c.Description, e.Text("description"))
	replace(&c.RequestID, e.Text("requestId"))
	if choices := small(field(e.Field("context"), "choices")); choices != nil {
		c.Choices = choices
	}
}

// without returns the elements that drop does not name, in a slice of its own
// if there is a difference, nil if none is left.
func without[T any](all []T, drop func(T) bool) []T {
	if !slices.ContainsFunc(all, drop) {
		return all
	}
	rest := slices.DeleteFunc(slices.Clone(all), drop)
	if len(rest) == 0 {
		return nil
	}
	return rest
}

// newest drops the oldest of more than max.
func newest[T any](all []T, max int) []T {
	if len(all) > max {
		all = slices.Clone(all[len(all)-max:])
	}
	return all
}

func replace(to *string, with string) {
	if with != "" {
		*to = short(with)
	}
}

// short cuts a text to openBytesMax, between two characters.
func short(text string) string { return cutText(text, openBytesMax) }

// small is a copy of a value, or nil when it is too long to travel.
func small(value []byte) json.RawMessage {
	if len(value) == 0 || len(value) > openBytesMax {
		return nil
	}
	return slices.Clone(value)
}

// leaseOf reads leaseMs of a turn_start. ok is false when it is there and no
// number of milliseconds between LeaseMin and LeaseMax.
func leaseOf(data []byte) (lease time.Duration, ok bool) {
	value := field(data, "leaseMs")
	if value == nil || string(value) == "null" {
		return 0, true
	}
	ms, err := strconv.ParseInt(string(value), 10, 64)
	if lease = time.Duration(ms) * time.Millisecond; err != nil || ms > LeaseMax.Milliseconds() || lease < LeaseMin {
		return 0, false
	}
	return lease, true
}
