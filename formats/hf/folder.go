package hf

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"quern/internal/invalid"
)

// maxEntries bounds what a folder may hold, so that a path given by mistake (a home
// folder) ends with a message.
const maxEntries = 100_000

// weightExts are the extensions of files that hold weights.
var weightExts = map[string]bool{
	".safetensors": true, ".bin": true, ".pt": true, ".pth": true, ".gguf": true,
}

// indexSuffixes end the names of indexes of weight files. One that was not opened
// lists files that are not copied, so it is not either.
var indexSuffixes = []string{".safetensors.index.json", ".bin.index.json"}

// ownFiles are the names that a conversion writes itself.
var ownFiles = map[string]bool{
	IndexName: true, ConfigName: true, ManifestName: true, PlacementName: true,
}

// listing is what lies in a folder.
type listing struct {
	top     map[string]bool // regular files directly in it
	files   []SideFile      // all regular files
	ignored []string        // other kinds, and what begins with a dot
	outside []string        // links that lead out of the checkpoint, and where
}

// scan lists the folder and its sub-folders. Links to files are followed; a link
// that leads nowhere is an error, since a copy would lack the file.
func scan(dir string) (*listing, error) {
	l := &listing{top: make(map[string]bool)}
	n := 0
	root, err := filepath.EvalSymlinks(dir) // a walk does not follow its own root
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if n++; n > maxEntries {
			return invalid.Errorf("%s: more than %d files; is this the folder of a checkpoint?", dir, maxEntries)
		}
		if path == root {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if strings.HasPrefix(d.Name(), ".") { // .git, .cache, .gitattributes
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		info, err := os.Stat(path)
		switch {
		case leadsNowhere(err):
			return invalid.Errorf("%s: %q is a link that leads nowhere; is the download complete?", dir, name)
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			l.ignored = append(l.ignored, name)
			return nil
		}
		if d.Type()&fs.ModeSymlink != 0 {
			if to, err := filepath.EvalSymlinks(path); err == nil && !belongs(root, to) {
				l.outside = append(l.outside, fmt.Sprintf("%q to %q", name, to))
			}
		}
		if !strings.Contains(name, "/") {
			l.top[name] = true
		}
		l.files = append(l.files, SideFile{Name: name, Path: path, Size: info.Size()})
		return nil
	})
	return l, err
}

// belongs reports whether what a link leads to is the checkpoint's own: in its folder,
// or, in a hub cache, a blob of the same repository (snapshots/REVISION/NAME leads to
// ../../blobs/DIGEST).
func belongs(root, path string) bool {
	in := func(dir string) bool {
		rel, err := filepath.Rel(dir, path)
		return err == nil && filepath.IsLocal(rel)
	}
	snapshots := filepath.Dir(root)
	return in(root) || filepath.Base(snapshots) == "snapshots" && in(filepath.Join(filepath.Dir(snapshots), "blobs"))
}

// sort divides the files that are neither weights of the checkpoint nor its config
// into those that are copied and those that are not.
func (c *Checkpoint) sort(l *listing, weights []string) {
	c.Ignored = l.ignored
	if n := len(l.outside); n > 0 {
		c.Warnings = append(c.Warnings, fmt.Sprintf("%d files are links that lead out of the folder, %s first: what they hold is read, and copied where it is no weight", n, l.outside[0]))
	}
	for _, f := range l.files {
		switch {
		case ownFiles[f.Name] || slices.Contains(weights, f.Name):
		case isWeightFile(f.Name) || strings.HasSuffix(f.Name, ".partial"):
			c.Ignored = append(c.Ignored, f.Name)
		default:
			c.Side = append(c.Side, f)
		}
	}
	slices.SortFunc(c.Side, byName)
	slices.Sort(c.Ignored)
}

// isWeightFile reports whether a file holds weights or an index of them, by name.
func isWeightFile(name string) bool {
	name = strings.ToLower(name)
	for _, x := range indexSuffixes {
		if strings.HasSuffix(name, x) {
			return true
		}
	}
	return weightExts[filepath.Ext(name)]
}

// otherWeights says which files of other formats a folder without safetensors has.
func (l *listing) otherWeights() string {
	for _, f := range l.files {
		if isWeightFile(f.Name) {
			return "; " + f.Name + " is in a format that is not read"
		}
	}
	return ""
}
