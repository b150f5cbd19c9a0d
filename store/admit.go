package store

// Past is what the rules of Admit have to know of a session's log beside its
// state. An engine answers from its tables.
type Past interface {
	// TurnEnd returns the reason for which a turn has ended. ended is false
	// for one that has not, or was never heard of.
	TurnEnd(turn string) (reason string, ended bool, err error)
	// Answer returns the id of the event that answered a question, or 0.
	Answer(requestID string) (id int64, err error)
	// KontaskPlace returns the session of a kontask, "" when there is none of
	// that id, and the id of the event that chose from it, or 0.
	KontaskPlace(id string) (session string, chosen int64, err error)
}

// ReasonAbandoned is the reason of a turn that the server has ended because
// its producer fell silent.
const ReasonAbandoned = "abandoned"

// TurnEndDraft is how the server ends a turn that nobody else will end.
func TurnEndDraft(turn, reason string) Draft {
	data := appendString([]byte(`{"requestId":`), turn)
	data = appendString(append(data, `,"success":false,"reason":`...), reason)
	return Draft{Type: TypeTurnEnd, Turn: turn, Data: append(data, '}')}
}

// Admit holds the drafts of one request against the state and the past of the
// session: a turn opens once and ends once (P7), a question is answered once,
// a kontask chosen from once. It gives a turn_end without a turn the open one.
// known names the drafts that the log has already; it may be nil. A draft that
// would decide again what is decided is a duplicate of the event that did:
// decided has the ids of those, by draft, and is nil when there are none.
//
// It is a rule of appending, not of the log: what a restored log says is taken
// as it is.
func (s Session) Admit(drafts []Draft, known func(i int) bool, past Past) (decided map[int]int64, err error) {
	if !s.ruled(drafts) {
		return nil, nil
	}
	a := admission{s: s, past: past, ended: map[string]string{}, answered: map[string]bool{}, chosen: map[string]bool{}}
	for i := range drafts {
		d := &drafts[i]
		if known != nil && known(i) {
			continue
		}
		first, err := a.admit(d)
		if err != nil {
			return decided, AtEvent(err, i, len(drafts))
		}
		if first != 0 {
			if decided == nil {
				decided = map[int]int64{}
			}
			decided[i] = first
			continue
		}
		a.s.Fold(&Event{ID: a.s.Head + 1, Session: s.ID, Type: d.Type, Turn: d.Turn, Parent: d.Parent, Time: s.UpdatedAt, Data: d.Data}, 0)
	}
	return decided, nil
}

// ruled reports whether a rule may have something to say. It is asked for
// every append, and most are text of the open turn.
func (s *Session) ruled(drafts []Draft) bool {
	for i := range drafts {
		d := &drafts[i]
		if d.Turn != "" && d.Turn != s.Turn {
			return true
		}
		switch d.Type {
		case TypePrompt, TypeTurnStart, TypeTurnEnd, TypePermissionRequest, TypePermissionResponse, TypeSessionClosed,
			TypeTaskStart, TypeTaskUpdate, TypeTaskEnd, TypeKontaskCreated, TypeKontaskReady, TypeKontaskUpdated, TypeKontaskChosen:
			return true
		}
	}
	return false
}

// admission is the state that the drafts of one request are held against, one
// after the other.
type admission struct {
	s        Session
	past     Past
	ended    map[string]string // by an earlier draft of the request
	answered map[string]bool   // questions, likewise
	chosen   map[string]bool   // kontasks that the request delivers, and whether it chooses from them
}

func (a *admission) admit(d *Draft) (decided int64, err error) {
	switch d.Type {
	case TypePrompt:
		return 0, a.prompt(d)
	case TypeTurnStart:
		return 0, a.turnStart(d)
	case TypeTurnEnd:
		return 0, a.turnEnd(d)
	case TypePermissionResponse:
		return a.answer(d)
	case TypeKontaskCreated, TypeKontaskReady, TypeKontaskUpdated, TypeKontaskChosen:
		return a.kontask(d)
	case TypeTaskStart, TypeTaskUpdate, TypeTaskEnd: // outlive their turn, however it ended
		return 0, checkID("taskId", text(field(d.Data, "taskId")))
	case TypePermissionRequest:
		return 0, a.ask(d)
	case TypeSessionClosed:
		if a.s.Turn != "" || len(a.s.Queue()) > 0 {
			return 0, Errorf(CodeTurnOpen, "a turn is open or waits, and could never end; end it first, or POST /v1/sessions/%s/close, which does", a.s.ID)
		}
		return 0, nil
	}
	return 0, a.late(d)
}

func (a *admission) turnEnded(turn string) (reason string, ended bool, err error) {
	if reason, ended = a.ended[turn]; ended {
		return reason, true, nil
	}
	if turn == a.s.Turn || a.s.Open.queued(turn) >= 0 {
		return "", false, nil
	}
	return a.past.TurnEnd(turn)
}

func endedError(turn, reason string) error {
	if reason == ReasonAbandoned {
		return Errorf(CodeTurnEnded, "turn %.100q was ended by the server because nothing came for longer than its lease; begin a new turn", turn)
	}
	return Errorf(CodeTurnEnded, "turn %.100q has ended already; a turn ends once", turn)
}

func (a *admission) prompt(d *Draft) error {
	reason, ended, err := a.turnEnded(d.Turn)
	if err != nil {
		return err
	}
	if ended {
		return endedError(d.Turn, reason)
	}
	if d.Turn != a.s.Turn && a.s.Waits(d.Turn) {
		return Errorf(CodeKeyConflict, "turn %.100q waits with another prompt already; use another requestId, and a key to send the same prompt again", d.Turn)
	}
	if d.Turn != a.s.Turn && len(a.s.Queue()) >= PromptsMax {
		return Errorf(CodePromptsFull, "%d prompts wait already; let some be worked off or stop them", PromptsMax)
	}
	return nil
}

