package main

import "strings"

// stopper looks for the first of some strings in a text that comes in pieces, and keeps
// back what may become one of them.
type stopper struct {
	strings []string
	kept    string
	found   string // the string that ended the text
}

// add is what of the text may be shown now.
func (s *stopper) add(text string) string {
	if s.found != "" {
		return ""
	}
	s.kept += text
	// The one that is whole first, however the text is cut; of two the longer.
	at, found := -1, ""
	for _, x := range s.strings {
		if i := strings.Index(s.kept, x); i >= 0 && (at < 0 || i+len(x) < at+len(found) || i+len(x) == at+len(found) && i < at) {
			at, found = i, x
		}
	}
	if found != "" {
		out := s.kept[:at]
		s.found, s.kept = found, ""
		return out
	}
	hold := 0 // bytes at the end that begin a stop string
	for _, x := range s.strings {
		for n := min(len(x)-1, len(s.kept)); n > hold; n-- {
			if strings.HasSuffix(s.kept, x[:n]) {
				hold = n
			}
		}
	}
	out := s.kept[:len(s.kept)-hold]
	s.kept = s.kept[len(out):]
	return out
}

// flush is what was kept back when the text ends.
func (s *stopper) flush() string {
	out := s.kept
	s.kept = ""
	return out
}
