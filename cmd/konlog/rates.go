package main

import "github.com/konlog/konlog/api"

func apiRates(c config) api.Rates {
	return api.Rates{
		Local:                      c.bool("limits.local"),
		Requests:                   c.int("limits.requests"),
		RequestsBurst:              c.int("limits.requests-burst"),
		AddressRequests:            c.int("limits.address-requests"),
		AddressRequestsBurst:       c.int("limits.address-requests-burst"),
		Bytes:                      int(c.bytes("limits.bytes")),
		BytesBurst:                 int(c.bytes("limits.bytes-burst")),
		Frames:                     c.int("limits.frames"),
		FramesBurst:                c.int("limits.frames-burst"),
		Failures:                   c.int("limits.failures"),
		FailuresBurst:              c.int("limits.failures-burst"),
		SessionsPerHour:            c.int("limits.sessions-per-hour"),
		ConnectionsPerCredential:   c.int("limits.connections-per-credential"),
		SubscriptionsPerCredential: c.int("limits.subscriptions-per-credential"),
		Tracked:                    c.int("limits.tracked"),
		IntakeBytes:                int(c.bytes("limits.intake-bytes")),
		Sockets:                    c.int("limits.sockets"),
		SocketsPerAddress:          c.int("limits.sockets-per-address"),
		NewSockets:                 c.int("limits.new-sockets"),
		NewSocketsBurst:            c.int("limits.new-sockets-burst"),
	}
}

// rateSetting is a number of which 0 means no bound.
func rateSetting(key string, def int, doc string) setting {
	s := countSetting(key, def, doc+"; 0 is no bound")
	s.min = "0"
	return s
}

// byteRateSetting is a size of which 0 means no bound.
func byteRateSetting(key string, def int64, doc string) setting {
	s := sizeSetting(key, def, doc+"; 0 is no bound")
	s.min = "0"
	return s
}

// limit bounds the connections of all that listens.
func (e *edge) limit(s *api.Server) {
	e.listener = s.LimitListener(e.listener)
	if e.redirect != nil {
		e.redirect.listener = s.LimitListener(e.redirect.listener)
	}
}
