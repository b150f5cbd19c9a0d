package main

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// Bounds of what top asks for in one round.
const (
	topTurnsMax = 50 // open turns that are listed
	topToolsMax = 20 // of those, turns whose last tool is looked for
	topTail     = 50 // events of a session in which it is looked for
)

// topSnapshot is a server at a moment; rates are of the interval before. What
// is not known is left out. It is what --json prints.
type topSnapshot struct {
	Time    store.Stamp `json:"time"`
	Server  string      `json:"server"`
	Version string      `json:"version,omitempty"`
	Error   string      `json:"error,omitempty"` // why nothing else is known; or of a part
	Since   store.Stamp `json:"errorSince,omitzero"`

	Log     *topLog     `json:"log,omitempty"` // these are of /metrics; nil without
	Readers *topReaders `json:"readers,omitempty"`
	Disk    *topDisk    `json:"disk,omitempty"`
	Agents  *topAgents  `json:"agents,omitempty"`
	Turns   []topTurn   `json:"turns"`
	More    bool        `json:"moreTurns,omitempty"`

	interval time.Duration
}

type topLog struct {
	Events      *float64 `json:"eventsPerSecond,omitempty"`
	Bytes       *float64 `json:"bytesPerSecond,omitempty"`
	Commits     *float64 `json:"commitsPerSecond,omitempty"`
	Refused     *float64 `json:"refusedPerSecond,omitempty"`
	P50         *float64 `json:"appendP50Seconds,omitempty"`
	P99         *float64 `json:"appendP99Seconds,omitempty"`
	Sync        *float64 `json:"commitSyncP99Seconds,omitempty"`
	Wait        *float64 `json:"queueWaitP99Seconds,omitempty"`
	Queue       int64    `json:"queueRequests"`
	QueueMax    int64    `json:"queueRequestsLimit,omitempty"`
	QueueBytes  int64    `json:"queueBytes"`
	QueueBytMax int64    `json:"queueBytesLimit,omitempty"`
}

type topReaders struct {
	Connections    map[string]int64 `json:"connections"` // by transport
	ConnectionsMax int64            `json:"connectionsLimit,omitempty"`
	Subscriptions  int64            `json:"subscriptions"`
	Events         *float64         `json:"eventsPerSecond,omitempty"`
	Lag            *float64         `json:"lagP99Seconds,omitempty"`
	LagEvents      *float64         `json:"lagP99Events,omitempty"`
	Cut            *float64         `json:"cutPerSecond,omitempty"`
}

type topDisk struct {
	Writable bool  `json:"writable"`
	Database int64 `json:"databaseBytes"`
	WAL      int64 `json:"walBytes"`
	Blobs    int64 `json:"blobBytes"`
	Free     int64 `json:"freeBytes,omitempty"`
	Low      bool  `json:"low"`
}

type topAgents struct {
	Running int64 `json:"running"`
	Waiting int64 `json:"waiting"`
	Max     int64 `json:"limit,omitempty"`
}

type topTurn struct {
	Session   string      `json:"session"`
	Title     string      `json:"title,omitempty"`
	Turn      string      `json:"turn"`
	Agent     string      `json:"agent,omitempty"`
	StartedAt store.Stamp `json:"startedAt,omitzero"`
	Tool      string      `json:"lastTool,omitempty"`
	Questions int         `json:"questions,omitempty"`
}

// topSource asks a server. One goroutine at a time may use it.
type topSource struct {
	client   *client.Client
	server   string
	interval time.Duration
	now      func() time.Time

	last    scrape // of the round before; or nil
	lastAt  time.Time
	failing time.Time          // since when nothing was answered; zero while it is
	tools   map[string]topTool // of the last round, by session
}

// topTool is the tool that a session used last, as of a head.
type topTool struct {
	head int64
	turn string
	name string
}

// sample asks for everything once. It always returns a snapshot.
func (t *topSource) sample(ctx context.Context) *topSnapshot {
	now := t.now()
	s := &topSnapshot{Time: store.Stamp{Time: now}, Server: t.server, Turns: []topTurn{}, interval: t.interval}
	text, err := t.client.Metrics(ctx)
	var seen scrape
	if err == nil {
		seen, err = parseScrape(text)
	}
	if err == nil {
		t.count(s, seen, now)
	} else {
		t.last = nil
	}
	if err == nil || !unreachable(err) {
		if turnsErr := t.turns(ctx, s); err == nil {
			err = turnsErr
		}
	}
	if err == nil {
		t.failing = time.Time{}
		return s
	}
	if t.failing.IsZero() {
		t.failing = now
	}
	s.Error, s.Since = err.Error(), store.Stamp{Time: t.failing}
	return s
}

