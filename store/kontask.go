package store

import (
	"bytes"
	"encoding/json"
	"time"
)

// Kontask is a card that an agent delivers, often long after the turn that
// asked for it has ended. It is a fold of the kontask_* events with its id.
type Kontask struct {
	ID      string
	Session string

	Created int64 // id of its first event
	Ready   int64 // of its first kontask_ready; 0 before
	Last    int64 // of its newest event
	Chosen  int64 // of its kontask_chosen; 0 before
	Choice  json.RawMessage

	CreatedAt time.Time // the server's, as UpdatedAt; what clients wrote is in the record, for what it is worth
	UpdatedAt time.Time

	// Record is what was said of the kontask: the members of its events' data,
	// newer ones in the place of older ones.
	Record json.RawMessage
}

// KontaskRecordBytesMax bounds a kontask's record. Where the members of all its
// events come to more, it is what the newest event says.
const KontaskRecordBytesMax = 1 << 20

// KontaskIDBytesMax bounds a kontask's id, which is a UUID as a rule.
const KontaskIDBytesMax = 128

// Apply folds an event of the kontask. It never fails: what is no object
// changes nothing but the ids.
func (k *Kontask) Apply(e *Event) {
	if k.Created == 0 {
		k.ID, k.Session, k.Created, k.CreatedAt = kontaskID(e.Data), e.Session, e.ID, e.Time
	}
	k.Last, k.UpdatedAt = e.ID, e.Time
	switch e.Type {
	case TypeKontaskChosen:
		if k.Chosen == 0 {
			k.Chosen, k.Choice = e.ID, bytes.Clone(e.Data)
		}
		return
	case TypeKontaskReady:
		if k.Ready == 0 {
			k.Ready = e.ID
		}
	}
	if k.Record = mergeRecord(k.Record, e.Data); len(k.Record) > KontaskRecordBytesMax {
		k.Record = mergeRecord(nil, e.Data)
	}
}

// Says reports whether the record says all that data says already.
func (k *Kontask) Says(data []byte) bool { return bytes.Equal(mergeRecord(k.Record, data), k.Record) }

// Text returns a member of the record that is a string, or "".
func (k *Kontask) Text(name string) string { return text(field(k.Record, name)) }

// Tags returns the strings of the record's tags.
func (k *Kontask) Tags() (tags []string) {
	list := field(k.Record, "tags")
	if len(list) == 0 || list[0] != '[' {
		return nil
	}
	_ = eachElement(list, func(value []byte) error {
		if tag, err := Unquote(value); err == nil {
			tags = append(tags, tag)
		}
		return nil
	})
	return tags
}

// Choices returns context.choices of the record.
func (k *Kontask) Choices() (choices []Choice) {
	_ = json.Unmarshal(field(field(k.Record, "context"), "choices"), &choices) // an odd list offers nothing
	return choices
}

// Choice is one of the prompts that a kontask offers.
type Choice struct {
	Label   string `json:"label"`
	Value   string `json:"value"` // a whole prompt
	Primary bool   `json:"primary,omitempty"`
}

// unready are the statuses of a kontask that is still being worked on. Any
// other, also one that nobody has heard of, is of a finished one: a card too
// many is better than one that never shows.
var unready = map[string]bool{"created": true, "pending": true, "queued": true, "running": true, "working": true, "in_progress": true}

// Ready reports whether a record with this status is to be shown as a card.
func Ready(status string) bool { return !unready[status] }

// kontaskID returns the id in the data of a kontask event, or "".
func kontaskID(data []byte) string {
	id := text(field(data, "kontaskId"))
	if id == "" {
		id = text(field(data, "id"))
	}
	if len(id) > KontaskIDBytesMax {
		return ""
	}
	return id
}

// KontaskID returns the id of the kontask that an event is about, or "".
func (e *Event) KontaskID() string { return kontaskID(e.Data) }

// RequestID returns the id of the question that an event asks or answers, or "".
func (e *Event) RequestID() string { return e.Text("requestId") }

// mergeRecord lays the members of next over those of record, each in the place
// where it stood first.
func mergeRecord(record, next []byte) json.RawMessage {
	if len(next) == 0 || next[0] != '{' {
		return record
	}
	if len(record) == 0 {
		record = []byte("{}")
	}
	news := map[string][]byte{}
	var order []string
	_ = eachMember(next, func(name string, value []byte) error { // checked when it was appended
		if _, again := news[name]; !again {
			order = append(order, name)
		}
		news[name] = value
		return nil
	})
	merged := []byte{'{'}
	add := func(name string, value []byte) {
		if len(merged) > 1 {
			merged = append(merged, ',')
		}
		merged = append(appendString(merged, name), ':')
		merged = append(merged, value...)
	}
	_ = eachMember(record, func(name string, value []byte) error {
		if v, ok := news[name]; ok {
			value = v
			delete(news, name)
		}
		add(name, value)
		return nil
	})
	for _, name := range order {
		if v, ok := news[name]; ok {
			add(name, v)
			delete(news, name)
		}
	}
	return append(merged, '}')
}
