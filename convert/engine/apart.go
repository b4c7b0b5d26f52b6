package engine

import (
	"fmt"

	"quern/internal/invalid"
	"quern/store"
)

// apart refuses an output folder that is, holds or lies in the input's. A single
// file's folder is no part of the input: beside the file there is room.
func apart(o Options) error {
	is, err := o.Out.Relation(o.In)
	if err != nil {
		return fmt.Errorf("output folder %q: %w", o.Out, err)
	}
	if is == store.Same || is == store.Nested && !o.Single {
		return invalid.Errorf("output folder %q is the input folder, holds it or lies in it: choose another", o.Out)
	}
	return nil
}
