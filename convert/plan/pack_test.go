package plan_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"quern/convert/plan"
	"quern/formats/safetensors"
	"quern/internal/invalid"
)

// pairs is a plan of n weights and their scales.
func pairs(n int, rows, cols int64) *plan.Plan {
	p := &plan.Plan{Tool: "t", Command: "c"}
	for i := range n {
		w := plan.Tensor{Name: fmt.Sprintf("w%03d", i), DType: safetensors.F8E4M3, Shape: []int64{rows, cols}, Op: plan.Quantize, Group: i}
		s := plan.Tensor{Name: w.Name + "_scale_inv", DType: safetensors.F32, Shape: []int64{1, 1}, Op: plan.ScaleOf, Group: i}
		p.Tensors = append(p.Tensors, w, s)
	}
	return p
}

func TestShardNames(t *testing.T) {
	for _, c := range []struct {
		size int64
		want []string
	}{
		{0, []string{"model.safetensors"}},
		{4 * 104, []string{"model.safetensors"}},
		{3 * 104, []string{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}},
		{104, []string{"model-00001-of-00004.safetensors", "model-00002-of-00004.safetensors", "model-00003-of-00004.safetensors", "model-00004-of-00004.safetensors"}},
	} {
		p := pairs(4, 10, 10) // 104 bytes a pair
		if err := p.Pack(c.size); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range p.Shards {
			got = append(got, s.Name)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%d: %v", c.size, got)
		}
	}
	if n := plan.ShardName(99999, 123456); n != "model-100000-of-123456.safetensors" {
		t.Error(n)
	}
}

// Whatever the tensors: each lies in one shard, groups whole, in order, shards
// as full as they may be, and the header is one that the reader accepts.
func TestPack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	dtypes := []safetensors.DType{safetensors.F8E4M3, safetensors.BF16, safetensors.F32, safetensors.F64, safetensors.U8, safetensors.F4}
	for range 300 {
		p := &plan.Plan{}
		for i := range 1 + r.IntN(40) {
			x := plan.Tensor{Name: fmt.Sprintf("%c%d", 'a'+r.IntN(26), i), DType: dtypes[r.IntN(len(dtypes))], Shape: []int64{int64(r.IntN(6)), int64(2 * r.IntN(40))}}
			p.Tensors = append(p.Tensors, x)
		}
		p.Regroup(func(int) bool { return r.IntN(3) == 0 })
		size := int64(1 + r.IntN(4000))
		if err := p.Pack(size); err != nil {
			t.Fatal(err)
		}
		packed(t, p, size)
		if t.Failed() {
			t.FailNow()
		}
	}
}

func packed(t *testing.T, p *plan.Plan, size int64) {
	t.Helper()
	var order []int
	files := map[int]int{} // by group
	for k, s := range p.Shards {
		h, err := safetensors.ReadHeader(&zeros{head: s.Header, size: s.Size}, s.Size, safetensors.Limits{})
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		if h.Metadata["format"] != "pt" || len(h.Metadata) != 1 {
			t.Errorf("%s: metadata %v", s.Name, h.Metadata)
		}
		if len(h.Tensors) != len(s.Tensors) || len(s.Offsets) != len(s.Tensors) || len(s.Tensors) == 0 {
			t.Fatalf("%s: %d tensors, %d in the header, %d offsets", s.Name, len(s.Tensors), len(h.Tensors), len(s.Offsets))
		}
		data := int64(0)
		groups := map[int]bool{}
		for n, i := range s.Tensors {
			x := &p.Tensors[i]
			if i := slices.IndexFunc(h.Tensors, func(y safetensors.Tensor) bool { return y.Name == x.Name }); i < 0 || h.Tensors[i].DType != x.DType || h.DataOffset+h.Tensors[i].Begin != s.Offsets[n] || h.Tensors[i].Bytes() != x.Bytes() {
				t.Errorf("%s: %s is not where the plan says", s.Name, x.Name)
			}
			if s.Offsets[n]%x.DType.Alignment() != 0 {
				t.Errorf("%s: %s lies at %d", s.Name, x.Name, s.Offsets[n])
			}
			if n > 0 { // tensors without bytes lie anywhere
				y := &p.Tensors[s.Tensors[n-1]]
				if a, b := y.DType.Alignment(), x.DType.Alignment(); (a < b || a == b && y.Name >= x.Name) && x.Bytes()*y.Bytes() > 0 {
					t.Errorf("%s: %s before %s", s.Name, y.Name, x.Name)
				}
			}
			if f, ok := files[x.Group]; ok && f != k {
				t.Errorf("group %d is in two files", x.Group)
			}
			files[x.Group], groups[x.Group] = k, true
			data += x.Bytes()
		}
		if data > size && len(groups) > 1 {
			// Tensors without elements cost nothing and may join what is too large.
			full := 0
			for g := range groups {
				if bytesOf(p, g) > 0 {
					full++
				}
			}
			if full > 1 {
				t.Errorf("%s: %d bytes of data, more than %d", s.Name, data, size)
			}
		}
		members := slices.Clone(s.Tensors)
		slices.Sort(members)
		order = append(order, members...)
		if k > 0 && data > 0 {
			if before := dataOf(p, k-1); before > 0 && before+bytesOf(p, p.Tensors[members[0]].Group) <= size {
				t.Errorf("%s: its first group had room in the file before", s.Name)
			}
		}
	}
	for i := range order {
		if order[i] != i {
			t.Fatalf("the tensors are not in order: %v", order)
		}
	}
	if len(order) != len(p.Tensors) {
		t.Errorf("%d of %d tensors", len(order), len(p.Tensors))
	}
	totals := p.Totals()
	var all, in int64
	for k, s := range p.Shards {
		all += s.Size
		in += dataOf(p, k)
	}
	if totals.Tensors != len(p.Tensors) || totals.Shards != len(p.Shards) || totals.Files != all || totals.Bytes != in {
		t.Errorf("totals %+v", totals)
	}
}

