package main

import (
	"strconv"
	"time"

	"github.com/konlog/konlog/agent/run"
	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/store/sqlite"
	"github.com/konlog/konlog/stream"
)

// Defaults that are the server's own, not a package's.
const (
	addrDefault              = "127.0.0.1:8787"
	dataDefault              = "./konlog-data"
	retentionAgeDefault      = 90 * day
	retentionEventsDefault   = 1_000_000 // per session
	retentionBytesDefault    = 1 << 30   // per session
	retentionIntervalDefault = time.Minute
	blobGraceDefault         = day // between an upload and the event that refers to it
	drainSpreadDefault       = 2 * time.Second
	drainTimeoutDefault      = 10 * time.Second
)

// settings is the declaration of everything that can be set. Flags,
// environment, file, konlog config and the texts of all of them come from it.
var settings = []setting{
	{key: "server", kind: kindString, def: "http://" + addrDefault, doc: "the server that a command talks to"},
	{key: "addr", kind: kindString, def: addrDefault, doc: "where serve listens; loopback only; port 0 picks a free one"},
	{key: "data", kind: kindString, def: dataDefault, doc: "the data directory"},
	{key: "log.level", kind: kindString, def: "info", doc: "debug, info, warn or error"},

	{key: "websocket.enabled", env: "WEBSOCKET_ENABLED", kind: kindBool, def: "true", doc: "offer WebSocket"},
	{key: "sse.enabled", env: "SSE_ENABLED", kind: kindBool, def: "true", doc: "offer server-sent events"},
	{key: "polling.enabled", env: "POLLING_ENABLED", kind: kindBool, def: "true", doc: "offer long-polling; plain reads are always there"},
	{key: "shell.realtime", env: "ENABLE_SHELL_REALTIME", kind: kindBool, def: "true", doc: "push sessions with the tag shell as they run; plain reads are always there"},
	{key: "taskmaster.push", env: "ENABLE_TASKMASTER_PUSH", kind: kindBool, def: "true", doc: "push the feed: lists, badges, kontasks; plain reads are always there"},
	{key: "http.origins", kind: kindList, doc: "further browser origins that may upgrade and change things; * allows all"},
	{key: "http.hosts", kind: kindList, doc: "further host names that requests may carry, such as a reverse proxy's; * allows all"},

	{key: "webhooks.allow-private", kind: kindBool, def: "false", doc: "post webhooks to this machine and its network too"},

	{key: "agent", kind: kindCommands, doc: "NAME=COMMAND or NAME:DRIVER=COMMAND: run this agent for sessions whose meta has \"agent\": NAME; may be repeated"},
	{key: "agents.dir", kind: kindString, def: ".", doc: "the working directory of the agents"},
	timeSetting("agents.idle", run.IdleDefault, "without work before an agent's process ends; it goes on with its conversation at the next prompt"),
	countSetting("agents.max", run.RunnersDefault, "sessions whose agents run at a time; others wait"),

	sizeSetting("limits.body-bytes", api.BodyBytesDefault, "one request that is not streamed"),
	sizeSetting("limits.event-bytes", api.EventBytesDefault, "one event: type, turn, parent, data and raw together"),
	countSetting("limits.batch-events", api.BatchEventsDefault, "events of one array"),
	sizeSetting("limits.line-bytes", api.LineBytesDefault, "one line of a streamed append"),
	sizeSetting("limits.import-line-bytes", api.ImportLineBytesDefault, "one line of an import"),
	countSetting("limits.stream-batch-events", api.StreamBatchEventsDefault, "lines of a streamed body that are committed together"),
	sizeSetting("limits.session-body-bytes", api.SessionBodyBytesDefault, "a session's title, tags and meta in a request"),
	sizeSetting("limits.blob-bytes", api.BlobBytesDefault, "one blob"),
	sizeSetting("limits.header-bytes", api.HeaderBytesDefault, "a request's header"),
	sizeSetting("limits.url-bytes", api.URLBytesDefault, "a request's path and query"),
	countSetting("limits.connections", api.ConnectionsDefault, "open streams in all"),
	countSetting("limits.connections-per-address", api.ConnectionsPerAddressDefault, "open streams from one address"),
	countSetting("limits.subscriptions", api.SubscriptionsDefault, "sessions on one connection"),
	sizeSetting("limits.frame-bytes", api.FrameBytesDefault, "a client's WebSocket message"),
	countSetting("limits.page-events", api.PageEventsDefault, "events of a page"),
	sizeSetting("limits.page-bytes", api.PageBytesDefault, "bytes of a page"),

	timeSetting("timeouts.header", api.HeaderTimeoutDefault, "to read a request's header"),
	timeSetting("timeouts.body", api.BodyTimeoutDefault, "to read a request that is not streamed"),
	timeSetting("timeouts.write", api.WriteTimeoutDefault, "to send an answer that is not a stream"),
	timeSetting("timeouts.idle", api.IdleTimeoutDefault, "between requests of a connection"),
	timeSetting("timeouts.line", api.LineTimeoutDefault, "silence of a streamed body"),

	timeSetting("stream.heartbeat", api.HeartbeatDefault, "silence before a ping"),
	timeSetting("stream.silence", stream.SilenceMaxDefault, "silence of a WebSocket client before it is cut"),
	timeSetting("stream.write-timeout", stream.WriteTimeoutDefault, "for a reader to take in one batch"),
	timeSetting("stream.poll-wait", api.PollWaitDefault, "the longest a long-poll waits"),
	timeSetting("stream.retry", stream.RetryDefault, "how long a browser waits before it comes back"),

	countSetting("engine.queue-requests", sqlite.QueueRequestsDefault, "appends that wait for the writer"),
	sizeSetting("engine.queue-bytes", sqlite.QueueBytesDefault, "bytes that wait for the writer"),
	sizeSetting("engine.cache-bytes", sqlite.CacheBytesDefault, "newest events kept in memory, over all sessions"),
	countSetting("engine.readers", sqlite.ReadersDefault, "connections that read the database"),

	{key: "retention.age", kind: kindDuration, def: formatDuration(retentionAgeDefault), doc: "older events go; 0 keeps all"},
	{key: "retention.events", kind: kindInt, def: strconv.Itoa(retentionEventsDefault), min: "0", doc: "events that a session keeps; 0 keeps all"},
	{key: "retention.bytes", kind: kindBytes, def: formatBytes(retentionBytesDefault), doc: "bytes that a session keeps; 0 keeps all"},
	{key: "retention.blob-grace", kind: kindDuration, def: formatDuration(blobGraceDefault), doc: "blobs that no event refers to go so long after their last upload; 0 keeps them"},
	timeSetting("retention.interval", retentionIntervalDefault, "how often retention is applied"),

	{key: "drain.spread", kind: kindDuration, def: formatDuration(drainSpreadDefault), doc: "over which readers are told to come back at a stop"},
	timeSetting("drain.timeout", drainTimeoutDefault, "for readers and requests to end at a stop"),
}

func sizeSetting(key string, def int64, doc string) setting {
	return setting{key: key, kind: kindBytes, def: formatBytes(def), min: "1B", doc: doc}
}

func countSetting(key string, def int, doc string) setting {
	return setting{key: key, kind: kindInt, def: strconv.Itoa(def), min: "1", doc: doc}
}

func timeSetting(key string, def time.Duration, doc string) setting {
	return setting{key: key, kind: kindDuration, def: formatDuration(def), min: "1ms", doc: doc}
}

// clientSetting says which settings belong to commands that talk to a server.
func clientSetting(key string) bool { return key == "server" }

// serverSetting says which settings belong to serve.
func serverSetting(key string) bool { return key != "server" }

// dataSetting says which settings belong to commands that read a data directory.
func dataSetting(key string) bool { return key == "data" }
