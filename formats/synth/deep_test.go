package synth

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/formats/hf"
	"quern/internal/tinyseek"
)

// A deeper model is always the same bytes, has what its config says, and is refused where
// there is no layer to copy.
func TestDeepen(t *testing.T) {
	dir := t.TempDir()
	from := filepath.Join(dir, "from")
	if err := tinyseek.Extract(from); err != nil {
		t.Fatal(err)
	}
	var weights [2][]byte
	for i := range weights {
		at := filepath.Join(dir, string(rune('a'+i)))
		if err := Deepen(at, from, 4); err != nil {
			t.Fatal(err)
		}
		var err error
		if weights[i], err = os.ReadFile(filepath.Join(at, "model.safetensors")); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(weights[0], weights[1]) {
		t.Error("the bytes of two deepened models differ")
	}
	old, err := hf.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	c, err := hf.Open(filepath.Join(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	// 61 tensors of a layer with experts: 9 of attention and norms, router and bias, 3 of
	// the shared expert and of each of 16.
	if n, want := c.Len(), old.Len()+4*(9+2+3*17); n != want {
		t.Errorf("%d tensors instead of %d", n, want)
	}
	for _, x := range []struct{ config, want string }{
		{`{"num_hidden_layers": 4, "first_k_dense_replace": 4}`, "4 layers behind 4, of which 4 are dense"},
		{`{"num_hidden_layers": "4", "first_k_dense_replace": 1}`, `"num_hidden_layers"`},
		{`[]`, "reading config.json"},
	} {
		bad := filepath.Join(dir, "bad")
		if err := os.MkdirAll(bad, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(bad, "config.json"), []byte(x.config), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := Deepen(filepath.Join(dir, "out"), bad, 4); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v", x.config, err)
		}
	}
	var fields map[string]any
	raw, err := os.ReadFile(filepath.Join(dir, "a", "config.json"))
	if err == nil {
		err = json.Unmarshal(raw, &fields)
	}
	if err != nil || fields["num_hidden_layers"] != 8.0 || fields["rope_theta"] != 10000.0 {
		t.Errorf("%v, %v", fields, err)
	}
}
