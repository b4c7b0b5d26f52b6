package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	indexFile  = "model.safetensors.index.json"
	lfsPointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 4\n"
	htmlPage   = "<!DOCTYPE html>\n<html><body>Please log in</body></html>"
)

// hostileIndexes are cases in which the index is broken, or does not fit.
func hostileIndexes() []hostile {
	var out []hostile
	raw := func(name, index string, say ...string) {
		out = append(out, hostile{name: "index/" + name, in: with(folder{indexFile: index}), say: append([]string{indexFile}, say...)})
	}
	maps := func(name, weightMap string, say ...string) {
		raw(name, `{"metadata": {"total_size": 33024}, "weight_map": {`+weightMap+"}}", say...)
	}
	both := func(shard string) string {
		name, err := json.Marshal(shard)
		if err != nil {
			panic(err)
		}
		return fmt.Sprintf("%q: %s, %q: %s", weight, name, norm, name)
	}
	const here = "model.safetensors"

	raw("empty", "", "empty")
	raw("cut", "{", "byte 1")
	raw("array", "[]", "an array instead of an object")
	raw("LFS pointer", lfsPointer, "git lfs pull")
	raw("HTML page", htmlPage, "HTML page")
	raw("no map", `{"metadata": {}}`, `no "weight_map"`)
	raw("map is empty", `{"weight_map": {}}`, "empty")
	raw("map is a list", `{"weight_map": []}`, `"weight_map": an array instead of an object`)
	raw("map is null", `{"weight_map": null}`, `"weight_map": null instead of an object`)
	raw("map twice", `{"weight_map": {`+both(here)+`}, "weight_map": {`+both(here)+"}}", `"weight_map" occurs twice`)
	raw("text behind it", `{"weight_map": {`+both(here)+"}} {}", "end of the text")
	raw("deep", `{"weight_map": {`+both(here)+`}, "x": `+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+"}", "nested")
	raw("invalid UTF-8", "{\"weight_map\": {\"\xff\": \"model.safetensors\"}}", "UTF-8")
	maps("names a number", fmt.Sprintf("%q: 1", weight), weight, "a number instead of the name of a file")
	maps("names null", fmt.Sprintf("%q: null", weight), weight, "null instead")
	maps("names a tensor twice", both(here)+", "+fmt.Sprintf("%q: %q", norm, here), norm, "occurs twice")
	maps("names a tensor that no shard has", both(here)+`, "model.ghost.weight": "model.safetensors"`, "model.ghost.weight")
	maps("lacks a tensor", fmt.Sprintf("%q: %q", weight, here), norm)
	maps("names a missing shard", fmt.Sprintf("%q: %q, %q: %q", weight, here, norm, "model-00002-of-00002.safetensors"), "model-00002-of-00002.safetensors")
	maps("names the parent folder", both("../model.safetensors"), "../model.safetensors", "not a plain file name")
	maps("names an absolute path", both("/etc/passwd"), "/etc/passwd", "not a plain file name")
	maps("names a sub-folder", both("sub/model.safetensors"), "not a plain file name")
	maps("names with a backslash", both(`..\model.safetensors`), "not a plain file name")
	maps("names with a line feed", both("a\nb.safetensors"), `"a\nb.safetensors"`, "not a plain file name")
	maps("names with an escape", both("\x1b[31m.safetensors"), `\x1b[31m`)
	maps("names a hidden file", both(".x.safetensors"), "not the name of a .safetensors file")
	maps("names the config", both("config.json"), "not the name of a .safetensors file")
	maps("names nothing", both(""), "not the name of a .safetensors file")
	maps("names with 100000 bytes", both(strings.Repeat("n", 100_000)+".safetensors"), "not in the folder")
	out = append(out,
		hostile{
			name: "index/a shard is a folder", in: with(folder{indexFile: `{"weight_map": {` + both("sub.safetensors") + "}}"}), say: []string{"sub.safetensors"},
			prepare: func(t *testing.T, dir string) { mkdir(t, dir, "in", "sub.safetensors") },
		},
		hostile{
			name: "index/a tensor in two shards", say: []string{"b.safetensors", weight, "a.safetensors"},
			in: folder{
				"config.json": goodConfig, "a.safetensors": string(goodFixture().file()), "b.safetensors": string(goodFixture()[:1].file()),
				indexFile: fmt.Sprintf(`{"weight_map": {%q: "a.safetensors", %q: "b.safetensors"}}`, norm, weight),
			},
		},
		hostile{
			name: "index/tensor in another shard than it says", say: []string{indexFile, weight, "a.safetensors", "b.safetensors"},
			in: folder{
				"config.json": goodConfig, "a.safetensors": string(goodFixture()[:1].file()), "b.safetensors": string(goodFixture()[1:].file()),
				indexFile: fmt.Sprintf(`{"weight_map": {%q: "a.safetensors", %q: "b.safetensors"}}`, norm, weight),
			},
		},
		hostile{
			name: "index/one shard broken", say: []string{`"b.safetensors"`, "empty"},
			in: folder{
				"config.json": goodConfig, "a.safetensors": string(goodFixture()[:1].file()), "b.safetensors": "",
				indexFile: fmt.Sprintf(`{"weight_map": {%q: "a.safetensors", %q: "b.safetensors"}}`, weight, norm),
			},
		},
		hostile{
			name: "index/400 MB of nothing", in: with(nil), say: []string{indexFile},
			prepare: func(t *testing.T, dir string) { hole(t, filepath.Join(dir, "in", indexFile), "{", 400_000_000) },
		},
		hostile{
			name: "index/400 GB of nothing", in: with(nil), say: []string{indexFile, "400000000000"},
			prepare: func(t *testing.T, dir string) { hole(t, filepath.Join(dir, "in", indexFile), "{", 400_000_000_000) },
		},
	)
	return out
}

