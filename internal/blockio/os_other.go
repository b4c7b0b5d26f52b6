//go:build !linux

package blockio

func (f osFile) Reserve(size int64) error { return f.Truncate(size) }
func (f osFile) Sequential()              {}
func (f osFile) Flush(offset, n int64)    {}
func (f osFile) Settle(offset, n int64)   {}
func (f osFile) Drop(offset, n int64)     {}
