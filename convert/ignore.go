package convert

import (
	"fmt"
	"sort"

	"quern/convert/plan"
	"quern/formats/model"
	"quern/formats/safetensors"
)

// ignoreList divides the modules of an output into those with codes and those
// without. The latter go into modules_to_not_convert.
type ignoreList struct {
	kept, quantized []string // module paths, sorted
}

// modulesOf lists the modules of p. A module is kept when its own weight is;
// vectors that hang on a larger module (a router's bias on the expert block,
// A_log on an attention) name nothing that an engine could convert, and the
// path of such a module would cover its quantized children.
func modulesOf(p *plan.Plan) ignoreList {
	kept, quantized := map[string]bool{}, map[string]bool{}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		switch {
		case t.Meta.Role == model.Scale || t.Meta.Module == "":
		case t.DType == safetensors.F8E4M3:
			quantized[t.Meta.Module] = true
		case t.Meta.Param == "weight" || t.Meta.Fused3D:
			kept[t.Meta.Module] = true
		}
	}
	return ignoreList{kept: sorted(kept), quantized: sorted(quantized)}
}

func sorted(set map[string]bool) []string {
	out := make([]string, 0, len(set))
	for m := range set {
		out = append(out, m)
	}
	sort.Strings(out)
	return out
}

// A reading is one of the ways in which engines match the list's entries
// against module paths (formats.md §9).
type reading struct {
	name, engines string
	match         func(l *matcher, module string) bool
}

var readings = []reading{
	{"exact", "vLLM, SGLang", (*matcher).exact},
	{"prefix", "transformers (re.match)", (*matcher).prefix},
	{"suffix", "transformers (endswith)", (*matcher).suffix},
	{"substring", "ModelOpt, older SGLang", (*matcher).substring},
}

// check returns a note for each module that some engine would take for the
// other kind.
func (l *ignoreList) check() []string {
	m := newMatcher(l.kept)
	var notes []string
	for _, r := range readings {
		wrong, first := 0, ""
		count := func(modules []string, want bool) {
			for _, mod := range modules {
				if r.match(m, mod) != want {
					if wrong == 0 {
						first = mod
					}
					wrong++
				}
			}
		}
		count(l.kept, true)
		count(l.quantized, false)
		if wrong > 0 {
			notes = append(notes, fmt.Sprintf("modules_to_not_convert: under %s matching (%s) %d modules get the other verdict, %s first: such an engine will misread this checkpoint", r.name, r.engines, wrong, first))
		}
	}
	return notes
}

// matcher answers the four readings in time that does not grow with the list.
type matcher struct {
	set                map[string]bool
	forward, backwards *trie
}

// trie holds byte strings.
type trie struct {
	next map[byte]*trie
	end  bool
}

func (t *trie) add(s string) {
	for i := range len(s) {
		if t.next == nil {
			t.next = map[byte]*trie{}
		}
		n := t.next[s[i]]
		if n == nil {
			n = &trie{}
			t.next[s[i]] = n
		}
		t = n
	}
	t.end = true
}

func newMatcher(entries []string) *matcher {
	m := &matcher{set: map[string]bool{}, forward: &trie{}, backwards: &trie{}}
	for _, e := range entries {
		m.set[e] = true
		m.forward.add(e)
		m.backwards.add(reversed(e))
	}
	return m
}

func (m *matcher) exact(module string) bool { return m.set[module] }

// prefix is Python's re.match, in which an entry's dots stand for any byte.
func (m *matcher) prefix(module string) bool {
	at, then := []*trie{m.forward}, []*trie(nil)
	for i := range len(module) {
		then = then[:0]
		for _, t := range at {
			if n := t.next[module[i]]; n != nil {
				then = append(then, n)
			}
			if n := t.next['.']; n != nil && module[i] != '.' {
				then = append(then, n)
			}
		}
		for _, t := range then {
			if t.end {
				return true
			}
		}
		at, then = then, at
	}
	return false
}

func (m *matcher) suffix(module string) bool { return m.backwards.begins(reversed(module)) }

func (m *matcher) substring(module string) bool {
	for i := range len(module) {
		if m.forward.begins(module[i:]) {
			return true
		}
	}
	return false
}

// begins reports whether s begins with a member of t.
func (t *trie) begins(s string) bool {
	for i := range len(s) {
		if t = t.next[s[i]]; t == nil {
			return false
		}
		if t.end {
			return true
		}
	}
	return false
}

func reversed(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}
