package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"quern/convert"
	"quern/convert/engine"
	"quern/formats/hf"
	"quern/internal/blake3"
	"quern/internal/invalid"
	"quern/internal/ui"
	"quern/store"
	"quern/verify/record"
)

var stateFlag = &cli.StringFlag{Name: "state", Usage: "`DIR|off`where a run keeps what it goes on from when it is cut", DefaultText: "in the user's cache folder"}

// forgotten is for how long what a run has left is kept for one that goes on with it.
const forgotten = 30 * 24 * time.Hour

// identity is what the figures of j depend on. How a file is known tells stamp: what
// changes whenever the file may have, on this machine, or what is the same for every copy
// of it.
func (j *verifying) identity(m *models, base *hf.Checkpoint, cks []*hf.Checkpoint, stamp func(*hf.File) (string, error)) (id record.Identity, err error) {
	id.Add("the version of quern", convert.Version)
	for _, o := range [][2]string{
		{"--activations", j.activations},
		{"--context", fmt.Sprint(j.chunk.Context)},
		{"--score", j.chunk.Score},
		{"--tokens", fmt.Sprint(j.chunk.Tokens)},
		{"--device", j.computes()},
		{"--fast", fmt.Sprint(j.fast)},
	} {
		id.Add(o[0], o[1])
	}
	if j.squares != nil {
		is := j.squares.Digest()
		id.Add("--calibration", hex.EncodeToString(is[:]))
	}
	for i, ck := range append([]*hf.Checkpoint{base}, cks...) {
		what := "of the checkpoint"
		switch {
		case ck == nil:
			continue
		case i == 0:
			what = "of the baseline"
		case len(cks) > 1:
			what = fmt.Sprintf("of %q", ck.Path)
		}
		for _, f := range ck.Files {
			s, err := stamp(f)
			if err != nil {
				return nil, err
			}
			id.Add(fmt.Sprintf("%q %s", f.Name, what), digest(f.Header.Digest[:], s))
		}
		id.Add("config.json "+what, digest(ck.ConfigRaw))
		if err := told(&id, ck, what); err != nil {
			return nil, err
		}
	}
	for _, s := range m.sources {
		id.Add(fmt.Sprintf("the text %q", s.Name), s.Digest)
	}
	tokens := blake3.New()
	for _, c := range m.chunks {
		fmt.Fprintln(tokens, c.Text, c.From, c.To, c.IDs)
	}
	id.Add("what the tokenizer makes of the texts", hex.EncodeToString(tokens.Sum(nil)))
	return id, nil
}

