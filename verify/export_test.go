package verify

import "quern/internal/blockio"

// WithFS makes o read through fs.
func WithFS(o Options, fs blockio.FS) Options {
	o.fs = fs
	return o
}
