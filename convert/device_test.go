package convert_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"quern/convert"
	"quern/formats/hf"
	"quern/fp8"
	"quern/gpu"
)

// Every device of the machine writes the bytes that the processor writes, manifest
// included, plain and searched.
func TestDevices(t *testing.T) {
	c, err := hf.Open("testdata/tiles/deepseek_v3")
	if err != nil {
		t.Fatal(err)
	}
	write := func(o convert.QuantizeOptions, d gpu.Device) map[string][]byte {
		t.Helper()
		p, err := convert.PlanQuantize(c, o)
		if err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(t.TempDir(), "out")
		if _, err := convert.Run(context.Background(), c, p, out, convert.RunOptions{Device: d}); err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{}
		entries, err := os.ReadDir(out)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			raw, err := os.ReadFile(filepath.Join(out, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			files[e.Name()] = raw
		}
		return files
	}
	list, absent := gpu.List()
	found := 0
	for _, l := range list {
		if l.Kind == "cpu" || l.Refused != nil {
			continue
		}
		found++
		d, err := l.Open(gpu.Options{ChunkBytes: 1 << 16, Slots: 2})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range []convert.QuantizeOptions{{}, {UE8M0: true}, {Search: fp8.SearchMSE}, {UE8M0: true, Search: fp8.SearchMSE}} {
			want, got := write(o, nil), write(o, gpu.WithFallback(d, func(line string) { t.Error(line) }))
			for name, raw := range want {
				if !bytes.Equal(raw, got[name]) {
					t.Errorf("%s, %+v: %s differs", l.Name, o, name)
				}
			}
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if found == 0 {
		t.Skip("no device but the processor:", absent)
	}
}
