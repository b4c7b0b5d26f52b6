package hf

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"quern/formats/model"
	"quern/internal/invalid"
	"quern/internal/strictjson"
	"quern/store"
)

// Bounds of JSON files. A config is a few KiB, with the modules that are not
// quantized some MiB; an index has about 120 bytes for each tensor: that of Kimi-K3
// with its half a million 60 MB.
const (
	maxConfig = 16 << 20
	maxIndex  = 256 << 20
)

// readConfig reads config.json.
func (c *Checkpoint) readConfig(ctx context.Context, l *listing) error {
	if !l.top[ConfigName] && l.top[paramsName] {
		return c.nativeLayout()
	}
	if !l.top[ConfigName] {
		if l.top[ManifestName] && c.madeWithoutConfig(ctx) {
			return nil
		}
		return invalid.Errorf("%s: no %s; give the .safetensors file itself to read it without one", c.Dir, ConfigName)
	}
	return c.parseConfig(ctx, ConfigName, l)
}

// parseConfig reads a config that may have another name, and what may lie beside it.
func (c *Checkpoint) parseConfig(ctx context.Context, name string, l *listing) error {
	data, err := c.readSmall(ctx, name, maxConfig)
	if err != nil {
		return err
	}
	v, err := strictjson.Parse(data, strictjson.Options{NonFinite: true}) // Python's writers put no null for them
	if err != nil {
		return reading(name, err)
	}
	c.Config, err = model.ParseConfig(&v)
	if err != nil {
		return reading(name, err)
	}
	c.ConfigRaw, c.ConfigValue, c.HasConfig = data, v, true
	c.readQuantization(ctx, l)
	return nil
}

// madeWithoutConfig reports whether the manifest says that its folder was made from a
// single file, which had no config.json: its output has none either.
func (c *Checkpoint) madeWithoutConfig(ctx context.Context) bool {
	f, err := c.Folder.Open(ctx, ManifestName)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	d := json.NewDecoder(io.NewSectionReader(f, 0, f.Size()))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return false
	}
	for d.More() { // what it says of its input stands before the list of tensors
		key, err := d.Token()
		if err != nil || key == "tensors" {
			return false
		}
		if key != "input" {
			var skip json.RawMessage
			if d.Decode(&skip) != nil {
				return false
			}
			continue
		}
		var input struct {
			Files  []struct{ Name string } `json:"files"`
			Config string                  `json:"config"`
		}
		return d.Decode(&input) == nil && len(input.Files) == 1 && input.Config == ""
	}
	return false
}

// QuantizationNames are the files in which exporters describe a quantization beside
// or instead of config.json: modelopt, GPTQ and AWQ, msmodelslim. Of another form of
// the checkpoint they say nothing true.
var QuantizationNames = []string{"hf_quant_config.json", "quantize_config.json", "quant_config.json", "quant_model_description.json"}

// readQuantization reads what such a file says where config.json says nothing. A
// file that is no such description is a remark: the tensors speak for themselves.
func (c *Checkpoint) readQuantization(ctx context.Context, l *listing) {
	for _, name := range QuantizationNames {
		if !l.top[name] || c.Config.Quant != nil {
			continue
		}
		data, err := c.readSmall(ctx, name, maxConfig)
		var v strictjson.Value
		if err == nil {
			v, err = strictjson.Parse(data, strictjson.Options{NonFinite: true})
		}
		if err == nil {
			c.Config.Quant, err = model.ParseQuantization(&v)
		}
		if err != nil {
			c.Warnings = append(c.Warnings, fmt.Sprintf("%s is not read: %v", name, err))
		}
	}
}

// readSmall reads a JSON file whole. What is often found in its place is named.
func (c *Checkpoint) readSmall(ctx context.Context, name string, most int64) ([]byte, error) {
	data, err := store.ReadFile(ctx, c.Folder, name, most)
	if err != nil {
		return nil, notFound(name, err)
	}
	if what := instead(data); what != "" {
		return nil, invalid.Errorf("reading %q: %s", name, what)
	}
	return data, nil
}

// instead recognises what downloads leave in place of a JSON file.
func instead(data []byte) string {
	start := bytes.ToLower(bytes.TrimLeft(data[:min(len(data), 256)], " \t\r\n"))
	switch {
	case len(data) == 0:
		return "the file is empty"
	case bytes.HasPrefix(start, []byte("version https://git-lfs")):
		return "a Git LFS pointer, not the file itself; run \"git lfs pull\""
	case bytes.HasPrefix(start, []byte("<!doctype html")), bytes.HasPrefix(start, []byte("<html")):
		return "an HTML page, not the file itself; download it again"
	}
	return ""
}
