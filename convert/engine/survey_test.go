package engine_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"quern/convert"
	"quern/convert/engine"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/formats/synth"
	"quern/fp8"
	"quern/internal/blockio/faultfs"
	"quern/internal/invalid"
	"quern/scheme"
)

// grouped is tiny with columns that groups of 16 divide.
var grouped = sync.OnceValue(func() string {
	dir := filepath.Join(scratch, "grouped")
	v := synth.Tiny()
	v.Hidden, v.MoEInter, v.Layers, v.Dense, v.Experts, v.ShardBytes = 144, 80, 1, 0, 2, 120<<10
	if err := v.Write(dir); err != nil {
		panic(err)
	}
	return dir
})

// surveyed plans a quantization that begins with largest magnitudes.
func surveyed(t testing.TB, s *scheme.Scheme, in string, shard int64) (*hf.Checkpoint, *plan.Plan) {
	t.Helper()
	ck, err := hf.Open(in)
	if err != nil {
		t.Fatal(err)
	}
	p, err := convert.PlanQuantize(ck, convert.QuantizeOptions{Scheme: s, ShardSize: shard})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Surveys) == 0 {
		t.Fatal("no surveys")
	}
	return ck, p
}

// However memory, workers and files cut the work, the bytes are the same, and those
// that the scheme makes of each whole matrix.
func TestSchemesWhateverTheCut(t *testing.T) {
	for _, s := range []*scheme.Scheme{scheme.NVFP4, scheme.TensorFP8} {
		ck, p := surveyed(t, s, grouped(), tinyShard)
		want := outputs(t, convertTo(t, ck, p, filepath.Join(temp(t), "out"), quick))
		for i := range p.Tensors {
			if p.Tensors[i].Op.Quantizes() {
				codedWhole(t, ck, p, i, want)
			}
		}
		for _, shard := range []int64{1, 3 * tinyShard} {
			ck, p := surveyed(t, s, grouped(), shard)
			for _, workers := range []int{1, 5} {
				got := outputs(t, convertTo(t, ck, p, filepath.Join(temp(t), "out"), func(o *engine.Options) {
					quick(o)
					o.Workers, o.Memory = workers, engine.MinMemory(p)
				}))
				for name, raw := range want {
					if got[name] != raw {
						t.Errorf("%s, shards of %d, %d workers: %s differs", s.Name, shard, workers, name)
					}
				}
			}
		}
	}
}

// codedWhole holds the outputs of a coding against what the scheme makes of the matrix
// at once, with the largest magnitude of all in its survey.
func codedWhole(t *testing.T, ck *hf.Checkpoint, p *plan.Plan, i int, got map[string]string) {
	t.Helper()
	w := &p.Tensors[i]
	s, err := scheme.Find(w.Quant.Scheme)
	if err != nil {
		t.Fatal(err)
	}
	matrix := func(v *plan.View) fp8.Matrix {
		elem, _ := plan.Elem(v.DType)
		return fp8.Matrix{Data: viewBytes(t, ck, v), Elem: elem, Rows: int(v.Shape[0]), Cols: int(v.Shape[1]), Stride: int(v.Shape[1])}
	}
	job := scheme.Job{Params: w.Quant.Params, Rows: w.Source.Shape[0], Cols: w.Source.Shape[1]}
	for k := range p.Surveys {
		for n := range p.Surveys[k].Of {
			if p.Surveys[k].Name == w.Quant.Survey {
				most, _ := scheme.Amax(matrix(&p.Surveys[k].Of[n].Source))
				job.Amax = max(job.Amax, most)
			}
		}
	}
	coder, err := s.Coder(&job)
	if err != nil {
		t.Fatal(err)
	}
	part := scheme.Part{Rows: job.Rows, Cols: job.Cols}
	list := s.Outputs(job.Params, job.Rows, job.Cols)
	outs := make([][]byte, len(list))
	for n := range outs {
		outs[n] = make([]byte, list[n].Size(part))
	}
	if err := coder.Code(outs, part, matrix(&w.Source)); err != nil {
		t.Fatal(err)
	}
	links, err := p.Outputs(i)
	if err != nil {
		t.Fatal(err)
	}
	for n, k := range links {
		if list[n].Whole() {
			outs[n] = coder.Whole(n)
		}
		if got[p.Tensors[k].Name] != string(outs[n]) {
			t.Errorf("%s is not what the whole matrix gives", p.Tensors[k].Name)
		}
	}
}