func (a *admission) turnStart(d *Draft) error {
	reason, ended, err := a.turnEnded(d.Turn)
	switch {
	case err != nil:
		return err
	case ended:
		return endedError(d.Turn, reason)
	case a.s.Turn != "":
		return Errorf(CodeTurnOpen, "turn %.100q is open; end it before another begins, or append a prompt, which waits", a.s.Turn)
	}
	if _, ok := leaseOf(d.Data); !ok {
		return Errorf(CodeInvalidEvent, "leaseMs must be a whole number of milliseconds from %d to %d", LeaseMin.Milliseconds(), LeaseMax.Milliseconds())
	}
	return nil
}

func (a *admission) turnEnd(d *Draft) error {
	if d.Turn == "" {
		d.Turn, d.assigned = a.s.Turn, true
	}
	if d.Turn == "" {
		return Errorf(CodeNoTurn, "no turn is open in this session; name the turn that ends")
	}
	reason, ended, err := a.turnEnded(d.Turn)
	switch {
	case err != nil:
		return err
	case ended:
		return endedError(d.Turn, reason)
	case d.Turn != a.s.Turn && a.s.Open.queued(d.Turn) < 0:
		return Errorf(CodeNoTurn, "turn %.100q was never begun in this session", d.Turn)
	}
	a.ended[d.Turn] = text(field(d.Data, "reason"))
	return nil
}

// late keeps out a producer that lost its turn to the lease: somebody else may
// be doing its work by now.
func (a *admission) late(d *Draft) error {
	if d.Turn == "" || d.Turn == a.s.Turn {
		return nil
	}
	reason, ended, err := a.turnEnded(d.Turn)
	if err == nil && ended && reason == ReasonAbandoned {
		return endedError(d.Turn, reason)
	}
	return err
}

// ask keeps a question from being open that nobody can answer: its answer would
// be a duplicate of the one that was given.
func (a *admission) ask(d *Draft) error {
	id := text(field(d.Data, "requestId"))
	if id == "" {
		return Errorf(CodeInvalidEvent, "a permission_request needs data.requestId, by which it is answered")
	}
	if err := checkID("requestId", id); err != nil {
		return err
	}
	if answered, err := a.past.Answer(id); answered != 0 || err != nil {
		if err == nil {
			err = Errorf(CodeAnswered, "question %.100q was answered in this session already, by event %d; ask with another requestId", id, answered)
		}
		return err
	}
	return a.late(d)
}

// checkID bounds an id that the session's state holds.
func checkID(name, id string) error {
	if len(id) > ParentBytesMax {
		return Errorf(CodeInvalidEvent, "%s of %d bytes is over the limit of %d", name, len(id), ParentBytesMax)
	}
	return nil
}

func (a *admission) answer(d *Draft) (decided int64, err error) {
	id := text(field(d.Data, "requestId"))
	if id == "" {
		return 0, Errorf(CodeInvalidEvent, "a permission_response needs the requestId of its question")
	}
	if a.answered[id] {
		return 0, Errorf(CodeInvalidEvent, "question %.100q is answered twice in one request", id)
	}
	a.answered[id] = true
	if err := checkID("requestId", id); err != nil {
		return 0, err
	}
	if decided, err = a.past.Answer(id); decided != 0 || err != nil {
		return decided, err
	}
	for _, q := range a.s.Questions() {
		if q.RequestID == id {
			d.Adopt(q.Turn, q.Parent) // the turn has waited for it
		}
	}
	return 0, a.late(d)
}

// checkChoices refuses a card that nobody could choose from.
func checkChoices(data []byte) error {
	list := field(field(data, "context"), "choices")
	if len(list) == 0 || string(list) == "null" {
		return nil
	}
	if list[0] == '[' && eachElement(list, func(choice []byte) error {
		if label, value := text(field(choice, "label")), text(field(choice, "value")); label == "" || value == "" {
			return ErrNoKontask
		}
		return nil
	}) == nil {
		return nil
	}
	return Errorf(CodeInvalidEvent, "context.choices must be an array of {label, value, primary?}, both of them text")
}

func (a *admission) kontask(d *Draft) (decided int64, err error) {
	id := kontaskID(d.Data)
	if id == "" {
		return 0, Errorf(CodeInvalidEvent, "a %s needs the id of its kontask, as id or kontaskId, of at most %d bytes", d.Type, KontaskIDBytesMax)
	}
	if err := checkChoices(d.Data); err != nil {
		return 0, err
	}
	session, chosen, err := a.past.KontaskPlace(id)
	if err != nil {
		return 0, err
	}
	if session != "" && session != a.s.ID {
		return 0, Errorf(CodeKontaskMoved, "kontask %.100q belongs to another session; use another id", id)
	}
	earlier, made := a.chosen[id]
	switch {
	case d.Type == TypeKontaskReady && chosen != 0:
		return 0, Errorf(CodeInvalidEvent, "kontask %.100q was chosen from already; append kontask_updated", id)
	case d.Type != TypeKontaskChosen:
		a.chosen[id] = earlier
		return 0, nil
	case session == "" && !made:
		return 0, Errorf(CodeNoKontask, "no kontask %.100q was delivered to this session", id)
	case earlier:
		return 0, Errorf(CodeInvalidEvent, "kontask %.100q is chosen from twice in one request", id)
	}
	a.chosen[id] = true
	return chosen, nil
}
