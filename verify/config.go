package verify

import (
	"context"
	"fmt"
	"slices"

	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/internal/strictjson"
	"quern/internal/ui"
	"quern/store"
)

// generationName is compared beside config.json.
const generationName = "generation_config.json"

// free are the keys whose values a quantization changes, at any depth, and those that
// tell which program wrote the file. What quantization and dtype say is held against
// the tensors instead.
var free = map[string]bool{
	"quantization_config": true, "compression_config": true,
	"torch_dtype": true, "dtype": true, "expert_dtype": true,
	"transformers_version": true, "_name_or_path": true,
}

// configGate says whether config.json describes the tensors and, with a baseline,
// whether nothing else in it and in generation_config.json differs: the same weights
// under another rope_theta, scaling factor or end-of-sequence token are another model,
// and figures over a text, for which both are run alike, need not show it.
func configGate(f *found) Gate {
	if !f.cand.c.HasConfig {
		return skipped("config", "there is no "+hf.ConfigName)
	}
	t := tally{name: "config"}
	for _, line := range f.cand.declared() {
		t.fail("%s: %s", hf.ConfigName, line)
	}
	for _, line := range f.cand.declaredBeside() {
		t.fail("%s: %s", besideName, line)
	}
	expertDType(&t, f.cand)
	if f.base != nil && f.base.c.HasConfig {
		differences(&t, hf.ConfigName, &f.base.c.ConfigValue, &f.cand.c.ConfigValue)
		dtypes(&t, f.base, f.cand)
		generation(&t, f.base.c, f.cand.c)
	}
	return t.gate()
}

// differences notes where a file of the candidate differs from the baseline's.
func differences(t *tally, name string, base, cand *strictjson.Value) {
	for _, d := range strictjson.Diff(base, cand, func(key string) bool { return free[key] }, 2*maxFailures) {
		t.fail("%s: %s is %s, the baseline has %s", name, d.Path, d.B.Brief(), d.A.Brief())
	}
}

// generation compares generation_config.json.
func generation(t *tally, base, cand *hf.Checkpoint) {
	a, b := sideFile(base, generationName), sideFile(cand, generationName)
	switch {
	case a == nil && b == nil:
		return
	case a == nil:
		t.fail("%s: the baseline has no such file", generationName)
		return
	case b == nil:
		t.fail("%s: missing; the baseline has it", generationName)
		return
	}
	x, err := parseSide(base, a)
	if err != nil {
		t.fail("%s: of the baseline: %v", generationName, err)
		return
	}
	y, err := parseSide(cand, b)
	if err != nil {
		t.fail("%s: %v", generationName, err)
		return
	}
	differences(t, generationName, x, y)
}

// dtypeNames are the words of config.json for the dtypes of tensors.
var dtypeNames = map[string]string{"bfloat16": "BF16", "float16": "F16", "half": "F16", "float32": "F32", "float": "F32", "float64": "F64", "double": "F64"}

// dtypes notes a dtype field that is not the baseline's and names no dtype that the
// matrices have.
func dtypes(t *tally, base, cand *side) {
	for _, key := range []string{"torch_dtype", "dtype"} {
		v, was := cand.c.ConfigValue.Get(key), base.c.ConfigValue.Get(key)
		if v == nil || was != nil && v.Text == was.Text {
			continue
		}
		want, known := dtypeNames[v.Text]
		if !known || !slices.ContainsFunc(cand.tensors, func(t plan.Tensor) bool { return len(t.Shape) == 2 && t.DType.String() == want }) {
			t.fail("%s: %s is %s, which no matrix has; the baseline has %s", hf.ConfigName, key, v.Brief(), was.Brief())
		}
	}
}

// expertDType notes a word for the dtype of routed experts (DeepSeek-V4) that is another
// than theirs: what engines go by, not by the tensors.
func expertDType(t *tally, s *side) {
	v := s.c.ConfigValue.Get("expert_dtype")
	if v == nil || v.Kind == strictjson.KindNull {
		return
	}
	for i := range s.tensors {
		x := &s.tensors[i]
		if x.Meta.Role == model.RoutedExpert && x.Meta.Param == "weight" && x.Meta.Packed() != (v.Text == "fp4") {
			t.fail("%s: expert_dtype is %s, but %s is %s %v", hf.ConfigName, v.Brief(), x.Name, x.DType, x.Shape)
			return
		}
	}
}

// sideFile finds a side file by its name; nil if there is none.
func sideFile(c *hf.Checkpoint, name string) *hf.SideFile {
	for i := range c.Side {
		if c.Side[i].Name == name {
			return &c.Side[i]
		}
	}
	return nil
}

// maxSide bounds side files that are read whole. The largest tokenizers have 40 MB.
const maxSide = 512 << 20

// readSide reads a side file of c whole.
func readSide(c *hf.Checkpoint, f *hf.SideFile) ([]byte, error) {
	if f.Size > maxSide {
		return nil, fmt.Errorf("%s, more than is read", ui.Bytes(f.Size))
	}
	return store.ReadFile(context.Background(), c.Folder, f.Name, maxSide)
}

// parseSide reads a side file as JSON.
func parseSide(c *hf.Checkpoint, f *hf.SideFile) (*strictjson.Value, error) {
	raw, err := readSide(c, f)
	if err != nil {
		return nil, err
	}
	v, err := strictjson.Parse(raw, strictjson.Options{})
	return &v, err
}