// hostileConfigs are cases in which config.json is broken.
func hostileConfigs() []hostile {
	var out []hostile
	raw := func(name, config string, say ...string) {
		out = append(out, hostile{name: "config/" + name, in: with(folder{"config.json": config}), say: append([]string{"config.json"}, say...)})
	}
	// key replaces or adds a key of the good config.
	key := func(name, k, v string, say ...string) {
		config := goodConfig
		if i := strings.Index(config, `"`+k+`":`); i >= 0 {
			end := i + strings.IndexAny(config[i:], ",}")
			config = config[:i] + `"` + k + `": ` + v + config[end:]
		} else {
			config = `{"` + k + `": ` + v + "," + config[1:]
		}
		raw(name, config, append([]string{k}, say...)...)
	}
	raw("missing", absent, "no config.json")
	raw("empty", "", "empty")
	raw("not JSON", "{ not json", "byte 2")
	raw("array", "[]", "an array")
	raw("text", `"deepseek_v3"`, "a string")
	raw("null", "null", "null")
	raw("cut", goodConfig[:100], "without an end")
	raw("text behind it", goodConfig+"}", "end of the text")
	raw("LFS pointer", lfsPointer, "git lfs pull")
	raw("HTML page", htmlPage, "HTML page")
	raw("byte order mark", "\ufeff"+goodConfig, "byte order mark")
	raw("invalid UTF-8", `{"model_type": "`+"\xff"+`"}`, "UTF-8")
	raw("NaN", `{"rms_norm_eps": NaN}`, "NaN")
	raw("deep arrays", `{"a": `+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+"}", "nested")
	raw("deep objects", strings.Repeat(`{"a":`, 100_000)+"1"+strings.Repeat("}", 100_000), "nested")
	raw("key twice", `{"hidden_size": 1, "hidden_size": 128}`, `duplicate key "hidden_size"`)
	raw("hostile key twice", `{"\u001b[2J\n": 1, "\u001b[2J\n": 2}`, `\x1b[2J\n`)
	key("10^18 layers", "num_hidden_layers", "1000000000000000000", "1000000000000000000")
	key("2^63 layers", "num_hidden_layers", "9223372036854775808", "9223372036854775808")
	key("-1 layers", "num_hidden_layers", "-1", "-1")
	key("1.5 layers", "num_hidden_layers", "1.5", "1.5")
	key("layers as text", "num_hidden_layers", `"61"`, "a string instead of an integer")
	key("layers as an object", "num_hidden_layers", "{}", "an object instead of an integer")
	key("10^18 experts", "n_routed_experts", "1000000000000000000", "1000000000000000000")
	key("-4 experts", "n_routed_experts", "-4", "-4")
	key("more experts chosen than there are", "num_experts_per_tok", "5", "5 chosen of 4 experts")
	key("hidden size of 10^30", "hidden_size", "1000000000000000000000000000000", "hidden_size")
	key("negative hidden size", "hidden_size", "-5", "-5")
	key("negative vocabulary", "vocab_size", "-1", "-1")
	key("10^9 MTP layers", "num_nextn_predict_layers", "1000000000", "1000000000")
	key("infinite epsilon", "rms_norm_eps", "1e999", "rms_norm_eps")
	key("negative epsilon", "rms_norm_eps", "-1e-6", "-1e-6")
	key("type is a number", "model_type", "3", "3 instead of a string")
	key("architectures is text", "architectures", `"DeepseekV3ForCausalLM"`, "a string instead of a list of strings")
	key("architectures of numbers", "architectures", `[1]`, "architectures", "1 instead of a string")
	key("layer types of numbers", "layer_types", "[1, 2]", "1 instead of a string")
	key("MLP-only layers negative", "mlp_only_layers", "[-1]", "-1")
	key("text config is a list", "text_config", "[]", "text_config")
	key("tie is text", "tie_word_embeddings", `"no"`, "instead of true or false")
	key("rope scaling is text", "rope_scaling", `"yarn"`, "a string instead of an object")
	key("rope factor is text", "rope_scaling", `{"factor": "40"}`, "factor")
	key("quantization is a list", "quantization_config", "[]", "an array instead of an object")
	key("quantization method is a number", "quantization_config", `{"quant_method": 8}`, "quant_method", "8 instead of a string")
	key("tiles of nothing", "quantization_config", `{"weight_block_size": [0, 0]}`, "[0 0]")
	key("tiles of one side", "quantization_config", `{"weight_block_size": [128]}`, "[128]")
	key("negative tiles", "quantization_config", `{"weight_block_size": [-128, 128]}`, "-128")
	key("tiles of text", "quantization_config", `{"weight_block_size": ["a", "b"]}`, "weight_block_size")
	key("ignored modules of numbers", "quantization_config", `{"modules_to_not_convert": [1]}`, "modules_to_not_convert")
	out = append(out,
		hostile{
			name: "config/is a folder", in: with(folder{"config.json": absent}), say: []string{"no config.json"},
			prepare: func(t *testing.T, dir string) { mkdir(t, dir, "in", "config.json") },
		},
		hostile{
			name: "config/100 MB of nothing", in: with(folder{"config.json": absent}), say: []string{"config.json", "100000000 bytes"},
			prepare: func(t *testing.T, dir string) { hole(t, filepath.Join(dir, "in", "config.json"), "{", 100_000_000) },
		},
		// A tree takes many times the bytes of its text.
		hostile{
			name: "config/8 million numbers", heavy: true, in: with(folder{"config.json": `{"a": [` + strings.Repeat("0,", 8_000_000) + `0], "num_hidden_layers": -1}`}), say: []string{"config.json"},
		},
		hostile{
			name: "config/5 million arrays", heavy: true, in: with(folder{"config.json": `{"a": [` + strings.Repeat("[],", 5_000_000) + `[]], "num_hidden_layers": -1}`}), say: []string{"config.json"},
		},
		hostile{
			name: "config/400000 layers of nothing", in: with(folder{"config.json": strings.Replace(goodConfig, `"num_hidden_layers": 1,`, `"num_hidden_layers": 1, "layer_types": ["`+strings.Repeat(`x","`, 400_000)+`x"], "hidden_act": 7,`, 1)}),
			say: []string{"config.json", "hidden_act"},
		},
	)
	return out
}

func mkdir(t *testing.T, parts ...string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(parts...), 0o755); err != nil {
		t.Fatal(err)
	}
}

// hole makes a file of zeros that take no disk, but for its start.
func hole(t *testing.T, path, start string, size int64) {
	t.Helper()
	if err := os.WriteFile(path, []byte(start), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Skip("no files with holes here:", err)
	}
}
