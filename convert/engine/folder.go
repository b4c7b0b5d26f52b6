package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/internal/invalid"
	"quern/store"
)

// publishFolder writes what makes shards a checkpoint.
func (e *engine) publishFolder(ctx context.Context, m *manifest.Manifest) error {
	all := e.allInputs()
	var err error
	if m.Content, err = e.content(all, true); err != nil {
		return err
	}
	if err := e.unchanged(all); err != nil {
		return err
	}
	if len(e.plan.Shards) > 1 {
		if err := writeIndex(ctx, e.out, m); err != nil {
			return err
		}
	}
	if err := e.copySides(ctx); err != nil {
		return err
	}
	readme, err := e.readme(ctx)
	if err != nil {
		return err
	}
	if err := crown(ctx, e.out, m, readme, e.plan.Beside, e.plan.Config); err != nil {
		return err
	}
	return e.sweepPartials()
}

// crown writes README.md, what was made beside the weights, config.json and, last, the
// manifest. Until then no reader takes the folder for a finished one.
func crown(ctx context.Context, out store.Sink, m *manifest.Manifest, readme *readme, beside []plan.File, config string) error {
	if err := readme.publish(ctx, out, m); err != nil {
		return err
	}
	for _, f := range beside {
		if err := store.WriteFile(ctx, out, f.Name, []byte(f.Data)); err != nil {
			return err
		}
	}
	if config != "" {
		if err := store.WriteFile(ctx, out, hf.ConfigName, []byte(config)); err != nil {
			return err
		}
	}
	raw, err := m.Encode()
	if err != nil {
		return err
	}
	return store.WriteFile(ctx, out, manifest.Name, raw)
}

// copySides copies the side files into the output folder.
func (e *engine) copySides(ctx context.Context) error {
	for _, f := range e.plan.Input.Side {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if carded(f) {
			continue
		}
		if err := e.copySide(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// copySide copies a side file into the output folder.
func (e *engine) copySide(ctx context.Context, f plan.SideFile) error {
	err := store.Copy(ctx, e.out, e.opts.In, f.Name, f.Size)
	if errors.Is(err, store.ErrChanged) {
		return changed(store.Path(e.opts.In, f.Name))
	}
	return err
}

// writeIndex writes model.safetensors.index.json in the form of Hugging Face's own
// writers: sorted, two spaces, a newline at the end.
func writeIndex(ctx context.Context, out store.Sink, m *manifest.Manifest) error {
	list := slices.Clone(m.Tensors)
	slices.SortFunc(list, func(a, b manifest.Tensor) int { return strings.Compare(a.Name, b.Name) })
	var total int64
	for i := range list {
		n, err := safetensors.SizeOf(list[i].DType, list[i].Shape)
		if err != nil {
			return invalid.Errorf("tensor %q: %w", list[i].Name, err)
		}
		total += n
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\n  \"metadata\": {\n    \"total_size\": %d\n  },\n  \"weight_map\": {\n", total)
	for i := range list {
		name, err := json.Marshal(list[i].Name)
		if err != nil {
			return err
		}
		sep := ","
		if i == len(list)-1 {
			sep = ""
		}
		fmt.Fprintf(&b, "    %s: %q%s\n", name, list[i].File, sep)
	}
	b.WriteString("  }\n}\n")
	return store.WriteFile(ctx, out, hf.IndexName, b.Bytes())
}

// sweepPartials removes what killed runs have left under partial names.
func (e *engine) sweepPartials() error {
	for _, name := range e.writes() {
		if err := e.out.Sweep(name); err != nil {
			return err
		}
	}
	return nil
}

// dropAbove is the size of input from which on the page cache is left to
// others: a quarter of what the machine has free. Smaller jobs displace little,
// and their files are likely to be read again.
var dropAbove = func() int64 { // a variable so that tests reach the large case with small files
	if n := availableMemory(); n > 0 {
		return n / 4
	}
	return 1 << 30
}
