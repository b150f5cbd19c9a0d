package storetest

import (
	"github.com/konlog/konlog/store"
)

func testKeyDuplicate(r *rig) {
	r.append("s", plain, text("before"))
	r.wantAppended("first", r.append("s", plain, keyed("k", "a")), store.Appended{First: 2, Last: 2})
	r.fill("s", 2)
	r.heard()
	r.wantAppended("again", r.append("s", plain, keyed("k", "a")), store.Appended{First: 2, Last: 2, Duplicate: true})
	if said := r.heard(); len(said) > 0 {
		r.Errorf("a duplicate announced %v", said)
	}
	r.wantAppended("spaced otherwise by line breaks only", r.append("s", plain,
		store.Draft{Type: "text", Key: "k", Data: []byte("\n{\"text\":\"a\"}\n")}), store.Appended{First: 2, Last: 2, Duplicate: true})
	r.wantAppended("in another session", r.append("other", plain, keyed("k", "b")), store.Appended{First: 1, Last: 1})
	r.wantAppended("array", r.append("s", plain, keyed("k1", "x"), keyed("k2", "y")), store.Appended{First: 5, Last: 6})
	r.wantAppended("array again", r.append("s", plain, keyed("k1", "x"), keyed("k2", "y")), store.Appended{First: 5, Last: 6, Duplicate: true})
	if s := r.session("s"); s.Head != 6 {
		r.Errorf("got head %d, want 6", s.Head)
	}
}

func testKeyConflict(r *rig) {
	full := store.Draft{Key: "k", Type: "text", Turn: "t", Parent: "p", Data: []byte(`{"a":1}`), Raw: []byte{}}
	r.append("s", plain, full)
	for name, change := range map[string]func(*store.Draft){
		"type":      func(d *store.Draft) { d.Type = "other" },
		"turn":      func(d *store.Draft) { d.Turn = "" },
		"parent":    func(d *store.Draft) { d.Parent = "tp" },
		"data":      func(d *store.Draft) { d.Data = []byte(`{"a": 1}`) },
		"no raw":    func(d *store.Draft) { d.Raw = nil },
		"other raw": func(d *store.Draft) { d.Raw = []byte("x") },
	} {
		d := full
		change(&d)
		if e := r.refused(store.CodeKeyConflict, "s", plain, d); e.Code != store.CodeKeyConflict {
			r.Errorf("the same key with another %s was not a conflict", name)
		}
	}
	r.wantAppended("the same body", r.append("s", plain, full), store.Appended{First: 1, Last: 1, Duplicate: true})
}

func testKeysMixed(r *rig) {
	r.append("s", plain, keyed("k1", "a"), keyed("k2", "b"))
	got := r.append("s", plain, keyed("k2", "b"), text("new"), keyed("k3", "c"), keyed("k1", "a"), keyed("k3", "c"))
	r.wantAppended("mixed", got, store.Appended{First: 3, Last: 4, IDs: []int64{2, 3, 4, 1, 4}})
	r.wantIDs("after it", r.events("s"), 1, 2, 3, 4)
	r.wantAppended("its new key", r.append("s", plain, keyed("k3", "c")), store.Appended{First: 4, Last: 4, Duplicate: true})
	r.wantAppended("twice in the first request", r.append("new", plain, keyed("k", "a"), keyed("k", "a")), store.Appended{First: 1, Last: 1, IDs: []int64{1, 1}})
	r.refused(store.CodeKeyConflict, "s", plain, keyed("k4", "a"), keyed("k4", "b"))
	r.refused(store.CodeKeyConflict, "s", plain, keyed("k1", "a"), keyed("k2", "other"))
	r.wantAppended("a key of no request", r.append("s", plain, keyed("k4", "b")), store.Appended{First: 5, Last: 5})
}

func testKeyLife(r *rig) {
	r.append("s", plain, keyed("k", "a"))
	r.fill("s", 3)
	r.append("s", producer("p", 0, 0), text("b"))
	r.append("s", plain, closing())
	r.wantAppended("after close", r.append("s", plain, keyed("k", "a")), store.Appended{First: 1, Last: 1, Duplicate: true})
	r.wantAppended("when the head has moved", r.append("s", expect(0), keyed("k", "a")), store.Appended{First: 1, Last: 1, Duplicate: true})
	r.delete("s")
	r.wantAppended("of the deleted session", r.append("s", plain, keyed("k", "other")), store.Appended{First: 7, Last: 7})
	r.wantAppended("producer of the deleted session", r.append("s", producer("p", 0, 0), text("b")), store.Appended{First: 8, Last: 8})
	r.retain(store.Retention{Events: 1})
	r.wantAppended("key after retention", r.append("s", plain, keyed("k", "other")), store.Appended{First: 7, Last: 7, Duplicate: true})
	r.wantAppended("producer after retention", r.append("s", producer("p", 0, 0), text("b")), store.Appended{First: 8, Last: 8, Duplicate: true})
}

