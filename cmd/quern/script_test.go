package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"

	"quern/convert/manifest"
	"quern/formats/hf"
	"quern/formats/synth"
	"quern/internal/tinyseek"
	"quern/internal/ui"
)

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"tinyseek":   scriptTinyseek,
			"kimi":       scriptKimi,
			"synth":      scriptSynth,
			"checkpoint": scriptCheckpoint,
			"exits":      scriptExits,
			"json":       scriptJSON,
			"plain":      scriptPlain,
			"narrow":     scriptNarrow,
			"ascii":      scriptASCII,
			"events":     scriptEvents,
			"unfinish":   scriptUnfinish,
			"digests":    scriptDigests,
			"dtype":      scriptDType,
			"poke":       scriptPoke,
			"lastline":   scriptLastLine,
			"nothing":    scriptNothing,
			"evil":       scriptEvil,
			"s3":         scriptS3,
			"fetch":      scriptFetch,
		},
	})
}

func must(ts *testscript.TestScript, err error) {
	if err != nil {
		ts.Fatalf("%v", err)
	}
}

func want(ts *testscript.TestScript, neg bool, args []string, n int, usage string) {
	if neg || len(args) < n {
		ts.Fatalf("usage: %s", usage)
	}
}

// tinyseek DIR: the embedded model.
func scriptTinyseek(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "tinyseek DIR")
	must(ts, tinyseek.Extract(ts.MkAbs(args[0])))
}

// kimiFiles are the tokenizer that formats/tokenizer is tested with. Scripts run in
// folders of their own, tests in that of their package.
var kimiFiles, _ = filepath.Abs(filepath.Join("..", "..", "formats", "tokenizer", "testdata", "kimi"))

// kimi DIR: a tiktoken.model and its tokenizer_config.json.
func scriptKimi(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "kimi DIR")
	for _, name := range []string{"tiktoken.model", "tokenizer_config.json"} {
		raw, err := os.ReadFile(filepath.Join(kimiFiles, name))
		must(ts, err)
		must(ts, os.WriteFile(filepath.Join(ts.MkAbs(args[0]), name), raw, 0o644))
	}
}

// synth DIR: a checkpoint of DeepSeek-V3's shape, 1.4 MB in 8 files.
func scriptSynth(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "synth DIR")
	must(ts, synth.Tiny().Write(ts.MkAbs(args[0])))
}

// checkpoint FILE LIST: a safetensors file of the tensors in LIST, one a line:
// name, dtype, dimensions, and with = a fill (see fixture_test.go).
func scriptCheckpoint(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "checkpoint FILE LIST")
	list, err := parseFixture(ts.ReadFile(args[1]))
	must(ts, err)
	path := ts.MkAbs(args[0])
	must(ts, os.MkdirAll(filepath.Dir(path), 0o755))
	must(ts, os.WriteFile(path, list.file(), 0o644))
}

// exits CODE COMMAND…: exec that wants an exit code.
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "exits CODE COMMAND…")
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	if e := (*exec.ExitError)(nil); errors.As(err, &e) {
		code = e.ExitCode()
	} else {
		must(ts, err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
	if code == 0 {
		return
	}
	// Whatever went wrong, the last line says so, and nothing else claims to.
	lines := strings.Split(strings.TrimSuffix(ts.ReadFile("stderr"), "\n"), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "quern: ") != (i == len(lines)-1) {
			ts.Fatalf("an error must be the last line and one line: %q", lines)
		}
	}
}

// json FILE PATH [VALUE]: the value at a path of keys and indices is there, and
// is VALUE. A list or object is named by its length.
func scriptJSON(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, false, args, 2, "[!] json FILE PATH [VALUE]")
	var x any
	must(ts, json.Unmarshal([]byte(ts.ReadFile(args[0])), &x))
	ok := true
	for _, key := range strings.Split(args[1], ".") {
		switch at := x.(type) {
		case map[string]any:
			x, ok = at[key]
		case []any:
			i, err := strconv.Atoi(key)
			if ok = err == nil && i < len(at); ok {
				x = at[i]
			}
		default:
			ok = false
		}
		if !ok {
			break
		}
	}
	got := fmt.Sprint(x)
	switch v := x.(type) {
	case float64:
		got = strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		got = fmt.Sprintf("[%d]", len(v))
	case map[string]any:
		got = fmt.Sprintf("{%d}", len(v))
	}
	if len(args) > 2 {
		ok = ok && got == args[2]
	}
	if ok == neg {
		ts.Fatalf("%s is %s (there: %t)", args[1], got, ok)
	}
}

// plain FILE…: no control codes but line feeds.
func scriptPlain(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "plain FILE…")
	for _, a := range args {
		s := ts.ReadFile(a)
		if i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }); i >= 0 {
			ts.Fatalf("%s has a control code: %q", a, s[max(0, i-40):min(len(s), i+40)])
		}
	}
}

// narrow FILE [COLUMNS]: no line has more than 100 columns, or as many, or ends in spaces.
func scriptNarrow(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "narrow FILE [COLUMNS]")
	columns := ui.Columns
	if len(args) > 1 {
		var err error
		columns, err = strconv.Atoi(args[1])
		must(ts, err)
	}
	for l := range strings.Lines(ts.ReadFile(args[0])) {
		l = strings.TrimSuffix(l, "\n")
		if n := utf8.RuneCountInString(l); n > columns || strings.TrimRight(l, " ") != l {
			ts.Fatalf("%d columns: %q", n, l)
		}
	}
}

