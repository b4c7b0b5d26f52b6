package convert

import (
	"regexp"
	"strings"

	"quern/formats/hf"
	"quern/formats/model"
	"quern/scheme"
)

// moduleList is the list of modules that a quantized input says it left alone:
// modules_to_not_convert, ignore or exclude_modules. Who made it knew why.
type moduleList struct {
	paths    map[string]bool // whole segments of paths
	patterns []string        // in which * stands for any text
	regular  []*regexp.Regexp
}

// listedIn returns the list of c's config, nil unless c has weights in codes: a list
// that is left over in a checkpoint without any says nothing of it.
func listedIn(c *hf.Checkpoint) *moduleList {
	q := quantization(c)
	if q == nil || len(q.NotConverted) == 0 {
		return nil
	}
	coded := false
	for r, m := range c.Classified() {
		if coded = scheme.Coded(r.Tensor.DType, &m) || m.Packed() && m.Role != model.Scale; coded {
			break
		}
	}
	if !coded {
		return nil
	}
	l := &moduleList{paths: map[string]bool{}}
	for _, p := range q.NotConverted {
		rest, isRegular := strings.CutPrefix(p, "re:") // compressed-tensors
		switch {
		case !isRegular && strings.Contains(p, "*"):
			l.patterns = append(l.patterns, p)
			continue
		case !isRegular:
			l.paths[p] = true
			continue
		}
		if re, err := regexp.Compile("^(?:" + rest + ")"); err == nil { // Python's re.match
			l.regular = append(l.regular, re)
		}
	}
	return l
}

// has reports whether the list names a module, or one that it lies in. A name
// without its beginning (lm_head, mlp.gate, layers.0.self_attn) is one wherever it
// stands as whole segments: of the ways in which engines match, the one that never
// takes "gate" for "gate_proj".
func (l *moduleList) has(module string) bool {
	if l == nil {
		return false
	}
	for _, re := range l.regular {
		if re.MatchString(module) {
			return true
		}
	}
	for _, p := range l.patterns {
		if glob(p, module) || glob("*."+p, module) {
			return true
		}
	}
	// Every run of whole segments, longest first from each.
	for rest := module; ; {
		for part := rest; ; {
			if l.paths[part] {
				return true
			}
			i := strings.LastIndexByte(part, '.')
			if i < 0 {
				break
			}
			part = part[:i]
		}
		_, after, more := strings.Cut(rest, ".")
		if !more {
			return false
		}
		rest = after
	}
}
