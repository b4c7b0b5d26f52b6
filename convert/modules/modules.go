// Package modules divides the modules of a checkpoint into those with FP8 codes and
// those without, lists the latter for modules_to_not_convert, and knows how engines
// match such a list against the paths of modules.
package modules

import (
	"fmt"
	"slices"
	"strings"

	"quern/convert/plan"
	"quern/formats/model"
)

// List are module paths, sorted.
type List struct {
	Kept, Quantized []string

	// also are names of kept modules that the checkpoint does not have and engines
	// ask for; alsoQuantized those of modules with codes.
	also, alsoQuantized []string
}

// Of lists the modules of p, whose config is c (nil: none). A module is kept when its
// own weight is; vectors that hang on a larger module (a router's bias on the expert
// block, A_log on an attention) name nothing that an engine could convert, and the
// path of such a module would cover its quantized children.
func Of(p *plan.Plan, c *model.Config) *List {
	kept, quantized := map[string]bool{}, map[string]bool{}
	also, alsoQuantized := map[string]bool{}, map[string]bool{}
	layers := map[int]bool{} // whose linears have a second name
	head := ""
	for i := range p.Tensors {
		t := &p.Tensors[i]
		switch {
		case t.Meta.Role == model.Scale || t.Meta.Module == "":
		case t.Coded():
			quantized[t.Meta.Module] = true
			if d := Decoder(&t.Meta); d != "" {
				alsoQuantized[d], layers[t.Meta.Layer] = true, true
			}
		case t.Meta.Param == "weight" || t.Meta.Fused3D:
			kept[t.Meta.Module] = true
			if d := Decoder(&t.Meta); d != "" {
				also[d], layers[t.Meta.Layer] = true, true
			}
			if t.Meta.Role == model.Embedding && !t.Meta.MTP {
				head = tiedHead(t.Meta.Module)
			}
			if t.Meta.Role == model.Head {
				c = nil // it has a weight of its own
			}
		}
	}
	if len(layers) > 1 { // one name for all of them could not tell them apart; SGLang takes one
		clear(also)
		clear(alsoQuantized)
	}
	if c != nil && c.TieEmbeddings && head != "" {
		also[head] = true
	}
	return &List{Kept: sorted(kept), Quantized: sorted(quantized), also: sorted(also), alsoQuantized: sorted(alsoQuantized)}
}

// Decoder is the name under which SGLang asks for a linear of an MTP layer that lies
// behind the last layer: its draft model has one layer, named decoder (SGLang
// models/deepseek_nextn.py, glm4_moe_nextn.py). "" for all others.
func Decoder(t *model.Tensor) string {
	if !t.MTP || !t.Role.Linear() {
		return ""
	}
	at := fmt.Sprintf("layers.%d.", t.Layer)
	root, rest, ok := strings.Cut(t.Module, at)
	if !ok || root != "" && !strings.HasSuffix(root, ".") || strings.Contains(root, "mtp") {
		return ""
	}
	return root + "decoder." + rest
}

// tiedHead is the output head beside an embedding that it shares the weight of.
// transformers makes an FP8 linear of it unless the list names it (quantizers,
// get_modules_to_not_convert: a list in the config takes the place of the default).
func tiedHead(embedding string) string {
	root, ok := strings.CutSuffix(embedding, "model.embed_tokens")
	if !ok || root != "" && !strings.HasSuffix(root, ".") {
		return "lm_head" // model.language_model.embed_tokens: the head lies outside
	}
	return root + "lm_head"
}

// Entries are the entries of modules_to_not_convert, sorted.
func (l *List) Entries() []string {
	out := slices.Concat(l.Kept, l.also)
	slices.Sort(out)
	return out
}

// Names reports whether name is one that engines ask for a module with codes by and
// that the checkpoint does not have.
func (l *List) Names(name string) bool {
	_, ok := slices.BinarySearch(l.alsoQuantized, name)
	return ok
}

func sorted(set map[string]bool) []string {
	out := make([]string, 0, len(set))
	for m := range set {
		out = append(out, m)
	}
	slices.Sort(out)
	return out
}
