package runner_test

import (
	"context"
	"slices"
	"testing"

	"quern/runner"
)

func rows(t *testing.T, r *runner.Rows) []float32 {
	t.Helper()
	x, err := r.View(0, r.Len(), make([]float32, r.Len()*r.Width()))
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(x)
}

// An evaluation that goes on behind any layer ends as one that was not cut.
func TestResume(t *testing.T) {
	m := open(t, "testdata/models/deepseek_v3")
	texts := [][]int{{1, 2, 3, 4, 5}, {9}, {7, 7, 8}}
	var states [][]float32
	var layers []int
	whole, err := m.Evaluate(context.Background(), texts, runner.Options{Hooks: &runner.Hooks{Done: func(layer int, x *runner.Rows) error {
		layers = append(layers, layer)
		states = append(states, rows(t, x))
		return nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	if !slices.Equal(layers, []int{0, 1, 2, 3}) {
		t.Fatal(layers)
	}
	for layer := range m.Layers() + 1 {
		if layer == 0 {
			continue
		}
		for _, memory := range []int64{0, 1} {
			var seen []int
			ev, err := m.Evaluate(context.Background(), texts, runner.Options{
				Memory: memory, TempDir: t.TempDir(),
				Hooks: &runner.Hooks{Done: func(layer int, _ *runner.Rows) error {
					seen = append(seen, layer)
					return nil
				}},
				Resume: &runner.Resume{Layer: layer, Hidden: func(first int, x []float32) error {
					copy(x, states[layer-1][first*m.Hidden():])
					return nil
				}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(rows(t, ev.Hidden), rows(t, whole.Hidden)) || !slices.Equal(rows(t, ev.MTP), rows(t, whole.MTP)) {
				t.Errorf("resumed at layer %d: other states", layer)
			}
			if !slices.Equal(seen, layers[layer:]) {
				t.Errorf("resumed at layer %d: layers %v were run", layer, seen)
			}
			ev.Close()
		}
	}
}

// Rows that hooks see are of the tokens that Place says.
func TestPlace(t *testing.T) {
	m := open(t, "testdata/models/deepseek_v3")
	// Every token differs, so its embedding and its choice of experts tell it apart.
	texts := [][]int{{1, 2, 3, 4, 5}, {9}, {7, 6, 8}}
	flat := []int{1, 2, 3, 4, 5, 9, 7, 6, 8}
	starts := []int{0, 5, 6, 9}
	chose := map[int][]int32{} // by row, of layer 1
	first := map[int][]float32{}
	calls, routed := 0, 0
	ev, err := m.Evaluate(context.Background(), texts, runner.Options{Hooks: &runner.Hooks{
		Route: func(layer, at int, ids []int32, _ []float32, k int) {
			for i := 0; layer == 1 && i < len(ids)/k; i++ {
				chose[at+i] = slices.Clone(ids[i*k:][:k])
			}
		},
		Input: func(a *runner.Activations) {
			switch a.Modules[0] {
			case "model.layers.1.mlp.shared_experts.gate_proj":
				for r := range a.Rows {
					text, position := a.Place(r)
					first[starts[text]+position] = slices.Clone(a.X[r*a.Width:][:a.Width])
				}
			case "model.layers.1.mlp.experts.3.gate_proj", "model.layers.1.mlp.experts.0.gate_proj", "model.layers.1.mlp.experts.5.gate_proj":
				expert := int32(a.Modules[0][len("model.layers.1.mlp.experts.")] - '0')
				for r := range a.Rows {
					text, position := a.Place(r)
					row := starts[text] + position
					if !slices.Contains(chose[row], expert) {
						t.Errorf("token %d of text %d did not choose expert %d", position, text, expert)
					}
					if !slices.Equal(first[row], a.X[r*a.Width:][:a.Width]) {
						t.Errorf("expert %d: row %d is not of token %d of text %d", expert, r, position, text)
					}
					routed++
				}
			case "model.layers.3.eh_proj":
				for r := range a.Rows {
					text, position := a.Place(r)
					if position >= len(texts[text])-1 {
						t.Errorf("MTP sees token %d of text %d", position, text)
					}
					calls++
				}
			}
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ev.Close()
	if len(first) != len(flat) || calls != 6 || routed == 0 {
		t.Errorf("%d tokens, %d of MTP, %d of experts", len(first), calls, routed)
	}
}
