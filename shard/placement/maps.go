package placement

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"

	"quern/formats/safetensors"
	"quern/internal/blake3"
	"quern/store"
)

// Names of the files that hold a placement.
const (
	JSONName   = "quern-placement.json"
	TensorName = "quern-placement.safetensors"
)

// File is a file in the making.
type File struct {
	Name string
	Data []byte
}

// FileNames are the names of all files that a placement may have.
func FileNames() []string {
	names := []string{JSONName, TensorName}
	for _, e := range engines {
		names = append(names, e.file)
	}
	return names
}

// Files are the files of a placement: its maps with what was measured, and the forms
// that engines read. Notes say which of those cannot be written and why. JSONName
// comes last: where it is, the others are.
func (c *Comparison) Files() (files []File, notes []string, err error) {
	p := c.Placement
	tensors, err := p.tensors()
	if err != nil {
		return nil, nil, err
	}
	files = append(files, File{TensorName, tensors})
	for _, e := range engines {
		data, why := e.write(p)
		if why != "" {
			notes = append(notes, fmt.Sprintf("no %s: %s", e.file, why))
			continue
		}
		files = append(files, File{e.file, data})
	}
	with, noted := *c, *p
	noted.Notes = append(slices.Clone(p.Notes), notes...)
	with.Placement = &noted
	raw, err := with.json(files)
	if err != nil {
		return nil, nil, err
	}
	return append(files, File{JSONName, raw}), notes, nil
}

// width is the largest number of replicas of an expert.
func (p *Placement) width() int {
	n := 1
	for i := range p.Layers {
		for _, slots := range p.Layers[i].Log2Phy {
			n = max(n, len(slots))
		}
	}
	return n
}

// padded is the slots of an expert, filled up with −1.
func padded(slots []int, width int) []int {
	out := make([]int, width)
	for i := range out {
		if out[i] = -1; i < len(slots) {
			out[i] = slots[i]
		}
	}
	return out
}

// tensors writes the maps as tensors of I64, as EPLB returns them: phy2log [layers,
// slots], log2phy [layers, experts, replicas] filled up with −1, logcnt [layers,
// experts], and layers [layers], their numbers.
func (p *Placement) tensors() ([]byte, error) {
	l, e, w := int64(len(p.Layers)), int64(p.Shape.Experts), p.width()
	list := []safetensors.Tensor{
		{Name: "layers", DType: safetensors.I64, Shape: []int64{l}},
		{Name: "log2phy", DType: safetensors.I64, Shape: []int64{l, e, int64(w)}},
		{Name: "logcnt", DType: safetensors.I64, Shape: []int64{l, e}},
		{Name: "phy2log", DType: safetensors.I64, Shape: []int64{l, int64(p.Slots)}},
	}
	metadata := map[string]string{
		"format": "pt", "algorithm": string(p.Config.Algorithm), "ranks": strconv.Itoa(p.Config.Ranks),
		"nodes": strconv.Itoa(p.Config.Nodes), "groups": strconv.Itoa(p.Config.Groups),
	}
	var b bytes.Buffer
	err := safetensors.Write(&b, list, metadata, func(i int, out io.Writer) error {
		var row []byte
		put := func(list ...int) {
			for _, x := range list {
				row = appendI64(row, x)
			}
		}
		for k := range p.Layers {
			layer := &p.Layers[k]
			switch list[i].Name {
			case "layers":
				put(layer.Number)
			case "log2phy":
				for _, slots := range layer.Log2Phy {
					put(padded(slots, w)...)
				}
			case "logcnt":
				put(layer.Copies()...)
			default:
				put(layer.Phy2Log...)
			}
		}
		_, err := out.Write(row)
		return err
	})
	return b.Bytes(), err
}

func appendI64(b []byte, x int) []byte {
	u := uint64(int64(x))
	return append(b, byte(u), byte(u>>8), byte(u>>16), byte(u>>24), byte(u>>32), byte(u>>40), byte(u>>48), byte(u>>56))
}

// JSON writes the placement and what was measured, a row of a map on a line: what
// quern-placement.json holds and the command prints.
func (c *Comparison) JSON() ([]byte, error) { return c.json(nil) }

