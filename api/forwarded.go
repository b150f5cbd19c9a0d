package api

import "strings"

// hop is one element of the header Forwarded (RFC 7239).
type hop struct{ by, proto, host string }

// fromForwarded does with Forwarded what forwarded does with the other headers.
// Of a malformed header nothing is believed: in it a client's open quote could
// swallow what the proxy added.
func (s *Server) fromForwarded(values []string, c client) client {
	hops, ok := parseForwarded(strings.Join(values, ","))
	if !ok || len(hops) == 0 {
		return c
	}
	nearest := hops[len(hops)-1]
	c.setScheme(nearest.proto)
	c.setHost(nearest.host)
	for i := len(hops) - 1; i >= max(0, len(hops)-hopsMax); i-- {
		if !s.hopped(&c, hops[i].by) { // "unknown" and "_hidden" are no addresses
			break
		}
	}
	return c
}

// parseForwarded reads the elements from left to right.
func parseForwarded(text string) (hops []hop, ok bool) {
	var h hop
	for rest := text; ; {
		rest = strings.TrimLeft(rest, " \t")
		if rest != "" && rest[0] != ',' && rest[0] != ';' {
			if rest, ok = h.takePair(rest); !ok {
				return nil, false
			}
			rest = strings.TrimLeft(rest, " \t")
		}
		if rest == "" || rest[0] == ',' {
			if h != (hop{}) {
				hops = append(hops, h)
			}
			h = hop{}
		}
		if rest == "" {
			return hops, true
		}
		if rest[0] != ',' && rest[0] != ';' {
			return nil, false
		}
		rest = rest[1:]
	}
}

// takePair reads one name=value, the value a token or a quoted string, and
// returns what follows.
func (h *hop) takePair(text string) (rest string, ok bool) {
	name, rest, ok := strings.Cut(text, "=")
	if !ok || name == "" || strings.ContainsAny(name, " \t\",;") {
		return "", false
	}
	var value string
	if strings.HasPrefix(rest, `"`) {
		if value, rest, ok = unquote(rest[1:]); !ok {
			return "", false
		}
	} else {
		end := strings.IndexAny(rest, " \t,;\"")
		if end < 0 {
			end = len(rest)
		}
		value, rest = rest[:end], rest[end:]
	}
	switch strings.ToLower(name) {
	case "for":
		h.by = value
	case "proto":
		h.proto = value
	case "host":
		h.host = value
	}
	return rest, value != ""
}

// unquote reads up to the closing quote of a quoted string.
func unquote(text string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			return b.String(), text[i+1:], true
		case '\\':
			if i++; i == len(text) {
				return "", "", false
			}
		}
		b.WriteByte(text[i])
	}
	return "", "", false
}
