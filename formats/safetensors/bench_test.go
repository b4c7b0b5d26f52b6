package safetensors

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
)

// large is the header of a checkpoint of n expert weights in one file, and the size
// of that file.
func large(tb testing.TB, n int) ([]byte, int64) {
	tb.Helper()
	tensors := make([]Tensor, n)
	for i := range tensors {
		tensors[i] = Tensor{
			Name:  fmt.Sprintf("model.layers.%d.mlp.experts.%d.gate_proj.weight", i/256, i%256),
			DType: F8E4M3, Shape: []int64{2048, 7168},
		}
	}
	h, b, err := NewHeader(tensors, map[string]string{"format": "pt"})
	if err != nil {
		tb.Fatal(err)
	}
	return b, int64(len(b)) + h.Tensors[n-1].End
}

func BenchmarkReadHeader(b *testing.B) {
	head, size := large(b, 92_000)
	b.SetBytes(int64(len(head)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReadHeader(bytes.NewReader(head), size, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestReadHeaderMemory holds what a header keeps to its own size: it must not keep
// the text alive.
func TestReadHeaderMemory(t *testing.T) {
	head, size := large(t, 20_000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	h, err := ReadHeader(bytes.NewReader(head), size, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	// 64 bytes of a Tensor, 50 of its name, 16 of its shape.
	if kept, most := int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(160*len(h.Tensors)); kept > most {
		t.Errorf("%d tensors keep %d bytes", len(h.Tensors), kept)
	}
	if total, most := after.TotalAlloc-before.TotalAlloc, uint64(4*len(head)); total > most {
		t.Errorf("%d bytes allocated for a header of %d", total, len(head))
	}
	runtime.KeepAlive(h)
}