// json is JSON with the digests of files that lie beside it.
func (c *Comparison) json(files []File) ([]byte, error) {
	p := c.Placement
	w := &object{}
	mean := c.Mean[p.Config.Algorithm]
	w.field("tool", tool)
	w.field("algorithm", p.Config.Algorithm)
	w.field("experts", p.Shape.Experts)
	w.field("slots", p.Slots)
	w.field("ranks", p.Config.Ranks)
	w.field("nodes", p.Config.Nodes)
	w.field("groups", p.Config.Groups)
	w.field("redundant", p.Config.Redundant)
	w.field("tolerance", p.Config.Tolerance)
	w.field("balance", known(mean.Balance))
	w.field("fanout", mean.Fanout)
	w.field("node_fanout", mean.NodeFanout)
	w.field("measured", c.Split)
	w.field("mean", table(c.Mean))
	w.field("layers", p.Shape.Layers)
	w.field("layers_numbered", !p.Shape.Unnumbered)
	w.field("mtp_layers", append([]int{}, p.Shape.MTP...))
	w.field("notes", append([]string{}, p.Notes...))
	width := p.width()
	rows := func(name string, row func(l *Layer) any) {
		list := make([]any, len(p.Layers))
		for i := range p.Layers {
			list[i] = row(&p.Layers[i])
		}
		w.rows(name, list)
	}
	rows("made_by", func(l *Layer) any { return l.By })
	rows("phy2log", func(l *Layer) any { return l.Phy2Log })
	rows("log2phy", func(l *Layer) any {
		list := make([][]int, len(l.Log2Phy))
		for e, slots := range l.Log2Phy {
			list[e] = padded(slots, width)
		}
		return list
	})
	rows("logcnt", func(l *Layer) any { return l.Copies() })
	rows("experts_of_rank", func(l *Layer) any {
		list := make([][]int, p.Config.Ranks)
		for r := range list {
			list[r] = p.OfRank(l, r)
		}
		return list
	})
	list := make([]any, len(c.Metrics))
	for i, m := range c.Metrics {
		list[i] = struct {
			Layer int `json:"layer"`
			inTable
		}{p.Layers[i].Number, table(m)}
	}
	w.rows("metrics", list)
	if files != nil {
		digests := map[string]string{}
		for _, f := range files {
			digests[f.Name] = f.digest()
		}
		w.field("files", digests)
	}
	return w.end()
}

// tool names the program in files.
const tool = "quern"

func (f File) digest() string { return fmt.Sprintf("%x", blake3.Sum256(f.Data)) }

// maxMaps bounds files of maps that are read back: those of DeepSeek-V3 on 320 slots
// have some megabytes.
const maxMaps = 1 << 30

// Wrote reports whether a file of a folder is one that [Comparison.Files] made: the JSON
// says so itself and has the digests of the others, whose form is that of engines.
func Wrote(dir, name string) bool {
	var said struct {
		Tool  string            `json:"tool"`
		Files map[string]string `json:"files"`
	}
	folder, ctx := store.Local(nil, dir), context.Background()
	raw, err := store.ReadFile(ctx, folder, JSONName, maxMaps)
	if err != nil || json.Unmarshal(raw, &said) != nil || said.Tool != tool {
		return false
	}
	if name == JSONName {
		return true
	}
	data, err := store.ReadFile(ctx, folder, name, maxMaps)
	return err == nil && said.Files[name] == File{name, data}.digest()
}

// inTable is what was measured of the algorithms, in JSON.
type inTable struct {
	Contiguous shown `json:"contiguous"`
	EPLB       shown `json:"eplb"`
	Quern      shown `json:"quern"`
}

type shown struct {
	Balance    *float64 `json:"balance"`
	Fanout     *float64 `json:"fanout"`
	NodeFanout *float64 `json:"node_fanout"`
}

func table(m map[Algorithm]Metrics) inTable {
	show := func(a Algorithm) shown {
		x := m[a]
		return shown{known(x.Balance), x.Fanout, x.NodeFanout}
	}
	return inTable{show(Contiguous), show(EPLB), show(Quern)}
}

// known is nil for a balance that is not known.
func known(balance float64) *float64 {
	if balance == 0 {
		return nil
	}
	return &balance
}

// object writes an object field by field, with the rows of tables on lines of their
// own.
type object struct {
	b   bytes.Buffer
	err error
}

func (o *object) value(x any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(x); err != nil && o.err == nil {
		o.err = err
	}
	return bytes.TrimSpace(b.Bytes())
}

func (o *object) key(name string) {
	if o.b.Len() == 0 {
		o.b.WriteString("{\n")
	} else {
		o.b.WriteString(",\n")
	}
	fmt.Fprintf(&o.b, "  %q: ", name)
}

func (o *object) field(name string, x any) {
	o.key(name)
	o.b.Write(o.value(x))
}

func (o *object) rows(name string, rows []any) {
	o.key(name)
	o.b.WriteString("[")
	for i, row := range rows {
		if i > 0 {
			o.b.WriteString(",")
		}
		o.b.WriteString("\n    ")
		o.b.Write(o.value(row))
	}
	o.b.WriteString("\n  ]")
}

func (o *object) end() ([]byte, error) {
	o.b.WriteString("\n}\n")
	return o.b.Bytes(), o.err
}
