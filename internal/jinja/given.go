package jinja

// given are the arguments of a filter, test or method.
type given struct {
	what  string
	list  []any
	named []named
	used  int
}

// arg is the next argument by place, or that of a name; absent where there is none.
func (g *given) arg(name string, absent any) any {
	if g.used < len(g.list) {
		g.used++
		return g.list[g.used-1]
	}
	for i, n := range g.named {
		if n.name == name {
			g.named = append(g.named[:i:i], g.named[i+1:]...)
			return n.value
		}
	}
	return absent
}

// done refuses arguments that nobody took.
func (g *given) done() {
	if g.used < len(g.list) {
		fail("%s takes %d arguments, not %d", g.what, g.used, len(g.list))
	}
	if len(g.named) > 0 {
		fail("%s has no argument %q", g.what, g.named[0].name)
	}
}

func (g *given) str(name string, absent any) string {
	s, ok := g.arg(name, absent).(string)
	if !ok {
		fail("%s: %s is no string", g.what, name)
	}
	return s
}
