package store_test

import (
	"testing"
	"time"

	"github.com/konlog/konlog/store"
)

func chained() store.Event {
	return store.Event{
		ID: 42, Session: "s1", Type: "text", Turn: "t", Parent: "p", Time: time.UnixMilli(1_700_000_000_123).UTC(),
		Data: []byte(`{"text":"a"}`), Raw: []byte("raw"),
	}
}

// Seals are kept for years, also outside: what a hash is of must never change.
func TestChainIsForEver(t *testing.T) {
	e := chained()
	bare := store.Event{ID: 43, Type: "x", Time: time.UnixMilli(0), Data: []byte("null")}
	var c store.Chain
	c.Add(e.Leaf())
	c.Add(bare.Leaf())
	for what, got := range map[string]store.Hash{"leaf": e.Leaf(), "leaf of an event without turn, parent and raw": bare.Leaf(), "chain": c.Hash} {
		if want := chainVectors[what]; got.String() != want {
			t.Errorf("%s: got %s, want %s", what, got, want)
		}
	}
}

// Two events that differ in anything but the session's name have two leaves.
func TestLeafCoversTheEvent(t *testing.T) {
	seen := map[store.Hash]string{}
	for what, change := range map[string]func(*store.Event){
		"nothing":                  func(*store.Event) {},
		"id":                       func(e *store.Event) { e.ID++ },
		"type":                     func(e *store.Event) { e.Type = "texts" },
		"turn":                     func(e *store.Event) { e.Turn = "u" },
		"no turn":                  func(e *store.Event) { e.Turn = "" },
		"parent":                   func(e *store.Event) { e.Parent = "q" },
		"time":                     func(e *store.Event) { e.Time = e.Time.Add(time.Millisecond) },
		"data":                     func(e *store.Event) { e.Data = []byte(`{"text":"b"}`) },
		"raw":                      func(e *store.Event) { e.Raw = []byte("row") },
		"empty raw":                func(e *store.Event) { e.Raw = []byte{} },
		"no raw":                   func(e *store.Event) { e.Raw = nil },
		"a byte from type to turn": func(e *store.Event) { e.Type, e.Turn = "tex", "tt" },
		"turn and parent swapped":  func(e *store.Event) { e.Turn, e.Parent = e.Parent, e.Turn },
		"turn and parent joined":   func(e *store.Event) { e.Turn, e.Parent = "tp", "" },
		"data and raw swapped":     func(e *store.Event) { e.Data, e.Raw = e.Raw, e.Data },
	} {
		e := chained()
		change(&e)
		if other, again := seen[e.Leaf()]; again {
			t.Errorf("%q and %q have the same leaf", what, other)
		}
		seen[e.Leaf()] = what
	}
	e, fork := chained(), chained()
	fork.Session = "fork"
	fork.Seal()
	if e.Leaf() != fork.Leaf() {
		t.Error("a fork has another leaf")
	}
	content := store.ContentOf(&e)
	redacted := e.Redact()
	if content.Leaf(&redacted) != e.Leaf() {
		t.Error("a redaction changes the leaf")
	}
	if redacted.Leaf() == e.Leaf() {
		t.Error("a leaf needs no content")
	}
}

// chainVectors were computed from docs/STORAGE.md by another program.
var chainVectors = map[string]string{
	"leaf": "ea249779e259141f982974f996dedea8de20a08fb1f3b5f1728efc9d2588a078",
	"leaf of an event without turn, parent and raw": "00605e692138f285d321020081c763b0f10dd1f43e59518d6002bcb0d328ce2e",
	"chain": "8371f03fb1fbf1d72ce0100485b212d790434a40e6395bc5a7f4f5f2a9ed54a1",
}
