package access

import (
	"crypto/sha256"
	"sync"
	"time"
)

// cachedTokensMax bounds the tokens whose signature is not checked again. Each
// holds at most what a token of TokenBytesMax can say.
const cachedTokensMax = 4096

// tokenCache holds the grants of tokens that were verified, by the hash of the
// token. Nothing gets in without a good signature, so strangers cannot fill
// it.
type tokenCache struct {
	mu     sync.RWMutex // guards grants
	grants map[[sha256.Size]byte]Grant
}

func (c *tokenCache) find(sum [sha256.Size]byte) (Grant, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	g, ok := c.grants[sum]
	return g, ok
}

func (c *tokenCache) drop(sum [sha256.Size]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.grants, sum)
}

// keep adds a grant. When there is no room, expired ones go, and else any one:
// it is verified again at its next use.
func (c *tokenCache) keep(sum [sha256.Size]byte, g Grant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.grants == nil {
		c.grants = map[[sha256.Size]byte]Grant{}
	}
	if len(c.grants) >= cachedTokensMax {
		now := time.Now()
		for one, old := range c.grants {
			if old.Expired(now) {
				delete(c.grants, one)
			}
		}
	}
	for one := range c.grants {
		if len(c.grants) < cachedTokensMax {
			break
		}
		delete(c.grants, one)
	}
	c.grants[sum] = g
}
