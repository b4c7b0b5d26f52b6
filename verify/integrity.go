package verify

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/internal/invalid"
	"quern/scheme"
	"quern/store"
)

// integrity is what one checkpoint is asked for.
type integrity struct {
	side     *side
	manifest map[string]*manifest.Tensor // nil without one
	digests  []*digestCheck              // by tensor, nil entries where none is taken
	finites  []*finiteCheck
	scales   []*scaleCheck
	fused    *fusedScales
}

// newIntegrity reads the manifest and gives every job its checks. jobs are by
// tensor of s.
func newIntegrity(s *side, jobs []*job) (*integrity, error) {
	x := &integrity{
		side:    s,
		digests: make([]*digestCheck, len(jobs)), finites: make([]*finiteCheck, len(jobs)), scales: make([]*scaleCheck, len(jobs)),
	}
	if err := s.readManifest(); err != nil {
		return nil, err
	}
	if err := x.index(); err != nil {
		return nil, err
	}
	for i, j := range jobs {
		t := j.tensor
		if x.manifest[t.Name] != nil {
			x.digests[i] = &digestCheck{size: t.Source.Bytes()}
			j.checks = append(j.checks, x.digests[i])
		}
		from, isFloat := plan.Elem(t.DType)
		switch {
		case s.isScale[t.Name]:
			x.scales[i] = &scaleCheck{tensor: t, ue8m0: s.ue8m0}
			j.checks = append(j.checks, x.scales[i])
		case s.isGroup[t.Name] && (isFloat && elements(t.Shape) > 1 || scheme.CodedScales(t.DType)):
			// Of single groups: of nothing but zeros some writers say zero, and MLX's have
			// either sign.
			x.finites[i] = &finiteCheck{tensor: t, elem: from, codes: !isFloat}
			j.checks = append(j.checks, x.finites[i])
		case s.isGroup[t.Name] && t.DType.IsFloat() || s.isGroup[t.Name] && t.DType == safetensors.U8:
			x.scales[i] = &scaleCheck{tensor: t}
			j.checks = append(j.checks, x.scales[i])
		case t.Meta.Role == model.Scale && (plan.IsInputScale(t.Meta.Param) || plan.IsCacheScale(&t.Meta)):
			x.scales[i] = &scaleCheck{tensor: t}
			j.checks = append(j.checks, x.scales[i])
		case t.Meta.Role == model.Unknown || t.Meta.Role == model.Buffer: // may hold anything
		case isFloat || isCodes(t):
			x.finites[i] = &finiteCheck{tensor: t, elem: from, codes: !isFloat}
			j.checks = append(j.checks, x.finites[i])
		}
	}
	x.fused = newFusedScales(s, jobs)
	return x, nil
}

// maxManifest bounds the manifest: it has some 300 bytes for each tensor.
const maxManifest = 1 << 30

// readManifest reads the manifest beside the checkpoint, if there is one.
func (s *side) readManifest() error {
	if s.manifest != nil {
		return nil
	}
	if s.c.Dir == "" {
		s.absent = "a single file has no " + manifest.Name
		return nil
	}
	raw, err := store.ReadFile(context.Background(), s.c.Folder, manifest.Name, maxManifest)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.absent = "there is no " + manifest.Name
		return nil
	case err != nil:
		return err
	}
	s.manifest, err = manifest.Decode(raw)
	return err
}

// index files the manifest's tensors by name.
func (x *integrity) index() error {
	m := x.side.manifest
	if m == nil {
		return nil
	}
	x.manifest = make(map[string]*manifest.Tensor, len(m.Tensors))
	for i := range m.Tensors {
		t := &m.Tensors[i]
		if x.manifest[t.Name] != nil {
			return invalid.Errorf("reading %q: tensor %q is there twice", store.Path(x.side.c.Folder, manifest.Name), t.Name)
		}
		x.manifest[t.Name] = t
	}
	return nil
}

func (x *integrity) digest() Gate {
	if x.manifest == nil {
		return skipped("digest", x.side.absent)
	}
	t := tally{name: "digest"}
	for i := range x.side.tensors {
		if p := x.mismatch(i); p != "" {
			t.fail("tensor %q: %s", x.side.tensors[i].Name, p)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(x.manifest)) {
		if x.side.byName[name] == nil {
			t.fail("tensor %q: missing; the manifest has it in %q", name, x.manifest[name].File)
		}
	}
	return t.gate()
}

// mismatch says in what tensor i is not as the manifest has it, "" if in nothing.
func (x *integrity) mismatch(i int) string {
	t := &x.side.tensors[i]
	m := x.manifest[t.Name]
	if m == nil {
		return "not in the manifest"
	}
	file := x.side.c.Files[t.Source.File].Name
	sum := hex.EncodeToString(x.digests[i].sum[:])
	switch {
	case m.DType != t.DType:
		return fmt.Sprintf("dtype %s, the manifest says %s", t.DType, m.DType)
	case !slices.Equal(m.Shape, t.Shape):
		return fmt.Sprintf("shape %v, the manifest says %v", t.Shape, m.Shape)
	case m.File != file:
		return fmt.Sprintf("in %q, the manifest says %q", file, m.File)
	case m.BLAKE3 != sum:
		return fmt.Sprintf("other bytes in %q: BLAKE3 %.16s…, the manifest says %.16s…", file, sum, m.BLAKE3)
	}
	return ""
}

func (x *integrity) finite() Gate {
	t := tally{name: "finite"}
	for _, c := range x.finites {
		if c == nil {
			continue
		}
		if p := c.problem(); p != "" {
			t.fail("%s", p)
		}
	}
	return t.gate()
}

func (x *integrity) scale() Gate {
	if len(x.side.scales)+len(x.side.written) == 0 {
		return skipped("scales", "no FP8 weights")
	}
	t := tally{name: "scales"}
	for i, c := range x.scales {
		if c == nil {
			continue
		}
		s := &x.side.tensors[i]
		problems := c.problems()
		if x.side.isScale[s.Name] {
			if _, err := scaleGrid(x.side.byName[s.Meta.ScaleOf], s, x.side.block); err != nil {
				problems = append(problems, err.Error())
			}
		}
		if len(problems) > 0 {
			t.fail("%s", strings.Join(problems, "; "))
		}
	}
	return t.gate()
}

func (x *integrity) shapes() Gate {
	arch := x.side.c.Arch()
	switch {
	case !x.side.c.HasConfig:
		return skipped("shapes", "there is no config.json")
	case !arch.Known():
		return skipped("shapes", "the architecture is not in the table")
	}
	t := tally{name: "shapes"}
	for i := range x.side.tensors {
		s := &x.side.tensors[i]
		if want, ok := arch.ExpectedShape(s.Meta); ok && !slices.Equal(want, s.Shape) {
			t.fail("%s: shape %v, the config gives %v", title(s), s.Shape, want)
		}
	}
	return t.gate()
}

// warnings are what harms no gate.
func (x *integrity) warnings() []string {
	out := slices.Clone(x.side.c.Warnings)
	if l := x.side.c.Arch().Missing(x.side.c.Has); l.Count > 0 {
		out = append(out, fmt.Sprintf("%d tensors of the config are missing: %s", l.Count, l))
	}
	return out
}
