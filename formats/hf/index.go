package hf

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"quern/internal/invalid"
	"quern/internal/strictjson"
)

// index is what model.safetensors.index.json says.
type index struct {
	files     map[string]string // shard by tensor
	totalSize int64             // metadata.total_size; −1 when it is absent
}

// readIndex reads and checks the index by itself.
func (c *Checkpoint) readIndex(ctx context.Context) (*index, error) {
	data, err := c.readSmall(ctx, IndexName, maxIndex)
	if err != nil {
		return nil, err
	}
	x, err := parseIndex(data)
	if err != nil {
		return nil, reading(IndexName, err)
	}
	return x, nil
}

// parseIndex reads {"metadata": {"total_size": N}, "weight_map": {tensor: file}}
// token by token: a tree of it would take ten times its size.
func parseIndex(data []byte) (*index, error) {
	s := strictjson.NewScanner(data, strictjson.Options{})
	if k, err := s.Peek(); err != nil {
		return nil, err
	} else if k != strictjson.KindObject {
		return nil, invalid.Errorf("%s instead of an object", k)
	}
	if err := s.ObjectStart(); err != nil {
		return nil, err
	}
	x := &index{totalSize: -1}
	seen := make(map[string]bool)
	for {
		key, ok, err := s.Key()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		name := string(key)
		if seen[name] {
			return nil, invalid.Errorf("the key %q occurs twice", clip(name))
		}
		seen[name] = true
		switch name {
		case "weight_map":
			err = x.readMap(s)
		case "metadata":
			var v strictjson.Value
			if v, err = s.Value(); err == nil {
				if n, ok := v.Get("total_size").Int64(); ok {
					x.totalSize = n
				}
			}
		default:
			err = s.Skip()
		}
		if err != nil {
			return nil, err
		}
	}
	if err := s.End(); err != nil {
		return nil, err
	}
	if !seen["weight_map"] {
		return nil, invalid.Errorf("no %q", "weight_map")
	}
	if len(x.files) == 0 {
		return nil, invalid.Errorf("%q is empty", "weight_map")
	}
	return x, nil
}

// readMap reads the object of shards by tensor. A shard's name is stored once.
func (x *index) readMap(s *strictjson.Scanner) error {
	if k, err := s.Peek(); err != nil {
		return err
	} else if k != strictjson.KindObject {
		return invalid.Errorf("%q: %s instead of an object", "weight_map", k)
	}
	if err := s.ObjectStart(); err != nil {
		return err
	}
	x.files = make(map[string]string)
	shards := make(map[string]string)
	for {
		key, ok, err := s.Key()
		if err != nil || !ok {
			return err
		}
		tensor := string(key)
		if _, twice := x.files[tensor]; twice {
			return invalid.Errorf("%q: %q occurs twice", "weight_map", clip(tensor))
		}
		if k, err := s.Peek(); err != nil {
			return err
		} else if k != strictjson.KindString {
			return invalid.Errorf("%q: %q: %s instead of the name of a file", "weight_map", clip(tensor), k)
		}
		value, err := s.Str()
		if err != nil {
			return err
		}
		shard, known := shards[string(value)]
		if !known {
			shard = string(value)
			if why := badName(shard); why != "" {
				return invalid.Errorf("%q: %q: %q %s", "weight_map", clip(tensor), clip(shard), why)
			}
			shards[shard] = shard
		}
		x.files[tensor] = shard
	}
}

// badName says why a name in an index is refused. The index comes with the
// checkpoint: it must not reach out of the folder, nor to another kind of file.
func badName(name string) string {
	odd := func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`/\:`, r) }
	switch {
	case strings.ContainsFunc(name, odd) || strings.Contains(name, ".."):
		return "is not a plain file name"
	case !strings.HasSuffix(name, ".safetensors") || strings.HasPrefix(name, "."):
		return "is not the name of a .safetensors file"
	}
	return ""
}

// clip shortens a name from the checkpoint for a message: there is no bound to its
// length.
func clip(name string) string {
	if most := 200; len(name) > most {
		return strings.ToValidUTF8(name[:most], "") + "…"
	}
	return name
}

// shardNames returns the names of the files, sorted.
func (x *index) shardNames() []string {
	names := make(map[string]bool)
	for _, f := range x.files {
		names[f] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// checkIndex compares the index with the headers, both ways. Of several faults the
// first tensor by name is reported.
func (c *Checkpoint) checkIndex(x *index) error {
	if x == nil {
		return nil
	}
	var first string
	note := func(tensor string) {
		if first == "" || tensor < first {
			first = tensor
		}
	}
	for tensor, shard := range x.files {
		if r, ok := c.byName[tensor]; !ok || r.File.Name != shard {
			note(tensor)
		}
	}
	for r := range c.All() {
		if _, ok := x.files[r.Tensor.Name]; !ok {
			note(r.Tensor.Name)
		}
	}
	if first != "" {
		return c.disagreement(first, x)
	}
	if n := c.Bytes(); x.totalSize >= 0 && x.totalSize != n {
		c.Warnings = append(c.Warnings, fmt.Sprintf("%s: total_size is %d, the tensors have %d bytes", IndexName, x.totalSize, n))
	}
	return nil
}

// disagreement says how index and headers differ about a tensor.
func (c *Checkpoint) disagreement(tensor string, x *index) error {
	shard, listed := x.files[tensor]
	r, stored := c.byName[tensor]
	switch {
	case !listed:
		return invalid.Errorf("reading %q: tensor %q is not in %q", r.File.Name, clip(tensor), IndexName)
	case !stored:
		return invalid.Errorf("reading %q: tensor %q is not in %q, nor in another shard", IndexName, clip(tensor), shard)
	}
	return invalid.Errorf("reading %q: tensor %q is in %q, not in %q", IndexName, clip(tensor), r.File.Name, shard)
}