// ascii FILE: nothing beyond ASCII, and no control codes but line feeds.
func scriptASCII(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "ascii FILE")
	s := ts.ReadFile(args[0])
	if i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' && r != '\n' || r >= 0x7f }); i >= 0 {
		ts.Fatalf("%s: %q", args[0], s[max(0, i-40):min(len(s), i+40)])
	}
}

// events FILE NAME: each line is an event, and one of them of this name.
func scriptEvents(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "events FILE NAME")
	found := false
	for l := range strings.Lines(ts.ReadFile(args[0])) {
		var e struct{ Event string }
		must(ts, json.Unmarshal([]byte(l), &e))
		if e.Event == "" {
			ts.Fatalf("no event: %s", l)
		}
		found = found || e.Event == args[1]
	}
	if !found {
		ts.Fatalf("no event %s", args[1])
	}
}

// unfinish DIR: an output as a kill leaves it behind its second file.
func scriptUnfinish(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "unfinish DIR")
	dir := ts.MkAbs(args[0])
	m, err := manifest.Decode([]byte(ts.ReadFile(filepath.Join(dir, manifest.Name))))
	must(ts, err)
	tensors := map[string][]manifest.Tensor{}
	for _, t := range m.Tensors {
		tensors[t.File] = append(tensors[t.File], t)
	}
	files := slices.Sorted(maps.Keys(tensors))
	run := *m
	run.Tensors, run.Content = nil, nil
	lines := []any{map[string]any{"run": run, "shards": files}}
	for _, f := range files[:2] {
		lines = append(lines, map[string]any{"shard": f, "tensors": tensors[f]})
	}
	var state []byte
	for _, l := range lines {
		raw, err := json.Marshal(l)
		must(ts, err)
		state = append(append(state, raw...), '\n')
	}
	for _, f := range append(files[2:], manifest.Name, "config.json", "model.safetensors.index.json") {
		must(ts, os.Remove(filepath.Join(dir, f)))
	}
	must(ts, os.WriteFile(filepath.Join(dir, "quern-state.partial"), state, 0o644))
}

// digests A B: the manifests of two folders have the same tensors.
func scriptDigests(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, false, args, 2, "[!] digests A B")
	read := func(dir string) map[string]string {
		m, err := manifest.Decode([]byte(ts.ReadFile(filepath.Join(dir, manifest.Name))))
		must(ts, err)
		out := map[string]string{}
		for _, t := range m.Tensors {
			out[t.Name] = fmt.Sprint(t.DType, t.Shape, t.BLAKE3)
		}
		return out
	}
	a, b := read(args[0]), read(args[1])
	diff := ""
	for name := range a {
		if a[name] != b[name] {
			diff = name
		}
	}
	if same := diff == "" && len(a) == len(b); same == neg {
		ts.Fatalf("%d and %d tensors, %q differs", len(a), len(b), diff)
	}
}

// dtype CKPT TENSOR DTYPE|none: a tensor is there and has this dtype.
func scriptDType(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 3, "dtype CKPT TENSOR DTYPE")
	c, err := hf.Open(ts.MkAbs(args[0]))
	must(ts, err)
	got := "none"
	if r, ok := c.Lookup(args[1]); ok {
		got = r.Tensor.DType.String()
	}
	if got != args[2] {
		ts.Fatalf("%s is %s, want %s", args[1], got, args[2])
	}
}

// poke CKPT TENSOR OFFSET BYTE…: other bytes in a tensor.
func scriptPoke(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 4, "poke CKPT TENSOR OFFSET BYTE…")
	c, err := hf.Open(ts.MkAbs(args[0]))
	must(ts, err)
	r, ok := c.Lookup(args[1])
	if !ok {
		ts.Fatalf("no tensor %s", args[1])
	}
	at, err := strconv.ParseInt(args[2], 0, 64)
	must(ts, err)
	var raw []byte
	for _, a := range args[3:] {
		b, err := strconv.ParseUint(a, 0, 8)
		must(ts, err)
		raw = append(raw, byte(b))
	}
	f, err := os.OpenFile(r.File.Path, os.O_WRONLY, 0)
	must(ts, err)
	_, err = f.WriteAt(raw, r.File.Header.DataOffset+r.Tensor.Begin+at)
	must(ts, err)
	must(ts, f.Close())
}

// lastline FILE NAME: the last line of FILE without its first word, as $NAME.
func scriptLastLine(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "lastline FILE NAME")
	lines := strings.Split(strings.TrimSuffix(ts.ReadFile(args[0]), "\n"), "\n")
	_, value, _ := strings.Cut(lines[len(lines)-1], " ")
	ts.Setenv(args[1], value)
}

// nothing DIR: a folder is empty.
func scriptNothing(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "nothing DIR")
	list, err := os.ReadDir(ts.MkAbs(args[0]))
	must(ts, err)
	if len(list) > 0 {
		ts.Fatalf("%s holds %s", args[0], list[0].Name())
	}
}

// evil DIR: a checkpoint whose tensors have names that do harm where they are
// printed, or taken for paths.
func scriptEvil(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "evil DIR")
	f := goodFixture()
	f = append(f, tensor("model.layers.0.\x1b[31m\nquern: fine.weight", f[0].dtype, []int64{128, 128}, 0x3f80))
	f = append(f, tensor("../../etc/passwd", f[0].dtype, []int64{128, 128}, 0x3f80))
	dir := ts.MkAbs(args[0])
	must(ts, os.MkdirAll(dir, 0o755))
	const config = `{"model_type": "a\nquern: fine\u001b[2J", "architectures": ["b\r\u001b[0m"], "quantization_config": {"quant_method": "c\nquern: fine\u001b[31m"}}`
	must(ts, os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o644))
	must(ts, os.WriteFile(filepath.Join(dir, "model.safetensors"), f.file(), 0o644))
}
