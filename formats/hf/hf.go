// Package hf opens a checkpoint as Hugging Face lays it out: a folder of
// safetensors files with an index and a config.json, or one safetensors file.
//
// Everything that headers can show to be wrong is found when it is opened, before
// anyone writes a byte. Errors that blame the checkpoint match invalid.Input and
// begin with the file: reading "model.safetensors.index.json": …
//
// # Which files are what
//
//   - weights: the files that model.safetensors.index.json names, else
//     model.safetensors, else the one complete set NAME-i-of-N.safetensors, else the
//     only .safetensors file of the folder, which people mean when they have given
//     it a name of their own. An index that names files which are not there is left
//     behind by an earlier form where one of the others is: a warning
//   - the config: config.json
//   - side files: all other regular files, also in sub-folders, except those whose
//     name (or whose folder's) begins with a dot; they are copied
//   - ignored, reported and not copied: other weight files, whatever is no regular
//     file, and what quern itself writes (quern-manifest.json, quern-placement.json,
//     *.partial)
//
// The user's own links in the folder are followed, because hub caches consist of
// them; names in the index, which come from whoever made the checkpoint, may only
// be plain names of the folder. Links to folders are not followed.
package hf

import (
	"context"
	"iter"
	"slices"

	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/internal/strictjson"
	"quern/store"
)

// The names of files with a meaning.
const (
	IndexName    = "model.safetensors.index.json"
	SingleName   = "model.safetensors"
	ConfigName   = "config.json"
	ManifestName = "quern-manifest.json"
	// PlacementName is the map of a checkpoint that was regrouped by experts.
	PlacementName = "quern-placement.json"
)

// Checkpoint is an opened checkpoint. It holds no open files and is safe for
// concurrent use, as long as nobody changes it.
type Checkpoint struct {
	Path string // as given
	Dir  string // the folder, as people call it; "" for a single file
	// Folder is where the files lie; that of a single file holds others too.
	Folder store.Folder

	Files []*File // weight files by name
	// IndexName is the name of the index, "" when there is none.
	IndexName string

	// Config is the config, Raw its bytes and ConfigValue its tree. HasConfig is
	// false, and Config nil, for a single file.
	Config      *model.Config
	ConfigRaw   []byte
	ConfigValue strictjson.Value
	HasConfig   bool

	Side     []SideFile // files that are copied, by name
	Ignored  []string   // what is not copied, by name
	Warnings []string   // what is odd and harms nothing

	arch   *model.Arch
	byName map[string]Ref
}

// File is a weight file. Its header was read and checked.
type File struct {
	Name   string // plain name
	Path   string // as people call it
	Size   int64
	Stamp  store.Stamp // when its header was read
	Header *safetensors.Header

	folder store.Folder
}

// SideFile is a file that belongs to the checkpoint and holds no weights.
type SideFile struct {
	Name string // relative to the folder, with slashes
	Size int64
}

// Ref is a tensor and the file that it lies in.
type Ref struct {
	File   *File
	Tensor *safetensors.Tensor
}

// Open opens what a user has named: a folder or a single .safetensors file, in any
// store. It reads headers only.
func Open(location string) (*Checkpoint, error) {
	return OpenContext(context.Background(), location)
}

// OpenContext is Open until ctx ends: headers of other machines take time.
func OpenContext(ctx context.Context, location string) (*Checkpoint, error) {
	folder, name, err := store.Open(ctx, location)
	if err != nil {
		return nil, err
	}
	return OpenIn(ctx, folder, name)
}

// OpenIn opens a folder, or the single .safetensors file of a name in it, unless the
// name is "". It reads headers only.
func OpenIn(ctx context.Context, folder store.Folder, name string) (*Checkpoint, error) {
	c := &Checkpoint{Path: folder.String(), Folder: folder}
	var err error
	if name == "" {
		c.Dir = folder.String()
		err = c.openFolder(ctx)
	} else if err = c.openFiles(ctx, []string{name}); err == nil {
		c.Path = c.Files[0].Path
	}
	if err != nil {
		return nil, err
	}
	c.arch = model.Lookup(c.Config)
	return c, nil
}

// openFolder reads a folder: what is in it, the index, the config, the headers.
func (c *Checkpoint) openFolder(ctx context.Context) error {
	list, err := scan(ctx, c.Folder)
	if err != nil {
		return err
	}
	// The config first: it is small, and a folder without one is most likely the
	// wrong folder.
	if err := c.readConfig(ctx, list); err != nil {
		return err
	}
	index, names, err := c.weights(ctx, list)
	if err != nil {
		return err
	}
	c.sort(list, names)
	if err := c.openFiles(ctx, slices.Sorted(slices.Values(names))); err != nil {
		return err
	}
	return c.checkIndex(index)
}

// Arch returns what is known about the architecture; never nil.
func (c *Checkpoint) Arch() *model.Arch { return c.arch }

// Lookup returns the tensor of a name.
func (c *Checkpoint) Lookup(name string) (Ref, bool) {
	r, ok := c.byName[name]
	return r, ok
}

// Has reports whether there is a tensor of a name.
func (c *Checkpoint) Has(name string) bool {
	_, ok := c.byName[name]
	return ok
}

// Len is the number of tensors.
func (c *Checkpoint) Len() int { return len(c.byName) }

// Bytes is the size of all tensors.
func (c *Checkpoint) Bytes() int64 {
	var n int64
	for _, f := range c.Files {
		for i := range f.Header.Tensors {
			n += f.Header.Tensors[i].Bytes()
		}
	}
	return n
}

// All yields the tensors by file and, within a file, by offset.
func (c *Checkpoint) All() iter.Seq[Ref] {
	return func(yield func(Ref) bool) {
		for _, f := range c.Files {
			for i := range f.Header.Tensors {
				if !yield(Ref{f, &f.Header.Tensors[i]}) {
					return
				}
			}
		}
	}
}

// Classified yields the tensors in the order of All with what they are.
func (c *Checkpoint) Classified() iter.Seq2[Ref, model.Tensor] {
	return func(yield func(Ref, model.Tensor) bool) {
		for r := range c.All() {
			if !yield(r, c.Classify(r.Tensor)) {
				return
			}
		}
	}
}

// Parameters counts the weights.
func (c *Checkpoint) Parameters() model.Parameters {
	return c.arch.Parameters(func(yield func(model.Tensor, int64) bool) {
		for r, t := range c.Classified() {
			if !yield(t, r.Tensor.Elements()) {
				return
			}
		}
	})
}
