package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// metricsBytesMax bounds what is read of a server's metrics, whose number is
// fixed and far smaller.
const metricsBytesMax = 8 << 20

// Metrics returns what the server counts, in the text format of Prometheus. It
// asks once: whoever wants them wants them as of now.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.retry.AttemptTimeout)
	defer cancel()
	u := c.url(nil, "metrics")
	resp, err := c.send(ctx, http.MethodGet, u, http.Header{"Accept": {"text/plain"}}, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metrics: %w", statusError(resp, http.MethodGet, u))
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, metricsBytesMax))
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	if json.Valid(b) { // another program's
		return nil, fmt.Errorf("metrics: %w", ErrUnreadable)
	}
	return b, nil
}
