package placement

import (
	"bytes"
	"errors"
	"testing"

	"quern/formats/safetensors"
	"quern/internal/invalid"
)

// placed places by an input of hostile origin, by every algorithm.
func placed(t *testing.T, in *Input) {
	t.Helper()
	// Work grows with the square of the experts, which a fuzzer has no use for.
	if in.Experts > 64 || len(in.Layers) > 4 {
		return
	}
	for _, c := range []Config{{Ranks: 1}, {Ranks: in.Experts}, {Ranks: 2, Nodes: 2, Redundant: in.Experts % 2}} {
		cmp, err := Compare(t.Context(), in, c)
		if err == nil {
			check(t, cmp.Placement)
			_, err = cmp.JSON()
		}
		if err != nil && !errors.Is(err, invalid.Input) && !errors.As(err, new(*UsageError)) {
			t.Fatal(err)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, s := range []string{
		`{"load": [[1, 2, 3], [3, 4, 5]], "layers": [3, 7]}`, `{"logical_count": [[[0, 0], [1, 2]], [[0, 0], [10, 20]]]}`,
		`{"load": [[0.5, 1e3]]}`, `{"load": [[1], [2, 3]]}`, `{"a": {"load": []}}`, `{"load": [[0, 0]]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseLoad(data)
		if err != nil {
			if !errors.Is(err, invalid.Input) {
				t.Fatal(err)
			}
			return
		}
		in, err := NewInput(c, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		placed(t, in)
	})
}

func FuzzTensors(f *testing.F) {
	f.Add(file(nil, i64("model.layers.0.expert_load", []int64{3}, 5, 6, 7), i64("model.layers.0.expert_pairs", []int64{3, 3}, 0, 1, 2, 1, 0, 3, 2, 3, 0)))
	f.Add(file(nil, i64("model.layers.0.expert_load", []int64{3}, 5, 6, 7), i64("model.layers.0.expert_pairs_sparse", []int64{1, 3}, 0, 1, 2)))
	f.Add(file(map[string]string{"experts": "4"}, i64("router.0.indices", []int64{12, 2}, choices(12, 0, 1, 2, 3)...), i64("offsets", []int64{2}, 0, 9)))
	f.Add(file(nil, ints{"router.0.indices", safetensors.I32, []int64{12, 2}, choices(12, 0, 1, 2, 3)}, i64("input_ids", []int64{13}, make([]int64, 13)...)))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := readTensors("fuzz", bytes.NewReader(data), int64(len(data)))
		if err != nil {
			if !errors.Is(err, invalid.Input) {
				t.Fatal(err)
			}
			return
		}
		counts, err := readCalibration(x)
		if err != nil && !errors.Is(err, invalid.Input) {
			t.Fatal(err)
		}
		if err != nil {
			counts = nil
		}
		trace, err := readTrace(x)
		if err != nil && !errors.Is(err, invalid.Input) {
			t.Fatal(err)
		}
		if err != nil {
			trace = nil
		}
		in, err := NewInput(counts, trace, 0)
		if err == nil {
			placed(t, in)
		} else if !errors.Is(err, invalid.Input) && !errors.As(err, new(*UsageError)) {
			t.Fatal(err)
		}
	})
}
