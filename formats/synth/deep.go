package synth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"quern/formats/safetensors"
)

// Deepen writes into dir, which it creates, the checkpoint of the folder from with so many
// more layers behind its last one, before those of multi-token prediction. The new layers
// are copies of the old ones with experts in turn, but what they add to the hidden states,
// o_proj and every down_proj, is 0: the model says what it said, and the drafts of its MTP
// layer are as good as they were, while all else costs as much as that many layers do. Such
// a model shows what drafting is worth when the MTP layer is a small part of the whole. Names
// are DeepSeek-V3's. The same folder always gives the same bytes.
func Deepen(dir, from string, layers int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	config, err := os.ReadFile(filepath.Join(from, "config.json"))
	if err != nil {
		return err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(config, &fields); err != nil {
		return fmt.Errorf("reading config.json: %w", err)
	}
	var depth, dense int
	for key, n := range map[string]*int{"num_hidden_layers": &depth, "first_k_dense_replace": &dense} {
		if err := json.Unmarshal(fields[key], n); err != nil {
			return fmt.Errorf("reading config.json: %q: %w", key, err)
		}
	}
	if layers < 0 || dense >= depth {
		return fmt.Errorf("%d layers behind %d, of which %d are dense: there is none with experts to copy", layers, depth, dense)
	}
	fields["num_hidden_layers"] = json.RawMessage(strconv.Itoa(depth + layers))
	if config, err = json.MarshalIndent(fields, "", "  "); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644); err != nil {
		return err
	}
	if err := copyBeside(dir, from); err != nil {
		return err
	}
	d := &deepening{depth: depth, dense: dense, layers: layers}
	if err := d.read(from); err != nil {
		return err
	}
	return d.write(filepath.Join(dir, "model.safetensors"))
}

// copyBeside copies the files beside weights and config: the tokenizer and texts.
func copyBeside(dir, from string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || name == "config.json" || strings.Contains(name, ".safetensors") {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// deepening is a checkpoint that is being deepened.
type deepening struct {
	depth, dense, layers int

	tensors []safetensors.Tensor
	data    [][]byte // nil: zeros
}

// read takes the tensors of all files and lays out those to write.
func (d *deepening) read(from string) error {
	paths, err := filepath.Glob(filepath.Join(from, "*.safetensors"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		h, err := safetensors.ReadHeader(bytes.NewReader(raw), int64(len(raw)), safetensors.Limits{})
		if err != nil {
			return fmt.Errorf("reading %q: %w", path, err)
		}
		for _, t := range h.Tensors {
			d.place(t, raw[h.DataOffset+t.Begin:h.DataOffset+t.End])
		}
	}
	return nil
}

// place puts a tensor where it belongs, and its copies into the new layers.
func (d *deepening) place(t safetensors.Tensor, data []byte) {
	const prefix = "model.layers."
	rest, ok := strings.CutPrefix(t.Name, prefix)
	number, part, _ := strings.Cut(rest, ".")
	layer, err := strconv.Atoi(number)
	if !ok || err != nil || layer < d.depth {
		d.add(t.Name, t, data)
	} else {
		d.add(fmt.Sprint(prefix, layer+d.layers, ".", part), t, data) // multi-token prediction
	}
	if !ok || err != nil || layer < d.dense || layer >= d.depth {
		return
	}
	if strings.HasSuffix(part, "o_proj.weight") || strings.HasSuffix(part, "down_proj.weight") {
		data = nil
	}
	for n := layer - d.dense; n < d.layers; n += d.depth - d.dense {
		d.add(fmt.Sprint(prefix, d.depth+n, ".", part), t, data)
	}
}

func (d *deepening) add(name string, t safetensors.Tensor, data []byte) {
	d.tensors = append(d.tensors, safetensors.Tensor{Name: name, DType: t.DType, Shape: t.Shape})
	d.data = append(d.data, data)
}

func (d *deepening) write(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	most := 0
	for i := range d.tensors {
		n, err := safetensors.SizeOf(d.tensors[i].DType, d.tensors[i].Shape)
		if err != nil {
			return err
		}
		most = max(most, int(n))
	}
	zeros := make([]byte, most)
	err = safetensors.Write(f, d.tensors, map[string]string{"format": "pt"}, func(i int, w io.Writer) error {
		data := d.data[i]
		if data == nil {
			n, err := safetensors.SizeOf(d.tensors[i].DType, d.tensors[i].Shape)
			if err != nil {
				return err
			}
			data = zeros[:n]
		}
		_, err := w.Write(data)
		return err
	})
	if err != nil {
		return fmt.Errorf("writing %q: %w", path, err)
	}
	return f.Close()
}
