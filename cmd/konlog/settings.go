package main

import (
	"strconv"
	"time"

	"golang.org/x/crypto/acme/autocert"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/agent/run"
	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/shell"
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
	socketModeDefault        = "0600"
)

// settings is the declaration of everything that can be set. Flags,
// environment, file, konlog config and the texts of all of them come from it.
var settings = []setting{
	{key: "server", kind: kindString, def: "http://" + addrDefault, doc: "the server that a command talks to: http://, https:// or unix:/path"},
	{key: "token-file", kind: kindString, doc: "file with the token that a command shows to the server; the variable " + tokenVariable + " may hold it instead"},
	{key: "addr", kind: kindString, def: addrDefault, doc: "where serve listens; loopback only unless credentials are asked for; port 0 picks a free one; unix:/path is a Unix socket"},
	{key: "data", kind: kindString, def: dataDefault, doc: "the data directory"},
	{key: "log.level", kind: kindString, def: "info", doc: "debug, info, warn or error"},
	{key: "log.format", kind: kindString, def: logFormatDefault, doc: "text or json, a line each"},
	{key: "trace.endpoint", kind: kindString, doc: "the OpenTelemetry collector that serve exports to, by OTLP over HTTP, like http://127.0.0.1:4318; empty is none"},
	{key: "trace.headers-file", kind: kindString, doc: "file with headers for the collector, NAME: VALUE a line"},
	{key: "trace.genai", kind: kindBool, def: "true", doc: "export the agents' turns, as GenAI spans"},
	{key: "trace.content", kind: kindBool, def: "false", doc: "with prompts, texts, arguments and results in them"},
	{key: "trace.sample", kind: kindString, def: traceSampleDefault, doc: "share of the appends without a trace of their own that are exported, 0 to 1"},

	{key: "websocket.enabled", env: "WEBSOCKET_ENABLED", kind: kindBool, def: "true", doc: "offer WebSocket"},
	{key: "sse.enabled", env: "SSE_ENABLED", kind: kindBool, def: "true", doc: "offer server-sent events"},
	{key: "polling.enabled", env: "POLLING_ENABLED", kind: kindBool, def: "true", doc: "offer long-polling; plain reads are always there"},
	{key: "shell.realtime", env: "ENABLE_SHELL_REALTIME", kind: kindBool, def: "false", doc: "open terminals for whoever may use shells, and push them as they run; plain reads of sessions with the tag shell are always there"},
	{key: "shell.command", kind: kindString, doc: "what runs in a terminal where nothing else is asked for; empty is $SHELL, or /bin/sh"},
	{key: "shell.dir", kind: kindString, doc: "where it begins; empty is the home directory"},
	countSetting("shell.max", shell.ShellsDefault, "terminals at a time"),
	timeSetting("shell.idle", shell.IdleDefault, "without anything typed or printed before a terminal is closed"),
	sizeSetting("shell.rate", shell.RateDefault, "what a terminal prints a second, over a while; more waits"),
	{key: "taskmaster.push", env: "ENABLE_TASKMASTER_PUSH", kind: kindBool, def: "true", doc: "push the feed: lists, badges, kontasks; plain reads are always there"},
	{key: "http.origins", kind: kindList, doc: "further browser origins that may upgrade and change things; * allows all"},
	{key: "http.hosts", kind: kindList, doc: "further host names that requests may carry, such as a reverse proxy's; * allows all"},

	{key: "http.trusted-proxies", kind: kindList, doc: "networks of reverse proxies whose word about a client's address, scheme and host is believed; loopback is this machine"},
	{key: "http.proxy-header", kind: kindString, def: api.HeaderXForwardedFor, doc: "in which header they say it: X-Forwarded-For, with X-Forwarded-Proto and X-Forwarded-Host, or Forwarded"},
	{key: "http.socket-mode", kind: kindString, def: socketModeDefault, doc: "the mode of the file when addr is a Unix socket: who may write to it may connect"},
	{key: "tls.cert", kind: kindString, doc: "file of the certificate and its chain, PEM; read again when it changes"},
	{key: "tls.key", kind: kindString, doc: "file of its key, PEM"},
	{key: "tls.acme-hosts", kind: kindList, doc: "names for which certificates are obtained by ACME, instead of files; setting it accepts the authority's terms"},
	{key: "tls.acme-email", kind: kindString, doc: "where the authority may write to"},
	{key: "tls.acme-directory", kind: kindString, def: autocert.DefaultACMEDirectory, doc: "the authority"},
	{key: "tls.acme-ca", kind: kindString, doc: "file of the root certificate of a private authority, PEM"},
	{key: "tls.redirect-addr", kind: kindString, doc: "a plain address, such as :80, that answers ACME and redirects everybody else to https"},
	{key: "tls.hsts", kind: kindDuration, def: "0s", doc: "for how long browsers refuse to come without TLS (Strict-Transport-Security); 0 leaves it out"},

	{key: "auth.keys", kind: kindBool, def: "false", doc: "take the API keys of konlog token, and nobody without a credential"},
	{key: "auth.jwt-secret-file", kind: kindString, doc: "take JSON Web Tokens signed by HS256 with the secret in this file, 32 bytes at least; the variable " + jwtSecretVariable + " may hold it instead"},
	{key: "auth.jwks", kind: kindString, doc: "take JSON Web Tokens signed by a key of this set, a file or an https URL; read again as it changes"},
	{key: "auth.jwt-issuer", kind: kindString, doc: "what the claim iss of a token must be"},
	{key: "auth.jwt-audience", kind: kindString, doc: "what the claim aud of a token must hold"},
	{key: "auth.query-token", kind: kindBool, def: "false", doc: "take a token as ?access_token= too; it may end up in the logs of a proxy"},
	timeSetting("auth.grace", access.GraceDefault, "for a WebSocket whose token expired to get another"),

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
	countSetting("limits.streams-per-connection", api.StreamsPerConnectionDefault, "requests at a time on one HTTP/2 connection"),
	countSetting("limits.subscriptions", api.SubscriptionsDefault, "sessions on one connection"),
	sizeSetting("limits.frame-bytes", api.FrameBytesDefault, "a client's WebSocket message"),
	countSetting("limits.page-events", api.PageEventsDefault, "events of a page"),
	sizeSetting("limits.page-bytes", api.PageBytesDefault, "bytes of a page"),

	{key: "limits.local", kind: kindBool, def: "false", doc: "hold who comes without a credential, and loopback addresses, to the limits of one credential and one address too"},
	rateSetting("limits.requests", api.RequestsDefault, "requests per second of one credential, WebSocket commands among them"),
	countSetting("limits.requests-burst", api.RequestsBurstDefault, "of those, at once"),
	rateSetting("limits.address-requests", api.AddressRequestsDefault, "requests per second of one address (IPv6: its /64)"),
	countSetting("limits.address-requests-burst", api.AddressRequestsBurstDefault, "of those, at once"),
	byteRateSetting("limits.bytes", api.BytesDefault, "bytes per second that one credential appends and uploads"),
	sizeSetting("limits.bytes-burst", api.BytesBurstDefault, "of those, at once; at least limits.body-bytes"),
	rateSetting("limits.frames", api.FramesDefault, "WebSocket frames per second of one credential, fragments and pings among them"),
	countSetting("limits.frames-burst", api.FramesBurstDefault, "of those, at once"),
	rateSetting("limits.failures", api.FailuresDefault, "refused credentials per second of one address"),
	countSetting("limits.failures-burst", api.FailuresBurstDefault, "of those, at once"),
	rateSetting("limits.sessions-per-hour", api.SessionsPerHourDefault, "sessions that one credential makes in an hour"),
	rateSetting("limits.connections-per-credential", api.ConnectionsPerCredentialDefault, "open streams of one credential"),
	rateSetting("limits.subscriptions-per-credential", api.SubscriptionsPerCredentialDefault, "sessions that one credential follows, over all its connections"),
	countSetting("limits.tracked", api.TrackedDefault, "addresses, and credentials, that the rates keep apart"),
	byteRateSetting("limits.intake-bytes", api.IntakeBytesDefault, "memory for bodies, lines and frames that have begun and not ended, of all clients"),
	rateSetting("limits.sockets", api.SocketsDefault, "open network connections"),
	rateSetting("limits.sockets-per-address", api.SocketsPerAddressDefault, "of those, from one address that is neither loopback nor a trusted proxy"),
	rateSetting("limits.new-sockets", api.NewSocketsDefault, "network connections per second from one such address"),
	countSetting("limits.new-sockets-burst", api.NewSocketsBurstDefault, "of those, at once"),

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
	{key: "engine.readers", kind: kindInt, def: strconv.Itoa(sqlite.ReadersDefault), min: "2", doc: "connections that read the database; searches leave one of them free"},

	{key: "retention.age", kind: kindDuration, def: formatDuration(retentionAgeDefault), doc: "older events go; 0 keeps all"},
	{key: "retention.events", kind: kindInt, def: strconv.Itoa(retentionEventsDefault), min: "0", doc: "events that a session keeps; 0 keeps all"},
	{key: "retention.bytes", kind: kindBytes, def: formatBytes(retentionBytesDefault), doc: "bytes that a session keeps; 0 keeps all"},
	{key: "retention.blob-grace", kind: kindDuration, def: formatDuration(blobGraceDefault), doc: "blobs that no event refers to go so long after their last upload; 0 keeps them"},
	{key: "retention.scopes", kind: kindRules, doc: "PATTERN=age:7d events:1000 bytes:1GiB: what sessions of these scopes keep instead; the first that matches counts; may be repeated"},
	timeSetting("retention.interval", retentionIntervalDefault, "how often retention is applied"),

	{key: "quota.sessions", kind: kindInt, def: "0", min: "0", doc: "sessions in all; 0 is no bound, like those below"},
	{key: "quota.bytes", kind: kindBytes, def: "0B", doc: "bytes of all events"},
	{key: "quota.blob-bytes", kind: kindBytes, def: "0B", doc: "bytes of all blobs"},
	{key: "quota.session-events", kind: kindInt, def: "0", min: "0", doc: "events of each session, beyond which it takes no more"},
	{key: "quota.session-bytes", kind: kindBytes, def: "0B", doc: "bytes of each session, beyond which it takes no more"},
	{key: "quota.scopes", kind: kindRules, doc: "PATTERN=sessions:100 bytes:1GiB session-events:1000 session-bytes:1GiB: what each of these scopes may hold; the first that matches counts; may be repeated"},

	{key: "disk.warn", kind: kindBytes, def: formatBytes(diskWarnDefault), doc: "free space below which the log says so and retention runs at once; the lesser of it and the share counts, 0 leaves it to the other"},
	{key: "disk.warn-percent", kind: kindInt, def: strconv.Itoa(diskWarnPercentDefault), min: "0", doc: "likewise as a share of the disk"},
	{key: "disk.reserve", kind: kindBytes, def: formatBytes(diskReserveDefault), doc: "free space that appends leave alone, so that turns can end and deletions go on; likewise"},
	{key: "disk.reserve-percent", kind: kindInt, def: strconv.Itoa(diskReservePercentDefault), min: "0", doc: "likewise as a share of the disk"},

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
func clientSetting(key string) bool { return key == "server" || key == "token-file" }

// serverSetting says which settings belong to serve.
func serverSetting(key string) bool { return !clientSetting(key) }

// dataSetting says which settings belong to commands that read a data directory.
func dataSetting(key string) bool { return key == "data" }
