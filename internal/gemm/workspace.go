package gemm

import (
	"sync"
	"unsafe"
)

// workspace is the scratch memory of one goroutine.
type workspace struct {
	p     *path     // the path that uses it
	panel []float32 // weights of one panel, aligned to cache lines
	rows  []float32 // decoded weights, before they are transposed
	sum   []float32
	asm   archWorkspace
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

// row returns room for n decoded weights.
func (ws *workspace) row(n int) []float32 {
	if len(ws.rows) < n {
		ws.rows = aligned(n)
	}
	return ws.rows[:n]
}

// sums returns room for n outputs.
func (ws *workspace) sums(n int) []float32 {
	if len(ws.sum) < n {
		ws.sum = aligned(n)
	}
	return ws.sum[:n]
}

// aligned returns n zeros that begin at a cache line.
func aligned(n int) []float32 {
	const line = 64 / 4
	s := make([]float32, n+line-1)
	at := int(-uintptr(unsafe.Pointer(unsafe.SliceData(s))) / 4 % line)
	return s[at:][:n:n]
}
