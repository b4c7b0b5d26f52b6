package gemm

import (
	"sync"
	"unsafe"
)

// workspace is the scratch memory of one goroutine.
type workspace struct {
	p       *path     // the path that uses it
	panel   []float32 // weights of one panel
	decoded scratch   // weights, row by row
	rounded scratch   // rows of x
	sums    scratch   // outputs that are not complete
	asm     archWorkspace
}

const (
	maxPanelCols = 32
	packSlack    = 8 // inputs by which packing may run over
)

var workspaces = sync.Pool{New: func() any {
	return &workspace{panel: aligned((blockK + packSlack) * maxPanelCols)}
}}

func getWorkspace() *workspace { return workspaces.Get().(*workspace) }

// putWorkspace gives ws back. It holds no memory of the caller's.
func putWorkspace(ws *workspace) { workspaces.Put(ws) }

// scratch is memory that grows as needed.
type scratch struct{ s []float32 }

// take returns n numbers of any value.
func (s *scratch) take(n int) []float32 {
	if len(s.s) < n {
		s.s = aligned(n)
	}
	return s.s[:n]
}

// aligned returns n zeros that begin at a cache line.
func aligned(n int) []float32 {
	const line = 64 / 4
	s := make([]float32, n+line-1)
	at := int(-uintptr(unsafe.Pointer(unsafe.SliceData(s))) / 4 % line)
	return s[at:][:n:n]
}
