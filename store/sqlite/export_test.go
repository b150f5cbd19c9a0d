package sqlite

import "context"

// Settle lets the contract's tests wait for what is made off the path of
// appends.
func (l *Log) Settle(ctx context.Context) error { return l.settle(ctx) }
