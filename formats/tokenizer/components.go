package tokenizer

import (
	"maps"
	"math"
	"slices"
	"strings"

	"quern/internal/invalid"
	"quern/internal/strictjson"
)

// maxStages bounds the pre-tokenizers of a file.
const maxStages = 64

// components returns the members of a Sequence, or v itself if it is of another
// type, and nothing for null. Sequences within sequences are opened.
func components(v *strictjson.Value, key string, dst []*strictjson.Value) ([]*strictjson.Value, error) {
	if v == nil || v.Kind == strictjson.KindNull {
		return dst, nil
	}
	name, err := kindOf(v)
	if err != nil {
		return nil, err
	}
	if name != "Sequence" {
		if len(dst) == maxStages {
			return nil, invalid.Errorf("more than %d components", maxStages)
		}
		return append(dst, v), nil
	}
	list := v.Get(key)
	if list == nil || list.Kind != strictjson.KindArray {
		return nil, invalid.Errorf("Sequence: %s is %s, not an array", key, describe(list))
	}
	for i := range list.Elems {
		if list.Elems[i].Kind == strictjson.KindNull {
			return nil, invalid.Errorf("Sequence[%d]: null", i)
		}
		if dst, err = components(&list.Elems[i], key, dst); err != nil {
			return nil, at(err, "Sequence[%d]", i)
		}
	}
	return dst, nil
}

func (t *parsed) readPreTokenizer(v *strictjson.Value) error {
	list, err := components(v, "pretokenizers", nil)
	if err != nil {
		return err
	}
	for i, c := range list {
		name, err := kindOf(c)
		if err != nil {
			return err
		}
		if name == "ByteLevel" && i < len(list)-1 {
			return invalid.Errorf("ByteLevel before another pre-tokenizer is not supported")
		}
		var stages []stage
		switch name {
		case "Split":
			stages, err = readSplit(c)
		case "Digits":
			stages, err = readDigits(c)
		case "ByteLevel":
			t.byteLevel = true
			stages, err = readByteLevel(c)
		case "Metaspace":
			stages, err = t.readMetaspaceStage(c, i)
		default:
			return invalid.Errorf("%q is not supported; Split, Digits, Metaspace and ByteLevel are", short(name))
		}
		if err != nil {
			return at(err, "%s", name)
		}
		t.stages = append(t.stages, stages...)
	}
	return nil
}

// readSplit reads {"pattern": {"Regex": …} or {"String": …}, "behavior", "invert"}.
func readSplit(v *strictjson.Value) ([]stage, error) {
	invert, err := flag(v, "invert")
	if err != nil {
		return nil, err
	}
	name, _ := v.Get("behavior").Str()
	how, ok := behaviors[name]
	if !ok {
		return nil, invalid.Errorf("behavior %s is not supported", describe(v.Get("behavior")))
	}
	pattern := v.Get("pattern")
	if expr, ok := pattern.Get("Regex").Str(); ok {
		if m := known(expr); m != nil && how == isolated { // inverted or not: all is kept
			return []stage{newIsolate(m)}, nil
		}
		x, err := compile(expr)
		if err != nil {
			return nil, at(err, "pattern %q", short(expr))
		}
		return []stage{splitter{x, how, invert}}, nil
	}
	text, ok := pattern.Get("String").Str()
	if !ok || text == "" {
		return nil, invalid.Errorf("pattern: neither a Regex nor a String")
	}
	return []stage{splitter{literal(text), how, invert}}, nil
}

func readDigits(v *strictjson.Value) ([]stage, error) {
	one, err := flag(v, "individual_digits")
	most := math.MaxInt
	if one {
		most = 1
	}
	return []stage{newIsolate(numbers{classes(), numeric, most})}, err
}

func readByteLevel(v *strictjson.Value) ([]stage, error) {
	var out []stage
	space, err := flag(v, "add_prefix_space")
	if err != nil {
		return nil, err
	}
	if space {
		out = append(out, prefix{})
	}
	split := true
	if v.Get("use_regex") != nil {
		if split, err = flag(v, "use_regex"); err != nil {
			return nil, err
		}
	}
	if split {
		out = append(out, newIsolate(known(patternGPT2)))
	}
	return out, nil
}

// readAdded reads added_tokens and gives each its id. Hugging Face does not go by
// the ids of the file but counts: a token of the vocabulary keeps its id, others
// follow the vocabulary, or the highest added one. A file that says otherwise means
// something else than what it does, and is refused.
func (t *parsed) readAdded(v strictjson.Value) ([]addedToken, error) {
	if v.Kind != strictjson.KindArray && v.Kind != strictjson.KindNull {
		return nil, invalid.Errorf("%s, not an array", describe(&v))
	}
	if len(v.Elems) > maxTokens {
		return nil, invalid.Errorf("more than %d", maxTokens)
	}
	next := uint32(len(t.ids))
	place := map[string]int{} // in out, by content
	var out []addedToken
	for i := range v.Elems {
		a, err := readAddedToken(&v.Elems[i])
		if err != nil {
			return nil, at(err, "[%d]", i)
		}
		if a.content == "" {
			continue
		}
		id, ok := t.ids[a.content]
		if !ok {
			id = next
			next++
			t.ids[a.content] = id
		}
		if id != a.id {
			return nil, invalid.Errorf("[%d]: %q has id %d, but Hugging Face gives it %d", i, short(a.content), a.id, id)
		}
		if k, again := place[a.content]; again {
			out[k] = a
			continue
		}
		place[a.content] = len(out)
		out = append(out, a)
	}
	return out, nil
}

func readAddedToken(v *strictjson.Value) (addedToken, error) {
	var a addedToken
	if v.Kind != strictjson.KindObject {
		return a, invalid.Errorf("%s, not an object", describe(v))
	}
	id, ok := v.Get("id").Int64()
	if !ok || id < 0 || id > maxID {
		return a, invalid.Errorf("id is %s, not a number up to %d", describe(v.Get("id")), maxID)
	}
	a.id = uint32(id)
	if a.content, ok = v.Get("content").Str(); !ok {
		return a, invalid.Errorf("content is %s, not a string", describe(v.Get("content")))
	}
	if len(a.content) > maxAdded {
		return a, invalid.Errorf("%q: %d bytes, more than %d", short(a.content), len(a.content), maxAdded)
	}
	var special bool // it says what decoding may skip, which is not done here
	for _, f := range []struct {
		key string
		to  *bool
	}{
		{"single_word", &a.singleWord}, {"lstrip", &a.lstrip}, {"rstrip", &a.rstrip}, {"normalized", &a.normalized}, {"special", &special},
	} {
		var err error
		if *f.to, err = flag(v, f.key); err != nil {
			return a, at(err, "%q", short(a.content))
		}
	}
	return a, nil
}

// lookedFor is the text that an added token is found by, and decoded to.
func (t *parsed) lookedFor(a addedToken) string {
	if a.normalized {
		return t.normalize(a.content)
	}
	return a.content
}

func (t *parsed) setAdded(added []addedToken) (err error) {
	var plain, composed []addedToken
	for _, a := range added {
		a.content = t.lookedFor(a)
		if a.normalized {
			composed = append(composed, a)
		} else {
			plain = append(plain, a)
		}
	}
	if t.plain, err = newAddedSet(plain); err == nil {
		t.composed, err = newAddedSet(composed)
	}
	return err
}

// names lists the keys of a table for a message.
func names[V any](table map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(table)), ", ")
}
