package tokenizer

import (
	"strings"

	"quern/internal/invalid"
	"quern/internal/strictjson"
)

// normalizer changes a text before it is split. Hugging Face applies it to each part
// between added tokens, and to the added tokens that are looked for behind it.
type normalizer func(s string) string

// normalizers reads the members of "normalizer" by type.
var normalizers = map[string]func(*strictjson.Value) (normalizer, error){
	"NFC":     func(*strictjson.Value) (normalizer, error) { return nfc, nil },
	"Prepend": readPrepend,
	"Replace": func(v *strictjson.Value) (normalizer, error) {
		r, err := readReplace(v)
		return r.apply, err
	},
	"Strip": readStrip,
}

func (t *parsed) readNormalizer(v *strictjson.Value) error {
	list, err := components(v, "normalizers", nil)
	if err != nil {
		return err
	}
	for _, c := range list {
		name, err := kindOf(c)
		read := normalizers[name]
		if err != nil || read == nil {
			return invalid.Errorf("%q is not supported; null, %s are", short(name), names(normalizers))
		}
		n, err := read(c)
		if err != nil {
			return at(err, "%s", name)
		}
		t.normalizers = append(t.normalizers, n)
		t.rewrites = t.rewrites || name == "NFC" || name == "Strip"
		if name != "Replace" {
			t.shifts = true
		} else if r, _ := readReplace(c); len([]rune(r.old)) != 1 || len([]rune(r.new)) != 1 {
			t.shifts = true
		}
	}
	return nil
}

// readPrepend reads Prepend, which puts a string before a text that is not empty.
func readPrepend(v *strictjson.Value) (normalizer, error) {
	prefix, ok := v.Get("prepend").Str()
	if !ok {
		return nil, invalid.Errorf("prepend is %s, not a string", describe(v.Get("prepend")))
	}
	return func(s string) string {
		if s == "" {
			return s
		}
		return prefix + s
	}, nil
}

// readStrip reads Strip, which takes white space from the ends of a text.
func readStrip(v *strictjson.Value) (normalizer, error) {
	left, err := flag(v, "strip_left")
	if err != nil {
		return nil, err
	}
	right, err := flag(v, "strip_right")
	if err != nil {
		return nil, err
	}
	return func(s string) string {
		if left {
			s = s[trimmedLeft(s, 0):]
		}
		if right {
			s = s[:trimmedRight(s, 0, len(s))]
		}
		return s
	}, nil
}

// replacement is a Replace of one string by another.
type replacement struct{ old, new string }

func (r replacement) apply(s string) string { return strings.ReplaceAll(s, r.old, r.new) }

// readReplace reads {"pattern": {"String": …}, "content": …}, of a normalizer or a
// decoder.
func readReplace(v *strictjson.Value) (replacement, error) {
	var r replacement
	var ok bool
	if r.old, ok = v.Get("pattern").Get("String").Str(); !ok || r.old == "" {
		return r, invalid.Errorf("pattern: only a String is supported")
	}
	if r.new, ok = v.Get("content").Str(); !ok {
		return r, invalid.Errorf("content is %s, not a string", describe(v.Get("content")))
	}
	return r, nil
}

// normalize is what all normalizers make of a text.
func (t *Tokenizer) normalize(s string) string {
	for _, n := range t.normalizers {
		s = n(s)
	}
	return s
}
