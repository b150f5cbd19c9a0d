package api

import (
	"cmp"
	"time"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// The defaults of Limits. Each bounds what one client can make the server
// hold, read or wait for.
const (
	BodyBytesDefault             = 16 << 20                // a batch near the event limit still fits; P16
	EventBytesDefault            = store.EventBytesDefault // P16
	BatchEventsDefault           = 10_000                  // one transaction must not hold up the others for long
	LineBytesDefault             = EventBytesDefault + lineEnvelope
	ImportLineBytesDefault       = escapeGrowth*EventBytesDefault + lineEnvelope
	StreamBatchEventsDefault     = 1000                     // lines of one commit of a streamed body; what is buffered is seldom more
	BlobBytesDefault             = store.BlobBytesDefault   // one blob; it is never in memory as a whole
	SessionBodyBytesDefault      = 64 << 10                 // title, tags and meta at their limits, escaped
	HeaderBytesDefault           = 32 << 10                 // room for a long cursor and a proxy's additions
	URLBytesDefault              = 24 << 10                 // the longest cursor of stream and the rest
	HeaderTimeoutDefault         = 10 * time.Second         // a client that trickles its header is cut
	BodyTimeoutDefault           = 60 * time.Second         // 16 MiB over a slow line; streamed bodies have LineTimeout instead
	WriteTimeoutDefault          = 60 * time.Second         // a page of 4 MiB over a slow line; streams have deadlines per batch
	IdleTimeoutDefault           = 2 * time.Minute          // an unused kept-alive connection
	LineTimeoutDefault           = 5 * time.Minute          // silence of a streamed body; a blank line counts as a sign of life
	ConnectionsDefault           = 20_000                   // open streams in all; 32 KiB each
	ConnectionsPerAddressDefault = 10_000                   // high, because on loopback and behind a proxy all share one
	StreamsPerConnectionDefault  = 250                      // requests at a time on one HTTP/2 connection: a browser has one for all its tabs
	SubscriptionsDefault         = 1000                     // sessions on one connection
	FrameBytesDefault            = 4 << 20                  // a client's WebSocket message
	PageEventsDefault            = stream.PageEventsDefault // of one read for a stream
	PageBytesDefault             = stream.PageBytesDefault  // likewise; what a slow reader holds
	PollWaitDefault              = 30 * time.Second         // below the idle cut of common proxies
	HeartbeatDefault             = 10 * time.Second         // silence before a ping
)

// Bounds that nobody needs to set.
const (
	lineEnvelope       = 64 << 10    // member names, key, escapes of a line beside its event
	escapeGrowth       = 6           // a byte of an agent's line can take six in JSON (\u003c)
	bodyBytesStart     = 4 << 10     // first size of a pooled body buffer; a claimed Content-Length allocates nothing
	bodyBytesKept      = 256 << 10   // larger buffers are not pooled
	lineBytesStart     = 64 << 10    // first size of a line reader's buffer: about 200 events per read
	lingerTimeout      = time.Second // how long a refused stream may go on before the connection is cut
	connRetryAfter     = 5           // seconds, for one who found no free connection
	sessionsRetryAfter = 60          // seconds, for one who may make no more sessions
	ticketsRetryAfter  = 5           // seconds; a ticket is unused for 60 at most
	requestIDMax       = 64          // bytes of a client's own X-Request-Id that are taken over
	diagFrames         = 5           // of the diagnosis script
	diagPace           = 500 * time.Millisecond
	diagIdleMax        = 120              // seconds of silence that a diagnosis can ask for
	diagWriteMax       = 10 * time.Second // for one frame of the script

	// Of an ingest: the longest line that is read as one, which bounds what one
	// request holds in memory; and its source's name.
	ingestLineBytes = 8 << 20
	ingestNameMax   = 256
)

// Limits bounds what clients can ask of the server. A field that is zero
// stands for its default above.
type Limits struct {
	BodyBytes         int   // of a request that is not streamed
	EventBytes        int   // of one event; the engine's limit should be the same
	BatchEvents       int   // of one array
	LineBytes         int   // of a line of a streamed append
	ImportLineBytes   int   // of a line of an import
	StreamBatchEvents int   // lines that a streamed body commits together
	SessionBodyBytes  int   // of a session's title, tags and meta
	BlobBytes         int64 // of one blob
	HeaderBytes       int   // of the request header
	URLBytes          int   // of path and query

	HeaderTimeout time.Duration // to read the header
	BodyTimeout   time.Duration // to read header and body, streamed ones excepted
	WriteTimeout  time.Duration // to answer, streams excepted
	IdleTimeout   time.Duration // between requests of a connection
	LineTimeout   time.Duration // of silence of a streamed body

	Connections           int           // open streams: WebSocket, SSE, waiting polls, streamed bodies
	ConnectionsPerAddress int           // of those, from one address
	StreamsPerConnection  int           // requests at a time on one HTTP/2 connection; each that stays open counts as a connection too
	Subscriptions         int           // sessions of one connection
	FrameBytes            int           // of a client's WebSocket message
	PageEvents            int           // of one read for a stream; a poll may ask for stream.PollEventsMax
	PageBytes             int           // likewise; a poll gets up to stream.PollBytesMax
	PollWait              time.Duration // the most that wait= can ask for
}

// orDefault fills in what is not set.
func (l Limits) orDefault() Limits {
	l.BodyBytes = cmp.Or(l.BodyBytes, BodyBytesDefault)
	l.EventBytes = cmp.Or(l.EventBytes, EventBytesDefault)
	l.BatchEvents = cmp.Or(l.BatchEvents, BatchEventsDefault)
	l.LineBytes = cmp.Or(l.LineBytes, l.EventBytes+lineEnvelope)
	l.ImportLineBytes = cmp.Or(l.ImportLineBytes, escapeGrowth*l.EventBytes+lineEnvelope)
	l.StreamBatchEvents = cmp.Or(l.StreamBatchEvents, StreamBatchEventsDefault)
	l.SessionBodyBytes = cmp.Or(l.SessionBodyBytes, SessionBodyBytesDefault)
	l.BlobBytes = cmp.Or(l.BlobBytes, BlobBytesDefault)
	l.HeaderBytes = cmp.Or(l.HeaderBytes, HeaderBytesDefault)
	l.URLBytes = cmp.Or(l.URLBytes, URLBytesDefault)
	l.HeaderTimeout = cmp.Or(l.HeaderTimeout, HeaderTimeoutDefault)
	l.BodyTimeout = cmp.Or(l.BodyTimeout, BodyTimeoutDefault)
	l.WriteTimeout = cmp.Or(l.WriteTimeout, WriteTimeoutDefault)
	l.IdleTimeout = cmp.Or(l.IdleTimeout, IdleTimeoutDefault)
	l.LineTimeout = cmp.Or(l.LineTimeout, LineTimeoutDefault)
	l.Connections = cmp.Or(l.Connections, ConnectionsDefault)
	l.ConnectionsPerAddress = cmp.Or(l.ConnectionsPerAddress, ConnectionsPerAddressDefault)
	l.StreamsPerConnection = cmp.Or(l.StreamsPerConnection, StreamsPerConnectionDefault)
	l.Subscriptions = cmp.Or(l.Subscriptions, SubscriptionsDefault)
	l.FrameBytes = cmp.Or(l.FrameBytes, FrameBytesDefault)
	l.PageEvents = cmp.Or(l.PageEvents, PageEventsDefault)
	l.PageBytes = cmp.Or(l.PageBytes, PageBytesDefault)
	l.PollWait = cmp.Or(l.PollWait, PollWaitDefault)
	return l
}
