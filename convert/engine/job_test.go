package engine

import (
	"math/rand/v2"
	"sync"
	"testing"

	"quern/convert/plan"
	"quern/formats/safetensors"
	"quern/internal/blake3"
)

// Chunks arrive in any order and from many workers: the digest is that of the
// bytes in order, each comes back once, and exactly one worker is told that
// the job is complete.
func TestDeliver(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		chunks := 1 + r.IntN(40)
		x := &plan.Tensor{Op: plan.Copy, DType: safetensors.U8, Source: plan.View{DType: safetensors.U8, Shape: []int64{int64(chunks) * minSlab}}}
		j := &job{tensor: x, geo: cut(x, memory{slab: minSlab}), outs: []output{{hash: blake3.New()}}, parked: map[int]*chunk{}}
		j.expect()
		j.left -= chunks // they are written
		want := blake3.New()
		var list []*chunk
		for k := range chunks {
			c := &chunk{job: j, k: k, outs: [][]byte{{byte(k), byte(k >> 8), byte(r.Uint32())}}}
			list = append(list, c)
			want.Write(c.outs[0])
		}
		r.Shuffle(chunks, func(a, b int) { list[a], list[b] = list[b], list[a] })
		free := make(chan *chunk, chunks+1)
		var complete sync.Map
		var wg sync.WaitGroup
		work := make(chan *chunk)
		for w := range 4 {
			wg.Go(func() {
				for c := range work {
					if j.deliver(c, false, func(c *chunk) { free <- c }) {
						complete.Store(w, sum(j.outs[0].hash))
					}
				}
			})
		}
		for _, c := range list {
			work <- c
		}
		close(work)
		wg.Wait()
		told := 0
		complete.Range(func(_, digest any) bool {
			told++
			if digest != sum(want) {
				t.Error("the digest is not that of the bytes in order")
			}
			return true
		})
		seen := map[*chunk]bool{}
		for range len(free) {
			seen[<-free] = true
		}
		if told != 1 || len(seen) != chunks || len(j.parked) != 0 {
			t.Fatalf("%d chunks: told %d times, %d back, %d parked", chunks, told, len(seen), len(j.parked))
		}
	}
}
