package runner

// recentCache is a kvCache of which a row reaches a window, or its chunk, only: what no row
// to come can see is forgotten. Positions of the cache count from the first that is left.
type recentCache struct {
	kvCache
	window, chunk int
	from          int // tokens that are forgotten
}

// recent makes it where attention is bounded.
func (g *grouped) recent(c *kvCache) state {
	if g.whole || g.window <= 0 && g.chunk <= 0 {
		return c
	}
	return &recentCache{kvCache: *c, window: g.window, chunk: g.chunk}
}

// gone is how many tokens of the text a mixer has forgotten. Before many rows, which are
// never taken back, it forgets what it can.
func (s *segment) gone(x textMixer, few bool) int {
	c, ok := s.memory.of(x).(*recentCache)
	if !ok {
		return 0
	}
	if !few {
		c.mark()
	}
	return c.from
}

// mark forgets what the next row does not see, where that is much, so that moving the rest
// pays.
func (c *recentCache) mark() {
	n := c.from + len(c.a)/c.wa
	h := heads{window: c.window, chunk: c.chunk}
	if drop := h.from(n) - c.from; drop >= max(c.window, c.chunk) {
		c.a = append(c.a[:0], c.a[drop*c.wa:]...)
		c.b = append(c.b[:0], c.b[drop*c.wb:]...)
		c.from += drop
	}
}

// reserve makes no room for what will be forgotten.
func (c *recentCache) reserve(int) {}

func (c *recentCache) rewind(n int) { c.kvCache.rewind(n - c.from) }
