package shard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"quern/convert/plan"
	"quern/shard/placement"
)

// Reading is what ranks read of a regrouped checkpoint. Bytes are those of whole
// files.
type Reading struct {
	Bytes       int64    `json:"bytes"`        // of all files
	CommonBytes int64    `json:"common_bytes"` // of those that every rank reads
	CommonFiles []string `json:"common_files"`
	Ranks       []Rank   `json:"by_rank"`
}

// Rank is what one rank reads.
type Rank struct {
	Rank  int      `json:"rank"`
	Files []string `json:"files"` // beside the common ones
	Bytes int64    `json:"bytes"` // those of the common files included
}

// Most is the bytes of the rank that reads the most.
func (r *Reading) Most() int64 {
	n := int64(0)
	for _, k := range r.Ranks {
		n = max(n, k.Bytes)
	}
	return n
}

// reading sums up the files of p, in their order, by reader.
func reading(p *plan.Plan, files []file, ranks int) Reading {
	r := Reading{CommonFiles: []string{}, Ranks: make([]Rank, ranks)}
	for i := range r.Ranks {
		r.Ranks[i] = Rank{Rank: i, Files: []string{}}
	}
	for i := range files {
		s := &p.Shards[i]
		r.Bytes += s.Size
		if files[i].readers == nil {
			r.CommonBytes += s.Size
			r.CommonFiles = append(r.CommonFiles, s.Name)
		}
		for _, k := range files[i].readers {
			r.Ranks[k].Bytes += s.Size
			r.Ranks[k].Files = append(r.Ranks[k].Files, s.Name)
		}
	}
	for i := range r.Ranks {
		r.Ranks[i].Bytes += r.CommonBytes
	}
	return r
}

// beside gives p the maps of the placement. Engines find experts that were renumbered
// by index, so then there is only the map that says which were which. The maps as
// safetensors are quern place's business: beside weights such a file would be taken
// for some.
func (r *Result) beside(p *plan.Plan) error {
	written, shown := *r.Comparison, *r.Placement
	shown.Notes = nil // they name files of this machine
	written.Placement = &shown
	files, notes, err := written.Files()
	if err != nil {
		return err
	}
	// Of an earlier regrouping none of these is true any longer.
	p.Input.Side = slices.DeleteFunc(slices.Clone(p.Input.Side), func(f plan.SideFile) bool {
		return slices.Contains(placement.FileNames(), f.Name)
	})
	p.Beside = slices.DeleteFunc(p.Beside, func(f plan.File) bool { return slices.Contains(placement.FileNames(), f.Name) })
	for _, f := range files {
		switch {
		case f.Name == placement.TensorName:
		case f.Name == placement.JSONName:
			data, err := r.extend(f.Data)
			if err != nil {
				return err
			}
			p.Beside = append(p.Beside, plan.File{Name: f.Name, Data: string(data)})
		case !r.Baked:
			p.Beside = append(p.Beside, plan.File{Name: f.Name, Data: string(f.Data)})
		}
	}
	if !r.Baked {
		p.Notes = append(p.Notes, notes...)
	}
	return nil
}

// extend adds to the placement's JSON who reads which file, a line each.
func (r *Result) extend(raw []byte) ([]byte, error) {
	end := []byte("\n}\n")
	if !bytes.HasSuffix(raw, end) {
		return nil, fmt.Errorf("%s: it does not end as expected", placement.JSONName)
	}
	b := bytes.NewBuffer(bytes.TrimSuffix(raw, end))
	field := func(name string, x any) error {
		line, err := json.Marshal(x)
		fmt.Fprintf(b, ",\n  %q: %s", name, line)
		return err
	}
	if err := field("baked", r.Baked); err != nil {
		return nil, err
	}
	if err := field("bytes", r.Bytes); err != nil {
		return nil, err
	}
	if err := field("common_bytes", r.CommonBytes); err != nil {
		return nil, err
	}
	if err := field("common_files", r.CommonFiles); err != nil {
		return nil, err
	}
	b.WriteString(",\n  \"by_rank\": [")
	for i, k := range r.Ranks {
		line, err := json.Marshal(k)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, "\n    %s", line)
	}
	b.WriteString("\n  ]")
	b.Write(end)
	return b.Bytes(), nil
}
