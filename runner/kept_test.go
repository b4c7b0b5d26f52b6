package runner

// KeepWindows makes a model keep all keys and values, and says in how many layers it
// would not.
func KeepWindows(m *Model) (n int) {
	for _, g := range groupedOf(m) {
		if _, bounded := g.newState().(*recentCache); bounded {
			g.whole = true
			n++
		}
	}
	return n
}

func groupedOf(m *Model) (all []*grouped) {
	for _, l := range m.layers {
		for _, b := range l.blocks {
			if g, ok := b.mixer.(*grouped); ok {
				all = append(all, g)
			}
		}
	}
	return all
}

// HasStates reports whether a model has recurrent layers.
func HasStates(m *Model) bool { return StateBytes(&Generator{m: m, text: newMemory()}) > 0 }

// KeptOf is what a layer keeps of a text.
type KeptOf struct {
	Layer, Tokens int
	Reach         int  // tokens that a row sees at most; 0: all
	Fixed         bool // a state, whatever the tokens
}

// Kept says what the layers keep of the text.
func Kept(g *Generator) (all []KeptOf) {
	for _, l := range g.m.layers {
		for _, b := range l.blocks {
			x, ok := b.mixer.(textMixer)
			if !ok {
				continue
			}
			k := KeptOf{Layer: l.index}
			switch s := g.text.of(x).(type) {
			case *recentCache:
				k.Reach, k.Tokens = max(s.window, s.chunk), len(s.a)/s.wa
			case *recurrentState:
				k.Fixed = true
			case *compressedState:
				k.Reach, k.Tokens = s.window.window, len(s.window.rows)/s.window.width
			case interface{ kv() *kvCache }:
				k.Tokens = len(s.kv().a) / s.kv().wa
			default:
				continue
			}
			all = append(all, k)
		}
	}
	return all
}

// StateBytes is the memory of the states of recurrent layers, without what came since the
// mark.
func StateBytes(g *Generator) (n int) {
	for _, l := range g.m.layers {
		for _, b := range l.blocks {
			if x, ok := b.mixer.(textMixer); ok {
				if s, ok := g.text.of(x).(*recurrentState); ok {
					n += 4 * (len(s.now.S) + len(s.now.Conv))
				}
			}
		}
	}
	return n
}
