// Package edge holds the proof that konlog works behind reverse proxies: real
// ones, run with the files of deploy/proxy, in which only ports, paths and
// times are replaced. Through each go all transports, large and endless
// bodies, silence, restarts of both sides, and addresses that lie. It has
// tests only.
//
// A proxy that is not installed is left out with a word; with CI=true that is
// a failure, but for Caddy.
package edge
