package store

// Derived is what an engine keeps of one session's log beside the Session: its
// turns, questions and kontasks. It is their reference, a fold that holds all
// of it in memory; an engine's tables must come to the same (I8).
type Derived struct {
	Turns    map[string]*Turn
	Order    []string // the turns' ids as they came
	Asked    map[string]int64
	Answered map[string]int64
	Kontasks map[string]*Kontask
}

// NewDerived returns what follows from an empty log.
func NewDerived() *Derived {
	return &Derived{Turns: map[string]*Turn{}, Asked: map[string]int64{}, Answered: map[string]int64{}, Kontasks: map[string]*Kontask{}}
}

// Apply folds the next event of the session.
func (d *Derived) Apply(e *Event) {
	if OwnSession(e.Session) { // it tells of other sessions' turns and has none
		return
	}
	if e.Turn != "" {
		d.turn(e)
	}
	switch e.Type {
	case TypePermissionRequest:
		if id := e.RequestID(); id != "" && d.Asked[id] == 0 {
			d.Asked[id] = e.ID
		}
	case TypePermissionResponse:
		if id := e.RequestID(); id != "" && d.Answered[id] == 0 {
			d.Answered[id] = e.ID
		}
	case TypeKontaskCreated, TypeKontaskReady, TypeKontaskUpdated, TypeKontaskChosen:
		if id := e.KontaskID(); id != "" {
			k := d.Kontasks[id]
			if k == nil {
				k = &Kontask{}
				d.Kontasks[id] = k
			}
			k.Apply(e)
		}
	}
}

// turn folds an event into its turn, which begins with a prompt or a
// turn_start: an event that only names a turn makes none.
func (d *Derived) turn(e *Event) {
	t := d.Turns[e.Turn]
	if t == nil {
		if e.Type != TypePrompt && e.Type != TypeTurnStart {
			return
		}
		t = NewTurn(e.Session, e.Turn)
		d.Turns[e.Turn] = t
		d.Order = append(d.Order, e.Turn)
	}
	t.Apply(e)
}
