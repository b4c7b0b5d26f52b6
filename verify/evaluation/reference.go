package evaluation

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"quern/corpus"
	"quern/internal/invalid"
	"quern/runner"
	"quern/verify/outputs"
)

// Against runs a model over the token ids of an outputs file and compares what comes
// out with what the file holds. The model's own outputs lie in a temporary file
// meanwhile, as large as the reference.
func Against(ctx context.Context, reference *outputs.File, m *runner.Model, o Options) (*outputs.Comparison, error) {
	if reference.Vocab != m.Vocab() {
		return nil, invalid.Errorf("reading %q: logits of %d tokens, but the model has %d", reference.Path, reference.Vocab, m.Vocab())
	}
	for _, i := range reference.Hidden {
		if w, own := reference.HiddenWidth(i), hiddenWidth(m, i); w != own {
			return nil, invalid.Errorf("reading %q: tensor \"hidden.%d\": rows of %d, but the model has %d", reference.Path, i, w, own)
		}
	}
	texts := make([]corpus.Text, len(reference.IDs))
	for i, ids := range reference.IDs {
		texts[i] = corpus.Text{Name: fmt.Sprintf("%s[%d]", filepath.Base(reference.Path), i), IDs: ids}
	}
	dir, err := os.MkdirTemp(o.TempDir, "quern-outputs-*")
	if err != nil {
		return nil, fmt.Errorf("making a temporary folder: %w", err)
	}
	defer os.RemoveAll(dir)
	own := filepath.Join(dir, "outputs.safetensors")
	if err := Emit(ctx, m, corpus.Whole(texts), own, len(reference.Hidden) > 0, o); err != nil {
		return nil, err
	}
	f, err := outputs.Open(own)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return outputs.Compare(ctx, reference, f, outputs.Options{Workers: o.Workers, Worst: o.Worst, Experts: experts(m)})
}
