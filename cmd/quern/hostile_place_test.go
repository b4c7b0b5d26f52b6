//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// hostilePlaces are cases in which folders and files are not what they should
// be, or where they should be.
func hostilePlaces() []hostile {
	do := func(f func(dir string) error) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			if err := f(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	in := func(dir string, name ...string) string {
		return filepath.Join(append([]string{dir, "in"}, name...)...)
	}
	link := func(to string, name ...string) func(t *testing.T, dir string) {
		return do(func(dir string) error { return os.Symlink(to, in(dir, name...)) })
	}
	fifo := func(name string) func(t *testing.T, dir string) {
		return do(func(dir string) error { return unix.Mkfifo(in(dir, name), 0o644) })
	}
	write := func(dir, name, content string) error {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, []byte(content), 0o644)
	}
	chmod := func(mode os.FileMode, name ...string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			if os.Geteuid() == 0 {
				t.Skip("root may do everything")
			}
			path := filepath.Join(append([]string{dir}, name...)...)
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(path, 0o755) }) // so that it can be removed
		}
	}
	noWeights := folder{"model.safetensors": absent}
	q := func(args ...string) []string { return append([]string{"quantize", "--quiet"}, args...) }

	return []hostile{
		// The input.
		{name: "place/IN is not there", args: q("no-such-folder", "out"), say: []string{"no-such-folder"}},
		{name: "place/IN is a dangling link", say: []string{"in"}, prepare: do(func(dir string) error { return os.Symlink("nowhere", in(dir)) })},
		{name: "place/IN is a loop of links", say: []string{"in"}, prepare: do(func(dir string) error { return os.Symlink("in", in(dir)) })},
		{name: "place/IN is an empty folder", in: folder{}, say: []string{"in", "no config.json"}},
		{name: "place/IN is text", say: []string{`"in"`}, prepare: do(func(dir string) error { return write(dir, "in", "hello, this is no checkpoint at all") })},
		{name: "place/IN is a FIFO", say: []string{"in", "neither a folder nor a regular file"}, prepare: do(func(dir string) error { return unix.Mkfifo(in(dir), 0o644) })},
		{name: "place/IN is a device", args: q("/dev/zero", "out"), say: []string{"/dev/zero"}},
		{name: "place/IN has a hostile name", args: q("in\n\x1b[31mquern: fine", "out"), say: []string{`\x1b[31m`}},
		{name: "place/IN has a name that is too long", args: q(strings.Repeat("n", 1000), "out"), say: []string{"file name too long"}, code: exitFailed},
		{name: "place/no weights", in: with(noWeights), say: []string{"in", "no weights", "model.safetensors"}},
		{name: "place/weights of PyTorch", in: with(folder{"model.safetensors": absent, "pytorch_model.bin": "PK"}), say: []string{"no weights", "pytorch_model.bin"}},
		{name: "place/weights of llama.cpp", in: with(folder{"model.safetensors": absent, "model.gguf": "GGUF"}), say: []string{"no weights", "model.gguf"}},
		{name: "place/shards without an index", in: with(folder{"model.safetensors": absent, "a.safetensors": "a", "b.safetensors": "b"}), say: []string{"a.safetensors", "no model.safetensors.index.json"}},
		{name: "place/weights are a folder", in: with(noWeights), say: []string{"no weights"}, prepare: func(t *testing.T, dir string) { mkdir(t, in(dir, "model.safetensors")) }},
		{name: "place/weights are a FIFO", in: with(noWeights), say: []string{"no weights"}, prepare: fifo("model.safetensors")},
		{name: "place/weights are a dangling link", in: with(noWeights), say: []string{"model.safetensors", "leads nowhere"}, prepare: link("../blobs/1234", "model.safetensors")},
		{name: "place/weights are a loop of links", in: with(noWeights), say: []string{"model.safetensors"}, prepare: link("model.safetensors", "model.safetensors")},
		{name: "place/weights are a device", in: with(noWeights), say: []string{"no weights"}, prepare: link("/dev/zero", "model.safetensors")},
		{name: "place/config is a FIFO", in: with(folder{"config.json": absent}), say: []string{"no config.json"}, prepare: fifo("config.json")},
		{name: "place/config is a dangling link", in: with(folder{"config.json": absent}), say: []string{"config.json", "leads nowhere"}, prepare: link("nowhere", "config.json")},
		{name: "place/a side file is a dangling link", in: with(nil), say: []string{"tokenizer.json", "leads nowhere"}, prepare: link("nowhere", "tokenizer.json")},
		{name: "place/a side file has a hostile name", in: with(nil), say: []string{`\n\x1b[31mquern`, "leads nowhere"}, prepare: link("nowhere", "x\n\x1b[31mquern: fine")},
		{name: "place/weights may not be read", in: with(nil), say: []string{"model.safetensors", "permission denied"}, code: exitFailed, prepare: chmod(0, "in", "model.safetensors")},
		{name: "place/config may not be read", in: with(nil), say: []string{"config.json", "permission denied"}, code: exitFailed, prepare: chmod(0, "in", "config.json")},
		{name: "place/IN may not be read", in: with(nil), say: []string{"in", "permission denied"}, code: exitFailed, prepare: chmod(0, "in")},

		// The output.
		{name: "place/OUT may not be made", in: with(nil), say: []string{`"out"`, "permission denied"}, code: exitFailed, prepare: chmod(0o555, ".")},
		{name: "place/OUT is IN", in: with(nil), args: q("in", "in"), say: []string{`"in"`, "input folder"}, kept: true},
		{name: "place/OUT is IN by another name", in: with(nil), args: q("in", "other"), say: []string{`"other"`, "input folder"}, kept: true, prepare: do(func(dir string) error { return os.Symlink("in", filepath.Join(dir, "other")) })},
		{name: "place/OUT lies in IN", in: with(nil), args: q("in", "in/deep/out"), say: []string{"in/deep/out", "input folder"}, kept: true},
		{name: "place/OUT lies in IN by another name", in: with(nil), args: q("in", "other/out"), say: []string{"other/out", "input folder"}, prepare: do(func(dir string) error { return os.Symlink("in", filepath.Join(dir, "other")) })},
		{name: "place/IN lies in OUT", in: with(nil), args: q("in", "."), say: []string{`"."`}},
		{name: "place/OUT is a file", in: with(nil), say: []string{`"out"`, "not a folder"}, prepare: do(func(dir string) error { return write(dir, "out", "hello") })},
		{name: "place/OUT lies in a file", in: with(nil), args: q("in", "file/out"), say: []string{"file/out"}, code: exitFailed, prepare: do(func(dir string) error { return write(dir, "file", "hello") })},
		{name: "place/OUT is a device", in: with(nil), args: q("in", "/dev/null"), say: []string{"/dev/null"}},
		{name: "place/OUT is a dangling link", in: with(nil), say: []string{`"out"`}, code: exitFailed, prepare: do(func(dir string) error { return os.Symlink("no/where", filepath.Join(dir, "out")) })},
		{name: "place/OUT is someone's", in: with(nil), say: []string{`"out"`, "diary.txt", "choose another folder"}, kept: true, prepare: do(func(dir string) error { return write(dir, "out/diary.txt", "dear diary") })},
		{name: "place/OUT is someone's with a hostile name", in: with(nil), say: []string{`"out"`, `\x1b[31m`}, kept: true, prepare: do(func(dir string) error { return write(dir, "out/\x1b[31m\nquern: fine", "") })},
		{name: "place/OUT is another checkpoint", in: with(nil), say: []string{`"out"`, "not quern's"}, kept: true, prepare: do(func(dir string) error { return write(dir, "out/config.json", "{}") })},
		{name: "place/OUT is another run's", in: with(nil), say: []string{`"out"`, "another run", "--scale-fmt"}, kept: true, prepare: func(t *testing.T, dir string) {
			if r := quern(t, dir, "quantize", "--quiet", "--scale-fmt", "ue8m0", "in", "out"); r.code != 0 {
				t.Fatal(r.stderr)
			}
		}},
		{name: "place/OUT has a manifest that is none", in: with(nil), say: []string{`"out"`, "quern-manifest.json"}, kept: true, prepare: do(func(dir string) error { return write(dir, "out/quern-manifest.json", "{") })},
		{name: "place/OUT has another program's manifest", in: with(nil), say: []string{`"out"`, "quern-manifest.json"}, kept: true, prepare: do(func(dir string) error { return write(dir, "out/quern-manifest.json", "{}") })},
		{name: "place/OUT has an unfinished run of another plan", in: with(nil), say: []string{`"out"`, "unfinished run"}, kept: true, prepare: do(func(dir string) error {
			return write(dir, "out/quern-state.partial", `{"run":{"tool":"quern 0.0.1","command":"quantize","options":[],"input":{"files":[]},"plan":"","tensors":[]}}`+"\n")
		})},
		{name: "place/OUT has a state that is a folder", in: with(nil), say: []string{"quern-state.partial"}, code: exitFailed, prepare: func(t *testing.T, dir string) { mkdir(t, dir, "out", "quern-state.partial") }},
	}
}
