package hf

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"quern/store"
)

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

// scan lists the folder and its sub-folders.
func scan(ctx context.Context, folder store.Folder) (*listing, error) {
	list, err := folder.List(ctx)
	if err != nil {
		return nil, err
	}
	l := &listing{top: make(map[string]bool)}
	for _, e := range list {
		switch {
		case strings.HasPrefix(e.Name, ".") || strings.Contains(e.Name, "/."): // .git, .cache, .gitattributes
			continue
		case !e.Mode.IsRegular():
			l.ignored = append(l.ignored, e.Name)
			continue
		case e.Outside != "":
			l.outside = append(l.outside, fmt.Sprintf("%q to %q", e.Name, e.Outside))
		}
		if !strings.Contains(e.Name, "/") {
			l.top[e.Name] = true
		}
		l.files = append(l.files, SideFile{Name: e.Name, Size: e.Size})
	}
	return l, nil
}

// bare reports whether a folder has nothing in place of weights either.
func (l *listing) bare() bool {
	return l.otherWeights() == "" && !slices.ContainsFunc(l.ignored, isWeightFile)
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
