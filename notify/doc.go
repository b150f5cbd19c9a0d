// Package notify sends webhooks: it reads the feed as any reader does, with a
// cursor per webhook that the store keeps, and posts the events that a webhook
// asks for to its URL, signed as the Standard Webhooks specification says.
//
// An event is delivered at least once: the cursor moves after the receiver has
// answered with 2xx, so a crash in between sends it again, under the same id.
// Events of one webhook come in the order of the feed, one at a time; a failed
// one is tried again until it is delivered or given up, and those behind it
// wait. Webhooks do not wait for each other.
//
// URLs come from clients, so addresses that only this machine or its network
// can reach are refused, after the name was resolved and for each connection
// anew (guard.go). What a receiver answers is never shown but for its status.
//
// A Sender owns its goroutines: one that decides what is due, and one for each
// delivery that is under way. The first owns all state; the others report to it.
package notify
