package modules

import "fmt"

// A reading is one of the ways in which engines match the list's entries
// against module paths (formats.md §9).
type reading struct {
	name, engines string
	match         func(l *Matcher, module string) bool
}

var readings = []reading{
	{"exact", "vLLM, SGLang", (*Matcher).Exact},
	{"prefix", "transformers (re.match)", (*Matcher).Prefix},
	{"suffix", "transformers (endswith)", (*Matcher).Suffix},
	{"substring", "ModelOpt, older SGLang", (*Matcher).Substring},
}

// Check returns a note for each reading under which some engine would take modules for
// the other kind.
func (l *List) Check() []string {
	m := NewMatcher(l.Entries())
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
		count(l.Kept, true)
		count(l.also, true)
		count(l.Quantized, false)
		count(l.alsoQuantized, false)
		if wrong > 0 {
			notes = append(notes, fmt.Sprintf("modules_to_not_convert: under %s matching (%s) %d modules get the other verdict, %s first: such an engine will misread this checkpoint", r.name, r.engines, wrong, first))
		}
	}
	return notes
}

// Matcher answers the four readings in time that does not grow with the list.
type Matcher struct {
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

// NewMatcher makes one of the entries of a list.
func NewMatcher(entries []string) *Matcher {
	m := &Matcher{set: map[string]bool{}, forward: &trie{}, backwards: &trie{}}
	for _, e := range entries {
		m.set[e] = true
		m.forward.add(e)
		m.backwards.add(reversed(e))
	}
	return m
}

// Exact reports whether an entry is the path.
func (m *Matcher) Exact(module string) bool { return m.set[module] }

// Prefix is Python's re.match, in which an entry's dots stand for any byte.
func (m *Matcher) Prefix(module string) bool {
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

// Suffix reports whether the path ends with an entry.
func (m *Matcher) Suffix(module string) bool { return m.backwards.begins(reversed(module)) }

// Substring reports whether an entry is part of the path.
func (m *Matcher) Substring(module string) bool {
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
