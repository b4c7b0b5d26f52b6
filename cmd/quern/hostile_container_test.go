package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/formats/safetensors"
)

// The checkpoint that cases break: one small matrix and one norm.
const (
	weight     = "model.layers.0.mlp.gate_proj.weight"
	norm       = "model.norm.weight"
	goodConfig = `{"model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"], "hidden_size": 128,
"num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 32, "n_routed_experts": 4, "num_experts_per_tok": 2,
"first_k_dense_replace": 1, "intermediate_size": 128, "moe_intermediate_size": 64, "kv_lora_rank": 16, "q_lora_rank": 16,
"qk_rope_head_dim": 16, "qk_nope_head_dim": 16, "v_head_dim": 16, "rms_norm_eps": 1e-6, "torch_dtype": "bfloat16"}`
)

func goodFixture() fixture {
	return fixture{
		tensor(weight, safetensors.BF16, []int64{128, 128}, noise(safetensors.BF16, 1)...),
		tensor(norm, safetensors.BF16, []int64{128}, 0x3f80),
	}
}

// with is the good checkpoint with other files.
func with(files folder) folder {
	out := folder{"config.json": goodConfig, "model.safetensors": string(goodFixture().file())}
	for name, content := range files {
		if content == absent {
			delete(out, name)
			continue
		}
		out[name] = content
	}
	return out
}

// absent as the content of a file means that it is not there.
const absent = "\x00absent"

