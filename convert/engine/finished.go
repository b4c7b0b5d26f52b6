package engine

import (
	"path/filepath"

	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/formats"
	"quern/formats/hf"
	"quern/internal/blockio"
)

// finished reports whether an earlier run has published s.
func (e *engine) finished(s *plan.Shard) bool {
	if _, ok := e.state.done[s.Name]; !ok {
		return false
	}
	f, err := e.fs.Open(filepath.Join(e.opts.Dir, s.Name))
	if err != nil {
		return false
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.Size() != s.Size {
		return false
	}
	raw := make([]byte, len(s.Header))
	return blockio.ReadFull(f, raw, 0) == nil && string(raw) == string(s.Header)
}

// complete checks that a folder with this plan's manifest still has its files.
// Those beside the shards may have been edited, but not removed.
func (e *engine) complete() error {
	missing := func(name string) error {
		return formats.Invalidf("output folder %q: the manifest says that it is complete, but %q is missing or not the file that was written; --overwrite makes it anew", e.opts.Dir, name)
	}
	for k := range e.plan.Shards {
		s := &e.plan.Shards[k]
		e.state = &state{done: map[string][]manifest.Tensor{s.Name: nil}}
		if !e.finished(s) {
			return missing(s.Name)
		}
	}
	for _, name := range e.companions() {
		f, err := e.fs.Open(filepath.Join(e.opts.Dir, filepath.FromSlash(name)))
		if err != nil {
			return missing(name)
		}
		f.Close()
	}
	return ErrComplete
}

// companions are the files that go with the shards, but for the manifest.
func (e *engine) companions() []string {
	var names []string
	if len(e.plan.Shards) > 1 {
		names = append(names, hf.IndexName)
	}
	for _, f := range e.plan.Input.Side {
		names = append(names, f.Name)
	}
	for _, f := range e.plan.Beside {
		names = append(names, f.Name)
	}
	if e.plan.Config != "" {
		names = append(names, hf.ConfigName)
	}
	return names
}
