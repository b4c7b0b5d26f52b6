package hf

import (
	"context"
	"errors"

	"quern/formats/model"
	"quern/store"
)

// ErrNoWeights is matched by the error of a folder that has a config and nothing that
// could be weights.
var ErrNoWeights = errors.New("no weights")

// OpenConfig opens a config without weights: a folder as ErrNoWeights says, or the file
// itself, whatever its name. The checkpoint has no tensors. What has weights is opened as
// Open does.
func OpenConfig(ctx context.Context, location string) (*Checkpoint, error) {
	folder, name, err := store.Open(ctx, location)
	if err != nil {
		return nil, err
	}
	if name == "" {
		c, err := OpenIn(ctx, folder, "")
		if !errors.Is(err, ErrNoWeights) {
			return c, err
		}
		name = ConfigName
	}
	c := &Checkpoint{Path: location, Dir: folder.String(), Folder: folder}
	list := new(listing)
	if name == ConfigName { // only then do others belong to it
		if list, err = scan(ctx, folder); err != nil {
			return nil, err
		}
	}
	if err := c.parseConfig(ctx, name, list); err != nil {
		return nil, err
	}
	c.arch = model.Lookup(c.Config)
	return c, nil
}
