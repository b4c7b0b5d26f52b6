package engine

import (
	"fmt"
	"slices"

	"quern/convert/card"
	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/internal/invalid"
)

// finished reports whether an earlier run has published s, from input files that are
// still what they were. The error says that one of them cannot be opened.
func (e *engine) finished(s *plan.Shard) (bool, error) {
	done, ok := e.state.done[s.Name]
	if !ok || !e.published(s) {
		return false, nil
	}
	for _, i := range e.files(s) {
		in, err := e.input(i)
		if err != nil {
			return false, err
		}
		if done.From[e.plan.Input.Files[i].Name] != in.Stamp() {
			return false, nil
		}
	}
	return true, nil
}

// published reports whether the file of s is there and has its header.
func (e *engine) published(s *plan.Shard) bool {
	o := outline{s.Name, s.Size, s.Header}
	return o.published(e.ctx, e.out)
}

// complete checks that a folder with this plan's manifest still has its files, and
// was made from the contents that the input has. Files beside the shards may have been
// edited, but not removed.
func (e *engine) complete() error {
	missing := func(name string) error {
		return invalid.Errorf("output folder %q: the manifest says that it is complete, but %q is missing or not the file that was written; --overwrite makes it anew", e.out, name)
	}
	for k := range e.plan.Shards {
		s := &e.plan.Shards[k]
		if !e.published(s) {
			return missing(s.Name)
		}
	}
	for _, name := range e.companions() {
		f, err := e.out.Open(e.ctx, name)
		if err != nil {
			return missing(name)
		}
		_ = f.Close()
	}
	old, err := madeThere(e.out)
	if err != nil {
		return fmt.Errorf("output folder %q: %w", e.out, err)
	}
	if err := e.sameContent(old); err != nil {
		return err
	}
	return ErrComplete
}

// shardNames are the names of all shards.
func (e *engine) shardNames() []string {
	var names []string
	for k := range e.plan.Shards {
		names = append(names, e.plan.Shards[k].Name)
	}
	return names
}

// writes are the names of all files that the folder gets.
func (e *engine) writes() []string {
	return append(append(e.shardNames(), e.companions()...), manifest.Name)
}

// made are the files beside the shards that are not copied.
func made(p *plan.Plan) []string {
	var names []string
	for _, f := range p.Beside {
		names = append(names, f.Name)
	}
	if p.Card && !slices.ContainsFunc(p.Input.Side, func(f plan.SideFile) bool { return f.Name == card.Name }) {
		names = append(names, card.Name)
	}
	return names
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
	names = append(names, made(e.plan)...)
	if e.plan.Config != "" {
		names = append(names, hf.ConfigName)
	}
	return names
}
