package runner

import (
	"errors"
	"math"
	"testing"

	"quern/formats/model"
	"quern/internal/invalid"
)

func near(got, want float64) bool { return math.Abs(got-want) <= 2e-6*math.Abs(want) }

// Published configs with the values that follow from YaRN's formulas, computed
// independently.
func TestRopeVectors(t *testing.T) {
	yarn := func(theta, factor float64, fast, slow float64) model.Rope {
		return model.Rope{Type: "yarn", Theta: theta, Factor: factor, OriginalMax: 4096, BetaFast: fast, BetaSlow: slow}
	}
	deepseek := yarn(1e4, 40, 32, 1)
	deepseek.MScale, deepseek.MScaleAll = 1, 1
	lite := deepseek
	lite.MScale, lite.MScaleAll = 0.707, 0.707
	k32, k64 := yarn(5e4, 32, 1, 1), yarn(5e4, 64, 1, 1)
	k32.MScale, k32.MScaleAll, k64.MScale, k64.MScaleAll = 1, 1, 1, 1
	oss := yarn(1.5e5, 32, 32, 1)
	oss.NoTruncate = true
	for _, x := range []struct {
		name   string
		rope   model.Rope
		latent bool
		inv    map[int]float64
		factor float64 // of cosine and sine
		scale  float64 // of 1/√192
	}{
		{"V3", deepseek, true, map[int]float64{0: 1, 8: 0.1, 10: 5.623413e-2, 12: 2.687936e-2, 16: 5.5e-3, 20: 7.905694e-4, 23: 3.333804e-5, 24: 2.5e-5, 31: 3.333804e-6}, 1, 0.1352337789},
		{"V2-Lite", lite, true, map[int]float64{16: 5.5e-3}, 1, 0.1147213868},
		{"K2, 32", k32, true, map[int]float64{8: 6.687403e-2, 20: 3.614047e-5, 31: 8.764413e-7}, 1, 0.1308608000},
		{"K2, 64", k64, true, map[int]float64{8: 6.687403e-2, 20: 1.807023e-5, 31: 4.382206e-7}, 1, 0.1446796258},
		{"gpt-oss", oss, false, map[int]float64{8: 5.081327e-2, 16: 4.564839e-4, 31: 3.023511e-7}, 1.3465735903, 0},
	} {
		c := &model.Config{QKRopeHeadDim: 64, HeadDim: 64}
		r, err := newRope(c, x.rope, &family{latent: x.latent}, 64)
		if err != nil {
			t.Fatal(x.name, err)
		}
		for i, want := range x.inv {
			if got := float64(r.inverse[i]); !near(got, want) {
				t.Errorf("%s: frequency %d is %g, want %g", x.name, i, got, want)
			}
		}
		if !near(r.factor, x.factor) {
			t.Errorf("%s: factor %g, want %g", x.name, r.factor, x.factor)
		}
		if got := float64(softmaxScale(192) * r.scale); x.latent && !near(got, x.scale) {
			t.Errorf("%s: scale %.10g, want %.10g", x.name, got, x.scale)
		}
	}
}

func TestRopeTypes(t *testing.T) {
	c := &model.Config{HeadDim: 8, MaxPositions: 64}
	plain, err := newRope(c, model.Rope{Theta: 100}, &family{}, 8)
	if err != nil {
		t.Fatal(err)
	}
	linear, err := newRope(c, model.Rope{Theta: 100, Type: "linear", Factor: 4}, &family{}, 8)
	if err != nil {
		t.Fatal(err)
	}
	for i := range plain.inverse {
		if want := math.Pow(100, -float64(i)/4); !near(float64(plain.inverse[i]), want) || !near(float64(linear.inverse[i]), want/4) {
			t.Errorf("%d: %g, %g", i, plain.inverse[i], linear.inverse[i])
		}
	}
	// Long wavelengths are stretched, short ones stay, those between are between.
	l3, err := newRope(&model.Config{HeadDim: 128}, model.Rope{Theta: 5e5, Type: "llama3", Factor: 8, LowFreq: 1, HighFreq: 4, OriginalMax: 8192}, &family{}, 128)
	if err != nil {
		t.Fatal(err)
	}
	for i := range l3.inverse {
		f := math.Pow(5e5, -2*float64(i)/128)
		got := float64(l3.inverse[i])
		switch wave := 2 * math.Pi / f; {
		case wave < 8192/4 && !near(got, f), wave > 8192 && !near(got, f/8), got > f*(1+1e-6) || got < f/8*(1-1e-6):
			t.Errorf("%d: %g of %g", i, got, f)
		}
	}
	partial, err := newRope(c, model.Rope{PartialRotaryFactor: 0.5}, &family{}, 8)
	if err != nil || partial.dims() != 4 {
		t.Error(partial, err)
	}
	for _, bad := range []model.Rope{
		{Type: "dynamic-ntk", Factor: 2},
		{Type: "longrope", ShortMScale: 1, OriginalMax: 8, ShortFactor: []float64{1}},
		{Type: "yarn"},
		{Type: "linear", Factor: -1},
		{Type: "llama3", Factor: 8},
		{PartialRotaryFactor: 3},
		{PartialRotaryFactor: 0.01},
	} {
		if _, err := newRope(c, bad, &family{}, 8); !errors.Is(err, invalid.Input) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// Types whose angles depend on the length of a text say up to which they hold.
func TestRopeLongest(t *testing.T) {
	c := &model.Config{MaxPositions: 64}
	long := model.Rope{Type: "longrope", ShortFactor: []float64{1, 2, 3, 4}, ShortMScale: 1.2, LongMScale: 1.2, OriginalMax: 16}
	differs := long
	differs.LongMScale = 1.5
	for _, x := range []struct {
		rope    model.Rope
		longest int
		factor  float64
		second  float64 // frequency of the second pair, times 10
	}{
		{long, 0, 1.2, 0.5},
		{differs, 16, 1.2, 0.5},
		{model.Rope{Type: "dynamic", Factor: 4}, 64, 1, 1},
		{model.Rope{Type: "dynamic", Factor: 1, Alpha: 16}, 0, 1, 10 * math.Pow(1e4*math.Pow(16, 8./6), -0.25)},
		{model.Rope{Type: "proportional", PartialRotaryFactor: 0.5}, 0, 1, 1},
	} {
		r, err := newRope(c, x.rope, &family{}, 8)
		if err != nil {
			t.Fatal(err)
		}
		if r.longest != x.longest || r.factor != x.factor || !near(float64(r.inverse[1])*10, x.second) || r.dims() != 8 {
			t.Errorf("%+v: %+v", x.rope, r)
		}
	}
	odd, err := newRope(c, model.Rope{PartialRotaryFactor: 0.34}, &family{oddRotation: true}, 16)
	if err != nil || odd.dims() != 6 || !near(float64(odd.inverse[2]), math.Pow(1e4, -4./5)) {
		t.Errorf("%+v %v", odd, err)
	}
	grows, err := newRope(c, model.Rope{Llama4Beta: 0.1, OriginalMax: 4}, &family{}, 8)
	if err != nil || !near(float64(grows.query(9)), 1+0.1*math.Log(3)) {
		t.Error(err)
	}
}
