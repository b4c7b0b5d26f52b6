package tokenizer

import (
	"slices"

	"quern/internal/invalid"
	"quern/internal/strictjson"
)

// readPostProcessor finds the special tokens that are put around a single text.
// Processors of a Sequence work one after the other, each around what is there.
func (t *parsed) readPostProcessor(v *strictjson.Value) error {
	list, err := components(v, "processors", nil)
	if err != nil {
		return err
	}
	for _, c := range list {
		name, err := kindOf(c)
		if err != nil {
			return err
		}
		var before, after []int
		switch name {
		case "ByteLevel": // offsets only
		case "TemplateProcessing":
			before, after, err = readTemplate(c)
		case "BertProcessing", "RobertaProcessing":
			var cls, sep int
			if cls, err = namedID(c, "cls"); err == nil {
				sep, err = namedID(c, "sep")
			}
			before, after = []int{cls}, []int{sep}
		default:
			return invalid.Errorf("%q is not supported", short(name))
		}
		if err != nil {
			return at(err, "%s", name)
		}
		t.before = slices.Concat(before, t.before)
		t.after = slices.Concat(t.after, after)
	}
	if len(t.before) == 1 {
		t.bos = t.before[0]
	}
	if len(t.after) == 1 {
		t.eos = t.after[0]
	}
	return nil
}

// readTemplate reads TemplateProcessing: "single" is a list of {"SpecialToken":
// {"id": name}} and one {"Sequence": {"id": "A"}}; "special_tokens" has the ids of
// the names.
func readTemplate(v *strictjson.Value) (before, after []int, err error) {
	single, special := v.Get("single"), v.Get("special_tokens")
	if single == nil || single.Kind != strictjson.KindArray {
		return nil, nil, invalid.Errorf("single is %s, not an array", describe(single))
	}
	texts := 0
	for i := range single.Elems {
		e := &single.Elems[i]
		if text, ok := e.Get("Sequence").Get("id").Str(); ok && text == "A" {
			texts++
			continue
		}
		name, ok := e.Get("SpecialToken").Get("id").Str()
		if !ok {
			return nil, nil, invalid.Errorf("single[%d] is neither a special token nor the text", i)
		}
		ids := special.Get(name).Get("ids")
		if ids == nil || ids.Kind != strictjson.KindArray {
			return nil, nil, invalid.Errorf("special_tokens has no ids of %q", short(name))
		}
		for k := range ids.Elems {
			id, ok := ids.Elems[k].Int64()
			if !ok || id < 0 || id > maxID {
				return nil, nil, invalid.Errorf("special_tokens: %q: id %s", short(name), describe(&ids.Elems[k]))
			}
			if texts == 0 {
				before = append(before, int(id))
			} else {
				after = append(after, int(id))
			}
		}
	}
	if texts != 1 {
		return nil, nil, invalid.Errorf("single has the text %d times", texts)
	}
	return before, after, nil
}

// namedID reads the id of a ["text", id].
func namedID(v *strictjson.Value, key string) (int, error) {
	if x := v.Get(key); x != nil && len(x.Elems) == 2 {
		if id, ok := x.Elems[1].Int64(); ok && 0 <= id && id <= maxID {
			return int(id), nil
		}
	}
	return 0, invalid.Errorf("%s is not a token and its id", key)
}

// config is what tokenizer_config.json says that matters here; a nil pointer says
// nothing.
type config struct {
	bos, eos       *string
	addBOS, addEOS *bool
	class          *string
	given          *strictjson.Value // added_tokens_decoder
}

func parseConfig(v *strictjson.Value) (config, error) {
	var c config
	if v.Kind != strictjson.KindObject {
		return c, invalid.Errorf("%s, not an object", describe(v))
	}
	for _, x := range []struct {
		key string
		to  **string
	}{{"bos_token", &c.bos}, {"eos_token", &c.eos}} {
		tok := v.Get(x.key)
		if tok == nil || tok.Kind == strictjson.KindNull {
			continue
		}
		if inner := tok.Get("content"); inner != nil {
			tok = inner
		}
		s, ok := tok.Str()
		if !ok {
			return c, invalid.Errorf("%s is %s, not a token", x.key, describe(tok))
		}
		*x.to = &s
	}
	if class, ok := v.Get("tokenizer_class").Str(); ok {
		c.class = &class
	}
	c.given = v.Get("added_tokens_decoder")
	for _, x := range []struct {
		key string
		to  **bool
	}{{"add_bos_token", &c.addBOS}, {"add_eos_token", &c.addEOS}} {
		f := v.Get(x.key)
		if f == nil || f.Kind == strictjson.KindNull {
			continue
		}
		b, ok := f.Bool()
		if !ok {
			return c, invalid.Errorf("%s is %s, not true or false", x.key, describe(f))
		}
		*x.to = &b
	}
	return c, nil
}

// configure applies tokenizer_config.json: what it says about adding tokens stands
// above the post_processor.
func (t *parsed) configure(c config) error {
	for _, x := range []struct {
		key    string
		token  *string
		add    *bool
		id     *int
		around *[]int
	}{{"bos_token", c.bos, c.addBOS, &t.bos, &t.before}, {"eos_token", c.eos, c.addEOS, &t.eos, &t.after}} {
		if x.token != nil {
			*x.id = t.id(*x.token)
		}
		switch {
		case x.add == nil:
		case !*x.add:
			*x.around = nil
		case x.token == nil && *x.id < 0:
			return invalid.Errorf("add_%s is true, but there is no %s", x.key, x.key)
		case *x.id < 0:
			return invalid.Errorf("%s %q is no token", x.key, short(*x.token))
		default:
			*x.around = []int{*x.id}
		}
	}
	return nil
}

// rankClass is the class that tokenizer_config.json names.
func (c *config) rankClass() (rankClass, error) {
	if c.class == nil {
		return rankClass{}, invalid.Errorf("%s names no tokenizer_class, which says how texts are split; %s are known", ConfigName, names(rankClasses))
	}
	x, ok := rankClasses[*c.class]
	if !ok {
		return x, invalid.Errorf("%s: tokenizer_class %q is not supported beside a file of ranks; %s are", ConfigName, short(*c.class), names(rankClasses))
	}
	return x, nil
}
