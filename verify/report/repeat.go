package report

import (
	"fmt"

	"quern/internal/page"
	"quern/internal/ui"
	"quern/verify"
)

// repeat says what one has to know to get the same figures again.
func repeat(r *verify.Report) *section {
	s := &section{ID: "repeat", Title: "To repeat this", Sum: "command, texts, versions"}
	t := newTable("", "", "")
	t.row("checkpoint", code(r.Checkpoint))
	if r.Tensors > 0 {
		t.row("its tensors", fmt.Sprintf("%s, %s", count(r.Tensors), ui.Bytes(r.Bytes)))
	}
	if r.Baseline != "" {
		t.row("baseline", code(r.Baseline))
	}
	if v := r.TokensPerSecond; v != nil {
		t.row("speed of the evaluation", fmt.Sprintf("%s tokens/s the baseline, %s the checkpoint", digits(v[0], 3), digits(v[1], 3)))
	}
	if r.Single != nil {
		t.row("speed of the evaluation", digits(r.Single.TokensPerSecond, 3)+" tokens/s")
	}
	if r.Fast != nil {
		t.row("products", cell{Text: "in BF16, not exact", Note: r.FastWords()})
	}
	o := r.Setup
	if o != nil {
		t.row("version", "quern "+page.Visible(o.Version))
		if o.Context > 0 {
			t.row("tokens a chunk", count(o.Context))
		}
		if o.Score != "" {
			t.row("scored", cell{Text: page.Visible(o.Score), Note: scoreWords[o.Score]})
		}
		if o.Activations != "" {
			t.row("activations", cell{Text: page.Visible(o.Activations), Note: activationWords[o.Activations]})
		}
	}
	s.add(t.block())
	if o == nil {
		return s
	}
	if len(o.Remarks) > 0 {
		b := block{Head: "What had no part in the figures"}
		for _, r := range o.Remarks {
			b.Lines = append(b.Lines, page.Visible(r))
		}
		s.add(b)
	}
	if len(o.Command) > 0 {
		s.add(block{Head: "Command", Lines: []string{page.CommandLine(o.Command)}})
	}
	if len(o.Sources) > 0 {
		t := newTable("Texts", "text", ">bytes", ">tokens", "BLAKE3")
		for _, x := range few(o.Sources, maxTexts) {
			t.row(code(x.Name), ui.Count(x.Bytes), count(x.Tokens), code(x.Digest))
		}
		if more := len(o.Sources) - len(t.Rows); more > 0 {
			t.Note = fmt.Sprintf("%s are left out here; the JSON output has them.", page.Plural(int64(more), "more text", "more texts"))
		}
		s.add(t.stack().block())
	}
	return s
}

var scoreWords = map[string]string{
	"all":         "every token of every text once",
	"second-half": "the second half of each whole chunk, as llama-perplexity",
}

var activationWords = map[string]string{
	"bf16":    "as they come, in float32",
	"engines": "rounded by the rule of each weight’s scheme, as engines do before a product",
	"fp8":     "rounded by the rule of each weight’s scheme, as engines do before a product",
}