// count fills in what /metrics says.
func (t *topSource) count(s *topSnapshot, seen scrape, now time.Time) {
	p := between(t.last, seen, now.Sub(t.lastAt).Seconds())
	t.last, t.lastAt = seen, now
	s.Version = seen.label("konlog_build_info", "version")
	s.Log = &topLog{
		Events: p.rate("konlog_events_total"), Bytes: p.rate("konlog_event_bytes_total"), Commits: p.rate("konlog_commits_total"), Refused: p.rate("konlog_refused_total"),
		P50: p.quantile(.5, "konlog_append_seconds"), P99: p.quantile(.99, "konlog_append_seconds"),
		Sync: p.quantile(.99, "konlog_commit_sync_seconds"), Wait: p.quantile(.99, "konlog_queue_wait_seconds"),
		Queue: int64(seen.value("konlog_queue_requests")), QueueMax: int64(seen.limit("engine.queue-requests")),
		QueueBytes: int64(seen.value("konlog_queue_bytes")), QueueBytMax: int64(seen.limit("engine.queue-bytes")),
	}
	s.Readers = &topReaders{
		Connections: map[string]int64{}, ConnectionsMax: int64(seen.limit("limits.connections")), Subscriptions: int64(seen.value("konlog_subscriptions")),
		Events: p.rate("konlog_delivered_events_total"), Cut: p.rate("konlog_readers_cut_total"),
		Lag: p.quantile(.99, "konlog_reader_lag_seconds"), LagEvents: p.quantile(.99, "konlog_reader_lag_events"),
	}
	for _, m := range seen["konlog_connections"].GetMetric() {
		s.Readers.Connections[m.Label[0].GetValue()] = int64(m.GetGauge().GetValue())
	}
	s.Disk = &topDisk{
		Writable: seen.value("konlog_writable") == 1, Database: int64(seen.value("konlog_database_bytes")), WAL: int64(seen.value("konlog_wal_bytes")),
		Blobs: int64(seen.value("konlog_blob_bytes")), Free: int64(seen.value("konlog_disk_free_bytes")), Low: seen.value("konlog_disk_low") > 0,
	}
	s.Agents = &topAgents{Running: int64(seen.value("konlog_agents_running")), Waiting: int64(seen.value("konlog_agents_waiting")), Max: int64(seen.limit("agents.max"))}
}

// turns fills in the turns that are open, the oldest first.
func (t *topSource) turns(ctx context.Context, s *topSnapshot) error {
	open, err := t.client.Turns(ctx, store.TurnFilter{State: store.TurnOpen, Limit: topTurnsMax})
	if err != nil {
		return err
	}
	of := map[string]*store.SessionObject{}
	for _, state := range []string{store.StateWorking, store.StateWaiting} {
		page, err := t.client.Sessions(ctx, store.SessionFilter{State: state, Limit: store.SessionsPageMax})
		if err != nil {
			return err
		}
		for i := range page.Sessions {
			of[page.Sessions[i].ID] = &page.Sessions[i]
		}
	}
	s.More = open.Next != ""
	tools := map[string]topTool{}
	for _, turn := range open.Turns {
		one := topTurn{Session: turn.Session, Turn: turn.Turn, Agent: turn.Agent, StartedAt: turn.StartedAt}
		if about := of[turn.Session]; about != nil {
			one.Title, one.Questions = about.Title, about.Questions
			if len(tools) < topToolsMax {
				tools[turn.Session] = t.lastTool(ctx, about, turn.Turn)
				one.Tool = tools[turn.Session].name
			}
		}
		s.Turns = append(s.Turns, one)
	}
	t.tools = tools
	slices.SortStableFunc(s.Turns, func(a, b topTurn) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt.Time), cmp.Compare(a.Session, b.Session))
	})
	return nil
}

// lastTool looks for the tool that the turn called last, if something came
// since it was looked for. What cannot be read is not shown.
func (t *topSource) lastTool(ctx context.Context, about *store.SessionObject, turn string) topTool {
	known := t.tools[about.ID]
	if known.head == about.Head && known.turn == turn {
		return known
	}
	tool := topTool{head: about.Head, turn: turn}
	if known.turn == turn {
		tool.name = known.name
	}
	page, err := t.client.Read(ctx, about.ID, client.PageQuery{Tail: topTail, Types: []string{store.TypeToolStart}, Turn: turn})
	if err != nil {
		return known
	}
	for i := range page.Events {
		if name := page.Events[i].Text("name"); name != "" {
			tool.name = name
		}
	}
	return tool
}
