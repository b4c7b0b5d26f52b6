//go:build !linux

package blockio

func (f *osFile) Reserve(size int64) error     { return f.Truncate(size) }
func (f *osFile) Sequential()                  {}
func (f *osFile) Flush(offset, n int64) error  { return nil }
func (f *osFile) Settle(offset, n int64) error { return nil }
func (f *osFile) Drop(offset, n int64)         {}

// Uncached is not to be had here.
func (f *osFile) Uncached() bool { return false }

func (f *osFile) readUncached(p []byte, off int64) (int, error)  { return f.File.ReadAt(p, off) }
func (f *osFile) writeUncached(p []byte, off int64) (int, error) { return f.File.WriteAt(p, off) }

// Nor are direct calls.
func (f *osFile) readDirect(p []byte, off int64) int                        { return 0 }
func (f *osFile) writeDirect(p []byte, off int64) (from, to int, err error) { return 0, 0, nil }

func hugePages([]byte) {}

// Cached is not known here.
func (f *osFile) Cached(offset, n int64) bool { return false }
