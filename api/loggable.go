package api

import (
	"context"
	"net/http"
)

// loggable is what the log says of an error. The detail of a refusal tells a
// client what was wrong with its request and may quote it, so the log has the
// code alone; the detail of what went wrong here is for operators.
func loggable(ctx context.Context, err error) string {
	refused := asRefusal(ctx, err)
	if row := refusals[refused.Code]; row.status < http.StatusInternalServerError {
		return string(refused.Code)
	}
	return err.Error()
}
