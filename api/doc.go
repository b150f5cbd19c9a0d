// Package api is the HTTP face of the log: routes, limits, refusals, health
// and metrics. It turns requests into calls of a store.Log and hands readers
// over to a stream.Server; it decides nothing about order, durability or
// delivery.
//
// Every handler parses, calls and writes. Every refusal goes through one table
// (errors.go) and leaves as problem+json with a stable code; text that is not
// meant for clients goes to the log beside the request id. Every limit stands
// in limits.go.
//
// Appending has one function and two faces, the REST body and the WebSocket
// frame. An answer of 200 or 201 means that the events are on disk.
//
// There are no credentials: the guard lets a browser in only from the same
// host, from loopback, or from a listed origin, and a connection that arrived
// on a loopback address only under a loopback or listed host name.
package api