func dataOf(p *plan.Plan, k int) (n int64) {
	for _, i := range p.Shards[k].Tensors {
		n += p.Tensors[i].Bytes()
	}
	return n
}

func bytesOf(p *plan.Plan, group int) (n int64) {
	for i := range p.Tensors {
		if p.Tensors[i].Group == group {
			n += p.Tensors[i].Bytes()
		}
	}
	return n
}

// zeros is a file with a header and a data section of zeros.
type zeros struct {
	head []byte
	size int64
}

func (z *zeros) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(z.head)) {
		copy(p, z.head[off:])
	}
	return len(p), nil
}

// A scale and its codes: F32 before E4M3, both in one file however small files
// are to be.
func TestGroupsNeverPart(t *testing.T) {
	p := pairs(3, 100, 100)
	if err := p.Pack(1); err != nil {
		t.Fatal(err)
	}
	if len(p.Shards) != 3 {
		t.Fatalf("%d shards", len(p.Shards))
	}
	for k, s := range p.Shards {
		if !slices.Equal(s.Tensors, []int{2*k + 1, 2 * k}) {
			t.Errorf("%s: %v", s.Name, s.Tensors)
		}
		if n := binary.LittleEndian.Uint64(s.Header); int64(n)+8 != int64(len(s.Header)) || s.Offsets[0] != int64(len(s.Header)) || s.Size != s.Offsets[0]+4+10000 || !bytes.Contains(s.Header, []byte(`"__metadata__":{"format":"pt"}`)) {
			t.Errorf("%s: header of %d bytes, offsets %v, size %d", s.Name, n, s.Offsets, s.Size)
		}
	}
}

func TestPackRefuses(t *testing.T) {
	twice := pairs(2, 10, 10)
	twice.Tensors[2].Name = twice.Tensors[0].Name
	// An E8M0 scale of a shape that is sound, being empty, and that no F32 can have.
	huge := pairs(1, 10, 10)
	huge.Tensors[1].Shape = []int64{0, math.MaxInt64 / 16}
	for what, p := range map[string]*plan.Plan{"nothing": {}, "two of a name": twice, "too large": huge} {
		for _, size := range []int64{0, 1} {
			err := p.Pack(size)
			if !errors.Is(err, invalid.Input) {
				t.Errorf("%s: %v", what, err)
			}
			if what == "two of a name" && !strings.Contains(err.Error(), `"w000"`) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

func TestRegroup(t *testing.T) {
	p := pairs(3, 1, 1)
	p.Regroup(func(i int) bool { return p.Tensors[i].Op == plan.ScaleOf })
	var got []int
	for i := range p.Tensors {
		got = append(got, p.Tensors[i].Group)
	}
	if !slices.Equal(got, []int{0, 0, 1, 1, 2, 2}) {
		t.Error(got)
	}
	p.Regroup(func(int) bool { return false })
	if p.Tensors[5].Group != 5 {
		t.Error(p.Tensors[5].Group)
	}
}
