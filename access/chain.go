package access

import (
	"context"
	"strings"
)

// Chain asks each verifier in turn. Which one is meant shows in the token:
// those of API keys have a prefix, which no JSON Web Token can have.
type Chain struct {
	Keys *Keys // or nil
	JWT  *JWT  // or nil
}

var _ Verifier = (*Chain)(nil)

// Verify asks the verifier that the token is for.
func (c *Chain) Verify(ctx context.Context, token string) (Grant, error) {
	switch {
	case strings.HasPrefix(token, tokenPrefix):
		if c.Keys != nil {
			return c.Keys.Verify(ctx, token)
		}
	case c.JWT != nil:
		return c.JWT.Verify(ctx, token)
	}
	return Grant{}, ErrUnauthorized
}

// Holds asks the verifier that gave the grant.
func (c *Chain) Holds(g *Grant) bool {
	return g.given != nil && g.given.Holds(g)
}

// Close ends what the verifiers do by themselves.
func (c *Chain) Close() {
	if c.JWT != nil {
		c.JWT.Close()
	}
}
