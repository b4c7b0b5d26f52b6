package serving

import (
	"strings"

	"quern/convert/modules"
)

// A reader says of a module whether an engine takes it for one that is not converted,
// given the entries of modules_to_not_convert.
type reader func(entries []string) (covers func(module string) bool)

// exactly is how vLLM and SGLang read entries: as whole paths, with or without
// "model."; of experts an entry that names one stands for the block.
func exactly(entries []string) func(string) bool {
	bare := func(s string) string { return strings.TrimPrefix(s, "model.") }
	whole, blocks := map[string]bool{}, map[string]bool{}
	for _, e := range entries {
		whole[bare(e)] = true
		if at, _, ok := strings.Cut(e+".", ".experts."); ok {
			blocks[bare(at)] = true
		}
	}
	return func(module string) bool {
		at, _, ok := strings.Cut(module, ".experts.")
		return whole[bare(module)] || ok && blocks[bare(at)]
	}
}

// byEnds is how transformers does: as patterns of a beginning, or as ends.
func byEnds(entries []string) func(string) bool {
	m := modules.NewMatcher(entries)
	return func(module string) bool { return m.Prefix(module) || m.Suffix(module) }
}

// list is the note of an engine that takes modules for the other kind. Only linears
// are asked for; what has no codes and is no linear stays as it is without a list.
func list(text string, read reader) func(*Folder) (Note, bool) {
	return func(f *Folder) (Note, bool) {
		n := Note{Text: text}
		if !f.fp8() {
			return n, false
		}
		covers := read(f.config.Quant.NotConverted)
		for _, k := range f.kept {
			if !covers(k.path) {
				n.add(k.path)
			}
		}
		for _, path := range f.codes {
			if covers(path) {
				n.add(path)
			}
		}
		return n, n.Tensors > 0
	}
}

// unnamedDrafts finds linears of the MTP layer without codes that the list does not
// have under SGLang's name.
func unnamedDrafts(f *Folder) (Note, bool) {
	n := Note{Text: "asks for linears of the multi-token prediction layer as model.decoder.*, which modules_to_not_convert does not list: those without codes are taken for FP8"}
	if !f.fp8() {
		return n, false
	}
	covers := exactly(f.config.Quant.NotConverted)
	for _, k := range f.kept {
		if k.also != "" && !covers(k.also) {
			n.add(k.also)
		}
	}
	return n, n.Tensors > 0
}

// unlistedHead finds a tied head that transformers makes an FP8 linear of.
func unlistedHead(f *Folder) (Note, bool) {
	n := Note{Text: "makes an FP8 linear of the output head, whose weight is the embedding's: modules_to_not_convert does not name lm_head"}
	if !f.fp8() || !f.tied || len(f.config.Quant.NotConverted) == 0 {
		return n, false
	}
	return n, !byEnds(f.config.Quant.NotConverted)("lm_head")
}