// told adds the other files of a checkpoint that findings depend on: how it was made, so
// how it would be made anew; which numbers its experts had; and its quantization where
// config.json does not tell it.
func told(id *record.Identity, ck *hf.Checkpoint, what string) error {
	if ck.Dir == "" {
		return nil // a single file
	}
	names := []string{hf.ManifestName, hf.PlacementName}
	for _, f := range ck.Side {
		if slices.Contains(hf.QuantizationNames, f.Name) {
			names = append(names, f.Name)
		}
	}
	for _, name := range names {
		o, err := ck.Folder.Open(context.Background(), name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		h := blake3.New()
		_, err = io.Copy(h, io.NewSectionReader(o, 0, o.Size()))
		_ = o.Close()
		if err != nil {
			return fmt.Errorf("reading %q: %w", store.Path(ck.Folder, name), err)
		}
		id.Add(name+" "+what, hex.EncodeToString(h.Sum(nil)))
	}
	return nil
}

// computes is the kind of device.
func (j *verifying) computes() string {
	if j.device != nil {
		return j.device.Info().Kind
	}
	return cmp.Or(j.kind, "cpu")
}

// digest is one of all parts together.
func digest(parts ...any) string {
	h := blake3.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%q\n", p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// onThisMachine is how a file is known to a run that goes on here.
func onThisMachine(f *hf.File) (string, error) { return string(f.Stamp), nil }

// onAnyMachine is how a file is known to tasks. Stamps of files of a machine differ from
// those of their copies; stores behind a network give one stamp to all.
func onAnyMachine(f *hf.File) (string, error) {
	if strings.Contains(f.Path, "://") {
		return string(f.Stamp), nil
	}
	o, err := f.OpenIn(context.Background(), nil)
	if errors.Is(err, store.ErrChanged) {
		return "", invalid.Errorf("reading %q: the file changed while it was being verified; run the command again when nothing writes to it", f.Path)
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = o.Close() }()
	s, err := engine.Sample(o, f.Header.DataOffset, f.Size)
	if err != nil {
		return "", fmt.Errorf("reading %q: %w", f.Path, err)
	}
	return s, nil
}

// goingOn is a run that keeps what it has found.
type goingOn struct {
	*record.Book
	tensors int // that there are to look at

	mu     sync.Mutex
	saved  map[string]string // how far models are, by what is done with them
	things []string
}

// saves is called when the states behind a layer are kept.
func (g *goingOn) saves(what string, layer, layers int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.saved == nil {
		g.saved = map[string]string{}
	}
	if g.saved[what] == "" {
		g.things = append(g.things, what)
	}
	g.saved[what] = fmt.Sprintf("%d of %d layers of %s", layer, layers, strings.TrimPrefix(what, "running "))
}

// far says how far the run is.
func (g *goingOn) far() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var parts []string
	if n := g.Count("tensor "); n > 0 {
		parts = append(parts, fmt.Sprintf("%s of %s tensors", ui.Count(int64(n)), ui.Count(int64(g.tensors))))
	}
	for _, what := range g.things {
		parts = append(parts, g.saved[what])
	}
	return strings.Join(parts, ", ")
}

// keep opens the book in which a run keeps what it finds, and tells where it goes on.
// Whatever hinders that is no reason not to run.
func (t *terminal) keep(j *verifying, m *models, base *hf.Checkpoint, cks []*hf.Checkpoint) (*goingOn, error) {
	g := &goingOn{}
	for _, ck := range cks {
		g.tensors += ck.Len()
	}
	dir := j.state
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.log("nothing is kept for a run that goes on: %v", err)
			g.Book = record.New()
			return g, nil
		}
		dir = filepath.Join(cache, "quern", "verify")
	}
	if dir == "off" {
		g.Book = record.New()
		return g, nil
	}
	id, err := j.identity(m, base, cks, onThisMachine)
	if err != nil {
		return nil, err
	}
	record.Prune(nil, dir, time.Now().Add(-forgotten))
	book, changed, err := record.Open(nil, filepath.Join(dir, j.key(base, cks)), id, record.Interval)
	switch {
	case errors.Is(err, store.ErrLocked):
		t.notes(j.quiet, []string{"the same verification is running already; this one keeps nothing to go on from"})
		book = record.New()
	case err != nil:
		t.log("nothing is kept for a run that goes on: %v", err)
		book = record.New()
	}
	g.Book = book
	switch {
	case changed != "":
		t.notes(j.quiet, []string{"begins anew: an earlier run was cut, and since then " + changed})
	case book.Len() > 0:
		t.notes(j.quiet, []string{"goes on where an earlier run was cut: " + cmp.Or(g.far(), "nothing was kept yet")})
	}
	return g, nil
}

// resumed tells at which layer a model goes on.
func (t *terminal) resumed(j *verifying, show *phases) func(what string, layer, layers int) {
	return func(what string, layer, layers int) {
		show.skip = layer
		j.going.saves(what, layer, layers)
		t.notes(j.quiet, []string{fmt.Sprintf("%s goes on behind layer %d of %d", what, layer, layers)})
	}
}

// key names the folder of a run: by what was asked for, so that whoever asks again finds
// it, with other files too.
func (j *verifying) key(base *hf.Checkpoint, cks []*hf.Checkpoint) string {
	abs := func(path string) string {
		if p, err := filepath.Abs(path); err == nil && path != "" && !strings.Contains(path, "://") {
			return p
		}
		return path
	}
	what := []any{j.baseline, abs(j.ids), fmt.Sprint(j.chunk), j.activations, j.computes(), j.builtin, j.task.String(), abs(j.reference), abs(j.emit)}
	if base != nil {
		what = append(what, abs(base.Path))
	}
	if j.calibration != "" {
		what = append(what, "--calibration", abs(j.calibration))
	}
	for _, ck := range cks {
		what = append(what, abs(ck.Path))
	}
	for _, text := range j.texts {
		what = append(what, abs(text))
	}
	return digest(what...)[:32]
}

// end ends a run that keeps what it found: what is kept goes with the last of it, and
// stays where the same command may go on.
func (g *goingOn) end(err error) error {
	done := err == nil || errors.Is(err, invalid.Input)
	far := g.far()
	kept, _ := g.Close(done)
	switch {
	case !kept || far == "":
		return err
	case errors.Is(err, context.Canceled):
		return interrupted(err, far+" are kept; the same command goes on from here")
	}
	return err
}
