package tokenizer

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"quern/internal/invalid"
	"quern/internal/strictjson"
)

// decoder is what becomes of the tokens of a text: each is changed by itself, then
// those that stand for bytes are put together, then something is taken from the
// beginning of the whole (decoders/*.rs).
type decoder struct {
	byteLevel bool
	each      []func(token string, first bool) string
	fallback  bool // tokens <0x00> to <0xFF> stand for bytes
	fused     bool
	strip     rune // is taken from the beginning, at most
	most      int  // so many times
}

// readDecoder reads ByteLevel, or Replace and Metaspace, ByteFallback, Fuse and Strip,
// in this order and any of them.
func (t *parsed) readDecoder(v *strictjson.Value) error {
	list, err := components(v, "decoders", nil)
	if err != nil {
		return err
	}
	d := &t.decoder
	for i, c := range list {
		name, err := kindOf(c)
		if err != nil {
			return err
		}
		switch name {
		case "ByteLevel":
			d.byteLevel = true
		case "Replace":
			var r replacement
			r, err = readReplace(c)
			d.each = append(d.each, func(s string, _ bool) string { return r.apply(s) })
		case "Metaspace":
			var m metaspace
			m, err = readMetaspace(c)
			d.each = append(d.each, m.decoded)
			t.leads = t.leads || m.scheme != prependNever
		case "ByteFallback":
			d.fallback = true
		case "Fuse":
			d.fused = true
		case "Strip":
			err = d.readStrip(c)
		default:
			return invalid.Errorf("%q is not supported; ByteLevel, Replace, Metaspace, ByteFallback, Fuse and Strip are", short(name))
		}
		if err != nil {
			return at(err, "%s", name)
		}
		if i > 0 && !follows(list[i-1], name) {
			before, _ := kindOf(list[i-1])
			return invalid.Errorf("%s behind %s is not supported", name, before)
		}
	}
	switch {
	case len(list) == 0:
		return invalid.Errorf("none is not supported: Hugging Face puts spaces between tokens then")
	case d.byteLevel != t.byteLevel:
		return invalid.Errorf("a ByteLevel pre_tokenizer and a ByteLevel decoder are supported together only")
	}
	return nil
}

// decoderOrder is the order that decoders have in published files.
var decoderOrder = map[string]int{"Replace": 1, "Metaspace": 1, "ByteFallback": 2, "Fuse": 3, "Strip": 4}

func follows(before *strictjson.Value, name string) bool {
	last, _ := kindOf(before)
	a, b := decoderOrder[last], decoderOrder[name]
	return a > 0 && (a < b || a == 1 && b == 1)
}

func (d *decoder) readStrip(v *strictjson.Value) error {
	text, ok := v.Get("content").Str()
	if !ok || utf8.RuneCountInString(text) != 1 {
		return invalid.Errorf("content is %s, not a character", describe(v.Get("content")))
	}
	d.strip, _ = utf8.DecodeRuneInString(text)
	start, ok := v.Get("start").Int64()
	if !ok || start < 0 || start > maxText {
		return invalid.Errorf("start is %s, not a count", describe(v.Get("start")))
	}
	d.most = int(start)
	if stop, ok := v.Get("stop").Int64(); !ok || stop != 0 {
		return invalid.Errorf("stop %s is not supported; 0 is", describe(v.Get("stop")))
	}
	if !d.fused {
		return invalid.Errorf("without Fuse before it, it works on each token, which is not supported")
	}
	return nil
}

// token is what one token stands for by itself; raw tells that it is a byte.
func (d *decoder) token(text string, first bool) (out string, raw bool) {
	for _, f := range d.each {
		text = f(text, first)
	}
	if !d.fallback || len(text) != len("<0x00>") || !strings.HasPrefix(text, "<0x") || text[5] != '>' {
		return text, false
	}
	digits := strings.TrimPrefix(text[3:5], "+") // as Rust's from_str_radix takes it
	b, err := strconv.ParseUint(digits, 16, 8)
	if err != nil {
		return text, false
	}
	return string([]byte{byte(b)}), true
}

// assembler puts the text of tokens together.
type assembler struct {
	t     *Tokenizer
	began bool
	left  int    // how much may still be taken from the beginning
	held  []byte // bytes whose text is not known yet
}

func (t *Tokenizer) assembler() assembler {
	return assembler{t: t, left: t.decoder.most}
}

// add appends to dst what is certain with this token.
func (a *assembler) add(dst []byte, id int) []byte {
	b, ok := a.t.Token(id)
	if !ok {
		return dst
	}
	first := !a.began
	a.began = true
	d := &a.t.decoder
	switch {
	case d.byteLevel:
		a.held = append(a.held, b...)
		var n int
		dst, n = lossy(dst, a.held, false)
		a.held = append(a.held[:0], a.held[n:]...)
		return dst
	case a.t.raw[id/64]>>(id%64)&1 != 0:
		a.held = append(a.held, b...)
		return dst
	}
	dst = a.flush(dst)
	if lead, ok := a.t.lead[id]; ok && first {
		b = []byte(lead)
	}
	return a.text(dst, b)
}

// text appends text, but for what is taken from the beginning.
func (a *assembler) text(dst, b []byte) []byte {
	for a.left > 0 && len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r != a.t.decoder.strip {
			a.left = 0
			break
		}
		a.left--
		b = b[n:]
	}
	return append(dst, b...)
}

// flush appends what is held. Bytes in a row that are not UTF-8 as a whole become
// U+FFFD each (decoders/byte_fallback.rs).
func (a *assembler) flush(dst []byte) []byte {
	held := a.held
	a.held = a.held[:0]
	switch {
	case len(held) == 0:
	case a.t.decoder.byteLevel:
		dst, _ = lossy(dst, held, true)
	case utf8.Valid(held):
		dst = a.text(dst, held)
	default:
		for range held {
			dst = a.text(dst, []byte("\ufffd"))
		}
	}
	return dst
}