// viewBytes reads a view of a checkpoint.
func viewBytes(t *testing.T, ck *hf.Checkpoint, v *plan.View) []byte {
	t.Helper()
	raw := tensorsOf(t, folder(t, filepath.Dir(ck.Files[v.File].Path))[ck.Files[v.File].Name])[v.Name]
	r, ok := ck.Lookup(v.Name)
	if !ok {
		t.Fatal(v.Name)
	}
	at := v.Offset - r.Tensor.Begin
	return []byte(raw[at : at+v.Bytes()])
}

// A run that was killed behind its surveys goes on without making them again, and to
// the same bytes; where the input was touched since, it looks again.
func TestSurveysAreResumed(t *testing.T) {
	ck, p := surveyed(t, scheme.TensorFP8, tiny(), 3*tinyShard)
	want := convertTo(t, ck, p, filepath.Join(temp(t), "out"), quick)
	out := filepath.Join(temp(t), "out")
	// The first shard has its surveys when its space is reserved and read; killed when
	// the first bytes of codes are written behind a header.
	fails := errors.New("killed")
	var writes atomic.Int64
	twice := func(set func(*engine.Options)) func(*engine.Options) {
		return func(o *engine.Options) {
			set(o)
			engine.ReadTwice(o) // what is kept until it is coded is in no state
		}
	}
	_, err := start(ck, p, out, twice(on(&faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
		if c.Kind == faultfs.Write && strings.Contains(filepath.Base(c.Name), ".safetensors") {
			if writes.Add(1) > 1 {
				return &faultfs.Fault{Err: fails}
			}
		}
		return nil
	}})))
	if !errors.Is(err, fails) {
		t.Fatal(err)
	}
	state := folder(t, out)[engine.StateName]
	if !strings.Contains(state, `"surveys":{`) {
		t.Fatalf("no surveys in the state: %s", state[:200])
	}
	full, err := start(ck, p, filepath.Join(temp(t), "full"), twice(quick))
	if err != nil {
		t.Fatal(err)
	}
	r, err := start(ck, p, out, twice(quick))
	if err != nil {
		t.Fatal(err)
	}
	sameFiles(t, "resumed", folder(t, out), want)
	if r.Read >= full.Read {
		t.Errorf("%d bytes were read, a run from the start reads %d: surveys were made again", r.Read, full.Read)
	}
	plain := int64(0)
	for i := range p.Tensors {
		if p.Tensors[i].Op != plan.ScaleOf && p.Tensors[i].Op != plan.Constant {
			plain += p.Tensors[i].Source.Bytes()
		}
	}
	surveys := int64(0)
	for i := range p.Surveys {
		for k := range p.Surveys[i].Of {
			surveys += p.Surveys[i].Of[k].Source.Bytes()
		}
	}
	if full.Read != plain+surveys || surveys > plain {
		t.Errorf("%d bytes were read: tensors have %d, surveys %d more", full.Read, plain, surveys)
	}
}

