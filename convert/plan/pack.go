package plan

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"quern/formats/safetensors"
	"quern/internal/blake3"
	"quern/internal/invalid"
)

// DefaultShardSize is the size at which Pack starts a new file: the 5 GB that
// Hugging Face tools write.
const DefaultShardSize = 5_000_000_000

// metadata marks files as PyTorch's: transformers refused files without it
// (formats.md §6).
var metadata = map[string]string{"format": "pt"}

// Pack divides the tensors, in their order, into shards of at most shardSize
// bytes of data (0: the default); a group never parts, so a single group may
// exceed it. Within a file tensors lie by descending alignment, then name.
func (p *Plan) Pack(shardSize int64) error {
	if shardSize <= 0 {
		shardSize = DefaultShardSize
	}
	if err := p.check(); err != nil {
		return err
	}
	var files [][]int
	var size int64
	for i := 0; i < len(p.Tensors); {
		end, bytes := i, int64(0)
		for end < len(p.Tensors) && p.Tensors[end].Group == p.Tensors[i].Group {
			bytes += p.Tensors[end].Bytes()
			end++
		}
		if len(files) == 0 || size > 0 && size+bytes > shardSize {
			files, size = append(files, nil), 0
		}
		last := &files[len(files)-1]
		for ; i < end; i++ {
			*last = append(*last, i)
		}
		size += bytes
	}
	return p.pack(files, safetensors.NewHeader)
}

// PackFiles makes a shard of each list of tensors, in the order given: of files
// and within each. Every tensor has to be in one of them, and at a multiple of its
// element size.
func (p *Plan) PackFiles(files [][]int) error {
	if err := p.check(); err != nil {
		return err
	}
	in := make([]bool, len(p.Tensors))
	n := 0
	for _, members := range files {
		for _, i := range members {
			if in[i] {
				return fmt.Errorf("plan: tensor %q is to lie in two files", p.Tensors[i].Name)
			}
			in[i] = true
			n++
		}
	}
	if n != len(p.Tensors) {
		return fmt.Errorf("plan: %d of %d tensors are to lie in files", n, len(p.Tensors))
	}
	return p.pack(files, safetensors.NewHeaderInOrder)
}

// lay lays out a file: safetensors.NewHeader or NewHeaderInOrder.
type lay func([]safetensors.Tensor, map[string]string) (*safetensors.Header, []byte, error)

func (p *Plan) pack(files [][]int, by lay) error {
	if len(files) == 0 {
		return invalid.Errorf("no tensors to write")
	}
	p.Shards = make([]Shard, len(files))
	for k, members := range files {
		s := &p.Shards[k]
		s.Name = ShardName(k, len(files))
		if err := p.layout(s, members, by); err != nil {
			return fmt.Errorf("laying out %q: %w", s.Name, err)
		}
	}
	return nil
}

// check refuses outputs that cannot be: sizes that overflow, which an input of
// absurd shapes without elements leads to, and two tensors of one name, which
// could come to lie in different shards.
func (p *Plan) check() error {
	seen := make(map[string]bool, len(p.Tensors))
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if _, err := safetensors.SizeOf(t.DType, t.Shape); err != nil {
			return invalid.Errorf("tensor %q: as %s: %w", t.Name, t.DType, err)
		}
		if seen[t.Name] {
			return invalid.Errorf("tensor %q: the output would have two tensors of this name", t.Name)
		}
		seen[t.Name] = true
	}
	return nil
}

// ShardName is the name of shard k of n, from 0.
func ShardName(k, n int) string {
	if n == 1 {
		return "model.safetensors"
	}
	return fmt.Sprintf("model-%05d-of-%05d.safetensors", k+1, n)
}

// layout fills s from its members.
func (p *Plan) layout(s *Shard, members []int, by lay) error {
	list := make([]safetensors.Tensor, len(members))
	index := make(map[string]int, len(members))
	for j, i := range members {
		t := &p.Tensors[i]
		list[j] = safetensors.Tensor{Name: t.Name, DType: t.DType, Shape: t.Shape}
		index[t.Name] = i
	}
	h, raw, err := by(list, metadata)
	if err != nil {
		return err
	}
	s.Header, s.Size = raw, int64(len(raw))
	s.Tensors = make([]int, len(h.Tensors))
	s.Offsets = make([]int64, len(h.Tensors))
	for j, t := range h.Tensors {
		s.Tensors[j] = index[t.Name]
		s.Offsets[j] = h.DataOffset + t.Begin
		s.Size = max(s.Size, h.DataOffset+t.End)
	}
	return nil
}

// Totals are sums over the output.
type Totals struct {
	Tensors int   `json:"tensors"`
	Bytes   int64 `json:"bytes"` // of tensor data, as the index's total_size counts
	Shards  int   `json:"shards"`
	Files   int64 `json:"file_bytes"` // of the shards with their headers
}

// Totals adds up the output.
func (p *Plan) Totals() Totals {
	t := Totals{Tensors: len(p.Tensors), Shards: len(p.Shards)}
	for i := range p.Tensors {
		t.Bytes += p.Tensors[i].Bytes()
	}
	for i := range p.Shards {
		t.Files += p.Shards[i].Size
	}
	return t
}

// Digest names the plan: BLAKE3-256 of its JSON pieces, hexadecimal. Two plans
// with the same digest write the same bytes.
func (p *Plan) Digest() (string, error) {
	h := blake3.New()
	enc := json.NewEncoder(h)
	// Piece by piece: the encoder holds a whole value in memory before it
	// writes, and plans have 100,000 tensors.
	head := *p
	head.Tensors, head.Surveys, head.Shards = nil, nil, nil
	if err := enc.Encode(&head); err != nil {
		return "", err
	}
	for i := range p.Tensors {
		if err := enc.Encode(&p.Tensors[i]); err != nil {
			return "", err
		}
	}
	for i := range p.Surveys {
		if err := enc.Encode(&p.Surveys[i]); err != nil {
			return "", err
		}
	}
	for i := range p.Shards {
		if err := enc.Encode(&p.Shards[i]); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Option returns the value of an option, "" if it is not set.
func (p *Plan) Option(name string) string {
	for _, o := range p.Options {
		if o.Name == name {
			return o.Value
		}
	}
	return ""
}
