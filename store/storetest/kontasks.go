package storetest

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/konlog/konlog/store"
)

func (r *rig) kontask(id string) store.Kontask {
	r.Helper()
	k, err := r.derived().Kontask(ctx, id)
	if err != nil {
		r.Fatalf("kontask %s: %v", id, err)
	}
	return k
}

func testKontask(r *rig) {
	r.append("s", plain, of("turn_start", "t", ""), of("turn_end", "t", ""))
	r.clock.move(5 * time.Hour)
	r.append("s", plain, of("kontask_created", "", `{"id":"c1","status":"running","title":"Plan","createdAt":"1999-01-01T00:00:00Z"}`))
	if s := r.session("s"); s.Open == nil || len(s.Open.Kontasks) != 0 || s.Notable != 2 {
		r.Errorf("open %s, want no card before it is ready", asJSON(s.Open))
	}
	r.append("s", plain, of("kontask_ready", "", `{"id":"c1","status":"completed","context":{"choices":[{"label":"Go","value":"Do it","primary":true}]}}`))
	r.clock.move(time.Second)
	r.append("s", plain, of("kontask_updated", "", `{"kontaskId":"c1","tags":["a","b"],"title":"Plan B"}`))
	s := r.session("s")
	if len(s.Open.Kontasks) != 1 || s.Open.Kontasks[0].Title != "Plan B" || s.Open.Kontasks[0].ID != 5 || s.Notable != 4 ||
		string(s.Open.Kontasks[0].Choices) != `[{"label":"Go","value":"Do it","primary":true}]` {
		r.Errorf("open %s notable %d", asJSON(s.Open), s.Notable)
	}
	k := r.kontask("c1")
	if k.Created != 3 || k.Ready != 4 || k.Last != 5 || k.Session != "s" || !k.CreatedAt.Equal(begin.Add(5*time.Hour)) || !k.UpdatedAt.Equal(begin.Add(5*time.Hour+time.Second)) {
		r.Errorf("kontask %s", asJSON(k))
	}
	want := `{"id":"c1","status":"completed","title":"Plan B","createdAt":"1999-01-01T00:00:00Z","context":{"choices":[{"label":"Go","value":"Do it","primary":true}]},"kontaskId":"c1","tags":["a","b"]}`
	if string(k.Record) != want {
		r.Errorf("record\n%s\nwant\n%s", k.Record, want)
	}
	r.refused(store.CodeInvalidEvent, "s", plain, of("kontask_ready", "", `{"title":"nameless"}`))
	r.refused(store.CodeKontaskMoved, "other", plain, of("kontask_updated", "", `{"id":"c1"}`))
	if _, err := r.derived().Kontask(ctx, "none"); store.CodeOf(err) != store.CodeNoKontask {
		r.Errorf("unknown kontask: %v", err)
	}
	r.delete("s")
	if _, err := r.derived().Kontask(ctx, "c1"); store.CodeOf(err) != store.CodeNoKontask {
		r.Errorf("kontask of a deleted session: %v", err)
	}
	r.append("other", plain, of("kontask_ready", "", `{"id":"c1"}`))
}

// testChoose: two devices choose at the same moment, and one prompt comes of it.
func testChoose(r *rig) {
	r.refused(store.CodeNoKontask, "s", plain, of("kontask_chosen", "", `{"kontaskId":"c"}`))
	r.append("s", plain, of("kontask_ready", "", `{"id":"c"}`))
	var wins, asked int
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			a, err := r.Append(ctx, "s", store.AppendOptions{Together: true}, of("kontask_chosen", "", fmt.Sprintf(`{"kontaskId":"c","choice":%d}`, i)), of("prompt", "", `{"text":"go"}`))
			mu.Lock()
			defer mu.Unlock()
			if err != nil || a.First != 2 {
				r.Errorf("choose: %+v, %v, want event 2 for all", a, err)
			}
			if !a.Duplicate {
				wins++
			}
		})
	}
	all.Wait()
	for _, e := range r.events("s") {
		if e.Type == "prompt" {
			asked++
		}
	}
	if wins != 1 || asked != 1 || r.kontask("c").Chosen != 2 {
		r.Errorf("%d choices won, %d prompts, kontask %s; want one of each", wins, asked, asJSON(r.kontask("c")))
	}
	if s := r.session("s"); len(s.Open.Kontasks) != 0 || len(s.Queue()) != 1 {
		r.Errorf("open %s", asJSON(s.Open))
	}
	r.refused(store.CodeInvalidEvent, "s", plain, of("kontask_ready", "", `{"id":"c"}`)) // the card would come back
	r.append("s", plain, of("kontask_updated", "", `{"id":"c","status":"completed"}`))
	if s := r.session("s"); len(s.Open.Kontasks) != 0 {
		r.Errorf("a card that was chosen from is back: %s", asJSON(s.Open))
	}
}

