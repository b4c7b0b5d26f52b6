package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"

	"quern/convert/card"
	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/store"
)

// publishFolder writes what makes shards a checkpoint: the index, the files
// beside it, config.json and, last, the manifest. Until then no reader takes the
// folder for a finished one.
func (e *engine) publishFolder(ctx context.Context, m *manifest.Manifest) error {
	var all []int
	for i := range e.inputs {
		all = append(all, i)
	}
	var err error
	if m.Content, err = e.content(); err != nil {
		return err
	}
	if err := e.unchanged(all); err != nil {
		return err
	}
	write := func(name string, data []byte) error {
		return store.WriteFile(ctx, e.out, name, data)
	}
	if len(e.plan.Shards) > 1 {
		raw, err := e.index()
		if err != nil {
			return err
		}
		if err := write(hf.IndexName, raw); err != nil {
			return err
		}
	}
	for _, f := range e.plan.Input.Side {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if f.Name == card.Name && f.Size <= card.Most {
			continue
		}
		if err := e.copySide(ctx, f); err != nil {
			return err
		}
	}
	if err := e.publishCard(ctx, m); err != nil {
		return err
	}
	for _, f := range e.plan.Beside {
		if err := write(f.Name, []byte(f.Data)); err != nil {
			return err
		}
	}
	if e.plan.Config != "" {
		if err := write(hf.ConfigName, []byte(e.plan.Config)); err != nil {
			return err
		}
	}
	raw, err := m.Encode()
	if err != nil {
		return err
	}
	if err := write(manifest.Name, raw); err != nil {
		return err
	}
	return e.sweepPartials()
}

// publishCard writes README.md: with a card of the output where the plan says so, and of
// a checkpoint that is no longer what quern's earlier card says, without that.
func (e *engine) publishCard(ctx context.Context, m *manifest.Manifest) error {
	i := slices.IndexFunc(e.plan.Input.Side, func(f plan.SideFile) bool { return f.Name == card.Name })
	if i >= 0 && e.plan.Input.Side[i].Size > card.Most {
		return nil // copied as it is
	}
	var raw []byte
	if i >= 0 {
		f := e.plan.Input.Side[i]
		var err error
		if raw, err = store.ReadFile(ctx, e.opts.In, f.Name, card.Most); err != nil {
			return err
		}
		if int64(len(raw)) != f.Size {
			return changed(store.Path(e.opts.In, f.Name))
		}
	}
	switch {
	case e.plan.Card:
		raw = card.Render(e.plan, m, raw)
	case i < 0:
		return nil
	case e.plan.Command == "convert":
		raw = card.Without(raw)
	}
	return store.WriteFile(ctx, e.out, card.Name, raw)
}

// copySide copies a side file into the output folder.
func (e *engine) copySide(ctx context.Context, f plan.SideFile) error {
	err := store.Copy(ctx, e.out, e.opts.In, f.Name, f.Size)
	if errors.Is(err, store.ErrChanged) {
		return changed(store.Path(e.opts.In, f.Name))
	}
	return err
}

// index is model.safetensors.index.json in the form of Hugging Face's own
// writers: sorted, two spaces, a newline at the end.
func (e *engine) index() ([]byte, error) {
	type entry struct{ name, file string }
	var list []entry
	for k := range e.plan.Shards {
		for _, i := range e.plan.Shards[k].Tensors {
			list = append(list, entry{e.plan.Tensors[i].Name, e.plan.Shards[k].Name})
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].name < list[j].name })
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\n  \"metadata\": {\n    \"total_size\": %d\n  },\n  \"weight_map\": {\n", e.plan.Totals().Bytes)
	for i, x := range list {
		name, err := json.Marshal(x.name)
		if err != nil {
			return nil, err
		}
		sep := ","
		if i == len(list)-1 {
			sep = ""
		}
		fmt.Fprintf(&b, "    %s: %q%s\n", name, x.file, sep)
	}
	b.WriteString("  }\n}\n")
	return b.Bytes(), nil
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