func testProducer(r *rig) {
	if e := r.refused(store.CodeProducerGap, "s", producer("p", 0, 1), text("x")); e.Want != 0 {
		r.Errorf("new producer: got want %d, want 0", e.Want)
	}
	r.wantAppended("seq 0", r.append("s", producer("p", 0, 0), text("a"), text("b")), store.Appended{First: 1, Last: 2})
	r.heard()
	r.wantAppended("seq 0 again", r.append("s", producer("p", 0, 0), text("a"), text("b")), store.Appended{First: 1, Last: 2, Duplicate: true})
	if said := r.heard(); len(said) > 0 {
		r.Errorf("a duplicate announced %v", said)
	}
	r.wantAppended("seq 1", r.append("s", producer("p", 0, 1), text("c")), store.Appended{First: 3, Last: 3})
	r.wantAppended("seq 0 after 1", r.append("s", producer("p", 0, 0), text("a")), store.Appended{Duplicate: true})
	if e := r.refused(store.CodeProducerGap, "s", producer("p", 0, 3), text("x")); e.Want != 2 {
		r.Errorf("hole: got want %d, want 2", e.Want)
	}
	r.wantAppended("another producer", r.append("s", producer("q", 0, 0), text("d")), store.Appended{First: 4, Last: 4})
	r.wantAppended("in another session", r.append("other", producer("p", 0, 0), text("d")), store.Appended{First: 1, Last: 1})
	// A refused request has not used its number.
	o := producer("p", 0, 2)
	o.ExpectHead = new(int64)
	r.refused(store.CodeHeadMoved, "s", o, text("e"))
	r.wantAppended("seq 2", r.append("s", producer("p", 0, 2), text("e")), store.Appended{First: 5, Last: 5})
	r.append("s", plain, closing())
	r.wantAppended("after close", r.append("s", o, text("e")), store.Appended{First: 5, Last: 5, Duplicate: true})
}

func testProducerEpochs(r *rig) {
	r.append("s", producer("p", 3, 0), text("a"))
	r.append("s", producer("p", 3, 1), text("b"))
	if e := r.refused(store.CodeProducerFenced, "s", producer("p", 2, 0), text("x")); e.Want != 3 {
		r.Errorf("lower epoch: got want %d, want 3", e.Want)
	}
	if e := r.refused(store.CodeProducerGap, "s", producer("p", 4, 2), text("x")); e.Want != 0 {
		r.Errorf("new epoch at seq 2: got want %d, want 0", e.Want)
	}
	r.wantAppended("the refused epoch is not in force", r.append("s", producer("p", 3, 2), text("c")), store.Appended{First: 3, Last: 3})
	r.wantAppended("new epoch", r.append("s", producer("p", 9, 0), text("d")), store.Appended{First: 4, Last: 4})
	if e := r.refused(store.CodeProducerFenced, "s", producer("p", 3, 3), text("x")); e.Want != 9 {
		r.Errorf("fenced: got want %d, want 9", e.Want)
	}
	r.refused(store.CodeProducerFenced, "s", producer("p", 3, 2), text("c"))
}

// A producer that restarts with a new epoch and sends keyed events again must
// be able to go on, although none of them was new.
func testProducerKeys(r *rig) {
	r.append("s", producer("p", 0, 0), keyed("k1", "a"))
	r.wantAppended("all known", r.append("s", producer("p", 1, 0), keyed("k1", "a")), store.Appended{First: 1, Last: 1, Duplicate: true})
	r.wantAppended("goes on", r.append("s", producer("p", 1, 1), keyed("k1", "a"), keyed("k2", "b")), store.Appended{First: 2, Last: 2, IDs: []int64{1, 2}})
	r.refused(store.CodeKeyConflict, "s", producer("p", 1, 2), keyed("k2", "other"))
	r.wantAppended("same number", r.append("s", producer("p", 1, 2), text("c")), store.Appended{First: 3, Last: 3})
}
