package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/zeebo/blake3"

	"quern/convert/manifest"
	"quern/internal/blockio"
)

// ours matches the names that every output has. What else a run has written,
// its side files, is told by its manifest or its state.
var ours = regexp.MustCompile(`^(model(-\d{5,}-of-\d{5,})?\.safetensors|model\.safetensors\.index\.json|config\.json|quern-manifest\.json)(\.partial)?$`)

// over is what identifies a run with --overwrite beside its plan: the state of
// its input files, so that one that was repaired starts anew. It is empty
// without --overwrite.
func (e *engine) over() string {
	if !e.opts.Overwrite {
		return ""
	}
	h := blake3.New()
	for _, s := range e.opts.Sources {
		fmt.Fprintf(h, "%d %d\n", s.Size, s.ModTime.UnixNano())
	}
	return sum(h)
}

// condemn lists what --overwrite removes: the files of an earlier output,
// finished or not, and nothing else. The manifest goes first: without it what
// remains is nobody's output.
func (s *state) condemn() error {
	list, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("reading output folder %q: %w", s.dir, err)
	}
	s.doom(manifest.Name)
	for _, e := range list {
		if n := e.Name(); ours.MatchString(n) && n != manifest.Name && !e.IsDir() {
			s.doom(n)
		}
	}
	var side []string
	if raw, err := os.ReadFile(filepath.Join(s.dir, manifest.Name)); err == nil {
		if m, err := manifest.Decode(raw); err == nil {
			side = sideFiles(m)
		}
	}
	raw := make([]byte, s.size)
	if err := blockio.ReadFull(s.file, raw, 0); err == nil {
		var r record
		line, _, _ := bytes.Cut(raw, []byte("\n"))
		if json.Unmarshal(line, &r) == nil && r.Run != nil {
			side = append(side, sideFiles(r.Run)...)
		}
	}
	for _, n := range side {
		s.doom(n)
		s.doom(n + blockio.Partial)
	}
	return nil
}

// sideFiles are the files that m's run has written or made beside the shards. A manifest may come
// from anywhere, and must not name what lies outside its folder.
func sideFiles(m *manifest.Manifest) []string {
	all := slices.Clone(m.Beside)
	for _, f := range m.Input.Side {
		all = append(all, f.Name)
	}
	var names []string
	for _, name := range all {
		if n := filepath.FromSlash(name); filepath.IsLocal(n) && !strings.EqualFold(n, stateName) {
			names = append(names, n)
		}
	}
	return names
}

// doom marks a file for removal, if it is there.
func (s *state) doom(name string) {
	st, err := os.Lstat(filepath.Join(s.dir, name))
	if err != nil || st.IsDir() {
		return
	}
	s.doomed = append(s.doomed, name)
	s.spare += st.Size()
}