// Fused partners share what was found though they lie in two files of input and of
// output.
func TestSurveyAcrossFiles(t *testing.T) {
	const expert = "model.layers.0.mlp.experts.0."
	numbers := func(most float32) []byte {
		raw := make([]byte, 2*32*64)
		for i := 0; i < len(raw); i += 2 {
			binary.LittleEndian.PutUint16(raw[i:], fp8.BF16FromFloat32(most*float32(i%128)/127))
		}
		return raw
	}
	dir := temp(t)
	config := `{"model_type": "qwen3_moe", "architectures": ["Qwen3MoeForCausalLM"]}`
	index := `{"metadata": {}, "weight_map": {"` + expert + `gate_proj.weight": "model-00001-of-00002.safetensors", "` + expert + `up_proj.weight": "model-00002-of-00002.safetensors"}}`
	for name, text := range map[string]string{"config.json": config, "model.safetensors.index.json": index} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	writeWeights(t, filepath.Join(dir, "model-00001-of-00002.safetensors"), tensor{expert + "gate_proj.weight", safetensors.BF16, []int64{32, 64}, numbers(3)})
	writeWeights(t, filepath.Join(dir, "model-00002-of-00002.safetensors"), tensor{expert + "up_proj.weight", safetensors.BF16, []int64{32, 64}, numbers(5)})
	ck, p := surveyed(t, scheme.NVFP4, dir, 1)
	if len(p.Surveys) != 1 || len(p.Surveys[0].Of) != 2 || len(p.Shards) != 2 {
		t.Fatalf("%+v", p.Surveys)
	}
	got := outputs(t, convertTo(t, ck, p, filepath.Join(temp(t), "out"), quick))
	most := fp8.BF16ToFloat32(fp8.BF16FromFloat32(5 * float32(126) / 127))
	for _, part := range []string{"gate_proj", "up_proj"} {
		s := math.Float32frombits(binary.LittleEndian.Uint32([]byte(got[expert+part+".weight_scale_2"])))
		if s != most/2688 {
			t.Errorf("%s: %v, want %v", part, s, most/2688)
		}
	}
}

// A weight that is not finite is named when the survey meets it.
func TestSurveyMeetsNaN(t *testing.T) {
	raw := make([]byte, 2*32*64)
	binary.LittleEndian.PutUint16(raw[2*(3*64+7):], 0x7fc0)
	const name = "model.layers.0.mlp.experts.0.down_proj.weight"
	dir := checkpoint(t, `{"model_type": "qwen3_moe", "architectures": ["Qwen3MoeForCausalLM"]}`, tensor{name, safetensors.BF16, []int64{32, 64}, raw})
	ck, p := surveyed(t, scheme.NVFP4, dir, 0)
	_, err := engine.Run(context.Background(), p, convert.EngineOptions(ck, filepath.Join(temp(t), "out"), convert.RunOptions{}))
	if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "row 3, column 7") {
		t.Errorf("%v", err)
	}
}

// Matrices whose survey fits memory are read once, others a second time; the bytes that
// are written are the same.
func TestSurveysReadOnce(t *testing.T) {
	for _, s := range []*scheme.Scheme{scheme.NVFP4, scheme.TensorFP8} {
		ck, p := surveyed(t, s, grouped(), 0)
		var once, coded int64
		for i := range p.Tensors {
			x := &p.Tensors[i]
			if x.Op != plan.ScaleOf && x.Op != plan.Constant {
				once += x.Source.Bytes()
			}
			if x.Op.Quantizes() {
				coded += x.Source.Bytes()
			}
		}
		run := func(memory int64, twice bool) (int64, map[string]string) {
			dir := filepath.Join(temp(t), "out")
			r, err := start(ck, p, dir, func(o *engine.Options) {
				quick(o)
				if o.Memory = memory; twice {
					engine.ReadTwice(o)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			return r.Read, outputs(t, folder(t, dir))
		}
		read, want := run(256<<20, false)
		if read != once {
			t.Errorf("%s: %d bytes were read of %d, %d of them coded", s.Name, read, once, coded)
		}
		again, got := run(engine.MinMemory(p), true)
		if again != once+coded {
			t.Errorf("%s: %d bytes were read twice of %d, %d of them coded", s.Name, again, once, coded)
		}
		for name, raw := range want {
			if got[name] != raw {
				t.Errorf("%s: %s differs", s.Name, name)
			}
		}
		t.Logf("%s: %d of input, %d coded, %d and %d read", s.Name, once, coded, read, again)
	}
}