// containers are cases in which model.safetensors is the broken file.
func hostileContainers() []hostile {
	data := string(goodFixture()[0].data)
	size := len(data)
	good := entry(weight, "BF16", []int{128, 128}, 0, size)
	var out []hostile
	file := func(name, content string, say ...string) {
		out = append(out, hostile{name: "file/" + name, in: with(folder{"model.safetensors": content}), say: append([]string{`"model.safetensors"`}, say...)})
	}
	header := func(name, json, data string, say ...string) {
		file(name, string(container(json, []byte(data))), say...)
	}
	length := func(n uint64, rest string) string { return string(binary.LittleEndian.AppendUint64(nil, n)) + rest }

	// The frame.
	file("empty", "", "empty")
	file("seven bytes", "\x00\x00\x00\x00\x00\x00\x00", "7 bytes")
	file("header longer than the file", length(1<<20, "{"+good+"}"), "1048576", "truncated")
	file("header of 2^64-1 bytes", length(1<<64-1, "{}"), "18446744073709551615")
	file("header of 2^63 bytes", length(1<<63, "{}"), "9223372036854775808")
	file("header above the limit", length(100_000_001, strings.Repeat("{", 64)), "100000001")
	file("header of no bytes", length(0, data), "header length 0")
	file("cut in the header", string(container("{"+good+"}", []byte(data)))[:40], "truncated")
	file("cut in the data", string(container("{"+good+"}", []byte(data[2:]))), weight, "truncated")
	file("bytes after the data", string(container("{"+good+"}", []byte(data+"xx"))), "2 bytes after the last tensor")
	file("LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:"+strings.Repeat("0", 64)+"\nsize 4\n", "git lfs pull")
	file("HTML page", strings.Repeat("<!doctype html><html><body>Not found</body></html>", 4), "HTML page")
	file("XML error", `<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>`, "XML document")
	file("GGUF", "GGUF\x03\x00\x00\x00"+strings.Repeat("\x00", 64), "GGUF")
	file("zip", "PK\x03\x04"+strings.Repeat("\x00\xff", 64), "zip archive")
	file("zeros", strings.Repeat("\x00", 4096), "header length 0")

	// JSON.
	header("text", "this is not json", "", "begins with")
	header("array", "[]", "", "begins with")
	header("space before the object", " {"+good+"}", data, "begins with")
	header("byte order mark", "\ufeff{"+good+"}", data, "begins with")
	header("cut object", "{"+good, data, "byte ")
	header("comma at the end", "{"+good+",}", data, "comma")
	header("single quotes", "{'a':1}", "", "double quotes")
	header("text after the object", "{"+good+"} {}", data, "only spaces may follow")
	header("zeros after the object", "{"+good+"}\x00\x00", data, "only spaces may follow")
	header("comment", "{/*"+good+"*/}", data, "byte 1")
	header("deep arrays", `{"a":`+strings.Repeat("[", 200_000)+strings.Repeat("]", 200_000)+"}", "", `"a"`)
	header("deep objects", strings.Repeat(`{"a":`, 200_000)+"1"+strings.Repeat("}", 200_000), "", `"a"`)
	header("deep metadata", `{"__metadata__":`+strings.Repeat(`{"a":`, 100_000)+"1"+strings.Repeat("}", 100_001), "", "__metadata__")
	header("metadata is a list", `{"__metadata__":["a"],`+good+"}", data, "__metadata__")
	header("metadata with a number", `{"__metadata__":{"a":1},`+good+"}", data, "__metadata__", `"a"`)
	header("metadata twice", `{"__metadata__":{},"__metadata__":{},`+good+"}", data, "__metadata__ occurs twice")
	header("metadata with a key twice", `{"__metadata__":{"a":"1","a":"2"},`+good+"}", data, `duplicate key "a"`)
	header("invalid UTF-8", "{\"\xff\xfe\":"+good[len(weight)+3:]+"}", data, "UTF-8")
	header("unpaired surrogate", `{"\ud800`+good[1:]+"}", data, "surrogate")
	header("line feed in a name", "{\"a\nb"+good[1:]+"}", data, "control")

	// Entries.
	header("name twice", "{"+good+","+good+"}", data, weight, "twice")
	header("name twice by escapes", "{"+good+`,"\u006d`+good[2:]+"}", data, weight, "twice")
	header("no name", `{"":`+good[len(weight)+3:]+"}", data, "without a name")
	header("name too long", "{"+entry(strings.Repeat("n", 4097), "BF16", []int{128, 128}, 0, size)+"}", data, "4097 bytes")
	header("entry is a number", `{"a":1}`, "", `"a"`)
	header("entry is null", `{"a":null}`, "", `"a"`)
	header("entry is empty", `{"a":{}}`, "", `"a"`, "dtype is missing")
	header("no shape", `{"a":{"dtype":"U8","data_offsets":[0,1]}}`, "x", `"a"`, "shape is missing")
	header("no offsets", `{"a":{"dtype":"U8","shape":[1]}}`, "x", `"a"`, "data_offsets are missing")
	header("key twice", `{"a":{"dtype":"F32","dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, "x", `"a"`, `duplicate key "dtype"`)
	header("keys in another case", `{"a":{"DTYPE":"U8","Shape":[1],"data_offsets":[0,1]}}`, "x", `"a"`, `unknown key "DTYPE"`)
	header("key too many", `{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"stride":[1]}}`, "x", `"a"`, `unknown key "stride"`)
	header("unknown dtype", "{"+entry(weight, "F7_X", []int{128, 128}, 0, size)+"}", data, weight, `unknown dtype "F7_X"`)
	header("dtype in another case", "{"+entry(weight, "bf16", []int{128, 128}, 0, size)+"}", data, weight, `unknown dtype "bf16"`)
	header("dtype is a number", `{"a":{"dtype":8,"shape":[1],"data_offsets":[0,1]}}`, "x", `"a"`, "dtype")
	header("hostile dtype", `{"a":{"dtype":"\u001b[31mU8\n","shape":[1],"data_offsets":[0,1]}}`, "x", `"a"`, `\x1b[31m`)

	// Shapes.
	shape := func(name, s string, say ...string) {
		header("shape "+name, fmt.Sprintf(`{%q:{"dtype":"BF16","shape":%s,"data_offsets":[0,%d]}}`, weight, s, size), data, append([]string{weight}, say...)...)
	}
	shape("overflows", "[9223372036854775808,2]", "overflows")
	shape("overflows to zero", "[4294967296,4294967296]", "overflows")
	shape("overflows beside a zero", "[4611686018427387904,4611686018427387904,0]", "overflows")
	shape("is beyond 2^64", "[100000000000000000000000000000]", "2^64")
	shape("is negative", "[-128,-128]", `"-128"`)
	shape("is a fraction", "[128.0,128.5]", `"128.0"`)
	shape("has an exponent", "[1e2,128]", `"1e2"`)
	shape("has a leading zero", "[0128,128]", "leading zero")
	shape("is text", `["128","128"]`, "integer")
	shape("is a number", "16384", "shape")
	shape("is null", "null", "shape")
	shape("has 9 dimensions", "[128,128,1,1,1,1,1,1,1]", "8 dimensions")
	shape("has 100000 dimensions", "["+strings.Repeat("1,", 99_999)+"1]", "8 dimensions")
	shape("is smaller than the data", "[128,127]", "32768 bytes, but BF16 [128 127] has 32512")
	shape("is larger than the data", "[128,129]", "32768 bytes, but BF16 [128 129] has 33024")
	header("packed elements that fill no byte", `{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}`, "xx", `"a"`, "12 bits")

	// Offsets.
	offsets := func(name, s string, say ...string) {
		header("offsets "+name, fmt.Sprintf(`{%q:{"dtype":"BF16","shape":[128,128],"data_offsets":%s}}`, weight, s), data, append([]string{weight}, say...)...)
	}
	offsets("reversed", "[32768,0]", "the end is before the beginning")
	offsets("negative", "[-8,32760]", `"-8"`)
	offsets("as text", `["0","32768"]`, "integer")
	offsets("as fractions", "[0.0,32768.0]", `"0.0"`)
	offsets("beyond the file", "[32768,65536]", "beyond the end")
	offsets("beyond 2^63", "[0,18446744073709551615]", "beyond the end")
	offsets("beyond 2^64", "[0,18446744073709551616]", "2^64")
	offsets("alone", "[32768]", "begin and end")
	offsets("three", "[0,32768,32768]", "two numbers")
	offsets("null", "null", "data_offsets")
	header("hole in front", "{"+entry(weight, "BF16", []int{128, 128}, 8, size+8)+"}", "12345678"+data, weight, "a hole")
	header("hole between", "{"+good+","+entry("z", "U8", []int{4}, size+4, size+8)+"}", data+"12345678", `"z"`, "a hole")
	header("overlap", "{"+good+","+entry("z", "BF16", []int{2}, size-2, size+2)+"}", data+"xx", `"z"`, "overlaps", weight)
	header("alias", "{"+good+","+entry("z", "BF16", []int{128, 128}, 0, size)+"}", data, "overlaps", weight)
	header("empty tensor within another", "{"+good+","+entry("z", "BF16", []int{0}, 100, 100)+"}", data, `"z"`)

	// Names that come back in messages.
	evil := `"\u001b[31m\nquern: all is well\u0007\u202e` + strings.Repeat("n", 500)
	header("hostile name", "{"+evil+`":{"dtype":"U8","shape":[2],"data_offsets":[0,1]}}`, "x", `\x1b[31m\nquern`)

	return append(out, largeHeaders()...)
}

// Headers that are large enough to hurt whoever reads before checking.
func largeHeaders() []hostile {
	write := func(t *testing.T, path string, size int64, pieces func(w func(string))) {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		n := int64(0)
		w := func(s string) {
			m, err := f.WriteString(s)
			if err != nil {
				t.Fatal(err)
			}
			n += int64(m)
		}
		pieces(w)
		if size > n {
			if err := f.Truncate(size); err != nil { // a hole: zeros that take no disk
				t.Fatal(err)
			}
		}
	}
	const limit = 100_000_000
	length := string(binary.LittleEndian.AppendUint64(nil, limit))
	large := func(name string, pieces func(w func(string)), say ...string) hostile {
		return hostile{
			name: "file/" + name, heavy: true, in: with(folder{"model.safetensors": absent}), say: append([]string{`"model.safetensors"`}, say...),
			prepare: func(t *testing.T, dir string) {
				write(t, filepath.Join(dir, "in", "model.safetensors"), 8+limit, pieces)
			},
		}
	}
	return []hostile{
		large("large header of nothing", func(w func(string)) { w(length + "{") }, "byte 1"),
		large("large header of braces", func(w func(string)) {
			w(length)
			for range limit / 1_000_000 {
				w(strings.Repeat("{", 1e6))
			}
		}, "double quotes"),
		large("large name", func(w func(string)) {
			w(length + `{"`)
			for range 90 {
				w(strings.Repeat("n", 1e6))
			}
			w(`":{}}`)
		}, "90000000 bytes"),
		large("a million tensors and a fault", func(w func(string)) {
			w(length + "{")
			for i := range 10_000 {
				var b strings.Builder
				for k := range 100 {
					fmt.Fprintf(&b, `"t%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},`, i*100+k)
				}
				w(b.String())
			}
			w(`"t5":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`)
		}, "only spaces may follow"), // the zeros behind it
		{
			name: "file/many large headers", heavy: true, in: with(folder{"model.safetensors": absent}), say: []string{"00001-of-00008"},
			prepare: func(t *testing.T, dir string) {
				var entries []string
				for i := range 8 {
					name := fmt.Sprintf("model-%05d-of-00008.safetensors", i+1)
					entries = append(entries, fmt.Sprintf(`"t%d": %q`, i, name))
					write(t, filepath.Join(dir, "in", name), 8+limit, func(w func(string)) { w(length + "{") })
				}
				index := `{"weight_map": {` + strings.Join(entries, ",") + "}}"
				if err := os.WriteFile(filepath.Join(dir, "in", "model.safetensors.index.json"), []byte(index), 0o644); err != nil {
					t.Fatal(err)
				}
			},
		},
	}
}
