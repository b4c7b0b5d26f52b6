package remote

import (
	"context"
	"io"
)

// A Source gives ranges of one state of one file. It is safe for concurrent use.
type Source interface {
	// Get asks once for the bytes from off to off+n, which lie within the file. A body
	// that ends early is made up for by another try, as is an error made by TryAgain.
	// An answer that shows that the file has changed is an error that matches
	// invalid.Input.
	Get(ctx context.Context, off, n int64) (io.ReadCloser, error)
	// Check asks whether the file still is in that state.
	Check(ctx context.Context) error
}