func testKontaskList(r *rig) {
	for i, session := range []string{"a", "b", "a"} {
		r.clock.move(time.Second)
		r.append(session, plain, of("kontask_ready", "", fmt.Sprintf(`{"id":"c%d","status":"completed","scope":"x%d","tags":["t","u%d"],"targetUser":"ann","requestId":"r%d"}`, i, i, i, i)))
	}
	r.append("a", plain, of("kontask_chosen", "", `{"kontaskId":"c0"}`))
	for _, test := range []struct {
		f    store.KontaskFilter
		want string
	}{
		{store.KontaskFilter{}, "c2 c0 c1"},
		{store.KontaskFilter{Session: "a"}, "c2 c0"},
		{store.KontaskFilter{Scope: "x1"}, "c1"},
		{store.KontaskFilter{Tag: "u2"}, "c2"},
		{store.KontaskFilter{TargetUser: "bob"}, ""},
		{store.KontaskFilter{RequestID: "r0"}, "c0"},
		{store.KontaskFilter{Open: true}, "c2 c1"},
		{store.KontaskFilter{Status: "completed", Tag: "t"}, "c2 c0 c1"},
	} {
		var got []string
		test.f.Limit = 1
		for {
			page, err := r.derived().ListKontasks(ctx, test.f)
			if err != nil {
				r.Fatal(err)
			}
			for _, k := range page.Kontasks {
				got = append(got, k.ID)
			}
			if test.f.Cursor = page.Next; page.Next == "" {
				break
			}
		}
		if strings.Join(got, " ") != test.want {
			r.Errorf("%+v: got %v, want %s", test.f, got, test.want)
		}
	}
	if _, err := r.derived().ListKontasks(ctx, store.KontaskFilter{Cursor: "x"}); store.CodeOf(err) != store.CodeInvalidQuery {
		r.Errorf("a bad cursor: %v", err)
	}
}

func testTurnList(r *rig) {
	for i := range 4 {
		r.clock.move(time.Minute)
		id := fmt.Sprint("t", i)
		r.append(fmt.Sprint("s", i%2), plain, of("prompt", id, `{"text":"p"}`), of("turn_start", id, ""),
			of("tool_start", id, fmt.Sprintf(`{"id":"x","name":"Tool%d"}`, i%3)), of("turn_end", id, `{"success":true}`))
	}
	r.append("s0", plain, of("turn_start", "open", ""))
	r.append("s1", plain, of("prompt", "queued", ""))
	for _, test := range []struct {
		f    store.TurnFilter
		want string
	}{
		{store.TurnFilter{}, "queued open t3 t2 t1 t0"},
		{store.TurnFilter{Session: "s0"}, "open t2 t0"},
		{store.TurnFilter{State: store.TurnOpen}, "open"},
		{store.TurnFilter{State: store.TurnQueued}, "queued"},
		{store.TurnFilter{Tool: "Tool0"}, "t3 t0"},
		{store.TurnFilter{Since: begin.Add(2 * time.Minute), Until: begin.Add(4 * time.Minute)}, "t2 t1"},
	} {
		var got []string
		test.f.Limit = 2
		for {
			page, err := r.derived().ListTurns(ctx, test.f)
			if err != nil {
				r.Fatal(err)
			}
			for _, turn := range page.Turns {
				got = append(got, turn.ID)
			}
			if test.f.Cursor = page.Next; page.Next == "" {
				break
			}
		}
		if strings.Join(got, " ") != test.want {
			r.Errorf("%+v: got %v, want %s", test.f, got, test.want)
		}
	}
	if _, err := r.derived().ListTurns(ctx, store.TurnFilter{Session: "none"}); store.CodeOf(err) != store.CodeNotFound {
		r.Errorf("turns of an unknown session: %v", err)
	}
	if _, err := r.derived().ListTurns(ctx, store.TurnFilter{Cursor: "x"}); store.CodeOf(err) != store.CodeInvalidQuery {
		r.Errorf("a bad cursor: %v", err)
	}
}
