package engine

import "quern/convert/plan"

// MinMemory is the least memory that Run accepts for p: with it slabs are as
// small as they get, and everything that can be split is.
func MinMemory(p *plan.Plan) int64 {
	return fixed + perTensor*int64(len(p.Tensors)) + 2*(7*minSlab+piece)
}

// StateName is the name of the state file.
const StateName = stateName

// DropAlways makes every job one that drops cached pages and waits for the
// disk, until the function that it returns is called.
func DropAlways() (restore func()) {
	old := dropAbove
	dropAbove = func() int64 { return -1 }
	return func() { dropAbove = old }
}

// ReadAhead has readers read all, what is in the page cache too.
func ReadAhead(o *Options) { o.ahead = true }

// ReadTwice has surveys keep nothing.
func ReadTwice(o *Options) { o.twice = true }
