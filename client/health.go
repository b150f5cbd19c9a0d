package client

import (
	"context"
	"encoding/json"
	"net/http"
)

// Health is what a server tells of itself at /health/realtime.
type Health struct {
	Version     string           `json:"version"`
	Protocol    int              `json:"protocol"`
	ServerTime  string           `json:"serverTime"`
	Draining    bool             `json:"draining"`
	Writable    bool             `json:"writable"`
	Transports  map[string]bool  `json:"transports"`
	Channels    map[string]bool  `json:"channels"`
	Connections map[string]int   `json:"connections"`
	HeartbeatMs int64            `json:"heartbeatMs"`
	Limits      map[string]int64 `json:"limits"`
	Retention   map[string]int64 `json:"retention"` // 0 is no bound
	Agents      []string         `json:"agents"`    // that the server runs for sessions whose meta has "agent"

	JSON json.RawMessage `json:"-"` // the answer as received
}

// Health asks the server how it fares.
func (c *Client) Health(ctx context.Context) (Health, error) {
	var raw json.RawMessage
	r := &call{op: "health", method: http.MethodGet, url: c.url(nil, "health", "realtime")}
	if _, err := c.do(ctx, r, &raw); err != nil {
		return Health{}, err
	}
	h := Health{JSON: raw}
	if err := json.Unmarshal(raw, &h); err != nil {
		return Health{}, r.wrap(err)
	}
	return h, nil
}
