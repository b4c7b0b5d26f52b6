package metrics

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"sort"
	"testing"
)

var (
	inf = float32(math.Inf(1))
	nan = float32(math.NaN())
)

// naive is Row.Score by the definitions, from whole rows and in their order: a
// softmax each, then the sums.
func naive(base, quant []float32, target int) Token {
	pa, pb := softmax(base), softmax(quant)
	t := Token{Target: target, NLLBase: math.NaN(), NLLQuant: math.NaN(), PBase: math.NaN(), PQuant: math.NaN()}
	for i := range pa {
		if p := math.Exp(pa[i]); p > 0 {
			t.KLD += p * (pa[i] - pb[i])
		}
	}
	a, b := order(base), order(quant)
	t.TopBase, t.TopQuant = a[0], b[0]
	t.TopPBase, t.TopPQuant = math.Exp(pa[a[0]]), math.Exp(pb[b[0]])
	n := min(5, len(a))
	for _, id := range a[:n] {
		if slices.Contains(b[:n], id) {
			t.Top5++
		}
	}
	t.Top5 += 5 - n
	if target >= 0 {
		t.NLLBase, t.NLLQuant = -pa[target], -pb[target]
		t.PBase, t.PQuant = math.Exp(pa[target]), math.Exp(pb[target])
	}
	return t
}

// softmax returns logarithms of probabilities.
func softmax(x []float32) []float64 {
	m := float64(slices.Max(x))
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(float64(v) - m)
	}
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v) - m - math.Log(sum)
	}
	return out
}

// order returns ids by descending logit, equal ones by id.
func order(x []float32) []int {
	ids := make([]int, len(x))
	for i := range ids {
		ids[i] = i
	}
	sort.SliceStable(ids, func(i, j int) bool { return x[ids[i]] > x[ids[j]] })
	return ids
}

// score cuts a row at the given ids.
func score(base, quant []float32, target int, cuts ...int) (Token, error) {
	var r Row
	r.Reset(target)
	first := 0
	for _, c := range append(cuts, len(base)) {
		r.Add(base[first:c], quant[first:c], first)
		first = c
	}
	return r.Score()
}

// near compares two tokens. Infinite and missing figures have to be the same.
func near(got, want Token, tolerance float64) error {
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range g.NumField() {
		name := g.Type().Field(i).Name
		if g.Field(i).Kind() != reflect.Float64 {
			if g.Field(i).Int() != w.Field(i).Int() {
				return fmt.Errorf("%s is %d, want %d", name, g.Field(i).Int(), w.Field(i).Int())
			}
			continue
		}
		x, y := g.Field(i).Float(), w.Field(i).Float()
		if x == y || math.IsNaN(x) && math.IsNaN(y) {
			continue
		}
		if !(math.Abs(x-y) <= tolerance*max(1, math.Abs(y))) {
			return fmt.Errorf("%s is %v, want %v", name, x, y)
		}
	}
	return nil
}

// rows returns two rows that resemble each other as those of a model and its
// quantized form do, with the given spread.
func rows(r *rand.Rand, n int, spread, noise float64) (base, quant []float32) {
	base, quant = make([]float32, n), make([]float32, n)
	for i := range base {
		x := r.NormFloat64() * spread
		base[i], quant[i] = float32(x), float32(x+r.NormFloat64()*noise)
	}
	return base, quant
}

// cuts returns n ascending ids below limit, some of them equal.
func cuts(r *rand.Rand, n, limit int) []int {
	c := make([]int, n)
	for i := range c {
		c[i] = r.IntN(limit + 1)
	}
	slices.Sort(c)
	return c
}

func TestRowEqualsNaive(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 400 {
		n := 1 + r.IntN(3000)
		if i < 40 {
			n = 1 + i/4
		}
		base, quant := rows(r, n, []float64{0, 0.01, 3, 30, 1000}[i%5], []float64{1e-6, 0.05, 2}[i%3])
		for range i % 7 { // some excluded by base, or by both
			j := r.IntN(n)
			if n > 1 && j > 0 {
				base[j] = -inf
				if i%2 == 0 {
					quant[j] = -inf
				}
			}
		}
		target := r.IntN(n+1) - 1
		want := naive(base, quant, target)
		// exp of large differences loses their relative precision in either way.
		got, err := score(base, quant, target)
		if err == nil {
			err = near(got, want, 1e-11)
		}
		if err != nil {
			t.Fatalf("row %d of %d ids: %v", i, n, err)
		}
		for range 5 {
			c := cuts(r, r.IntN(20), n)
			tiles, err := score(base, quant, target, c...)
			if err == nil {
				err = near(tiles, got, 1e-12)
			}
			if err != nil {
				t.Fatalf("row %d of %d ids cut at %v: %v", i, n, c, err)
			}
		}
	}
}

// What a row says of base and quant does not depend on which is which, and one
// model alone gives the same.
func TestRowSwappedAndAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		n := 1 + r.IntN(500)
		base, quant := rows(r, n, 4, 0.3)
		target := r.IntN(n)
		c := cuts(r, 3, n)
		ab, err := score(base, quant, target, c...)
		if err != nil {
			t.Fatal(err)
		}
		ba, err := score(quant, base, target, c...)
		if err != nil {
			t.Fatal(err)
		}
		back := ba
		back.KLD = ab.KLD
		back.NLLBase, back.NLLQuant = ba.NLLQuant, ba.NLLBase
		back.PBase, back.PQuant = ba.PQuant, ba.PBase
		back.TopBase, back.TopQuant = ba.TopQuant, ba.TopBase
		back.TopPBase, back.TopPQuant = ba.TopPQuant, ba.TopPBase
		if back != ab {
			t.Fatalf("%+v\nswapped %+v", ab, ba)
		}
		var o One
		o.Reset(target)
		first := 0
		for _, cut := range append(c, n) {
			o.Add(base[first:cut], first)
			first = cut
		}
		one, err := o.Score()
		if err != nil {
			t.Fatal(err)
		}
		entropy := 0.0
		for _, l := range softmax(base) {
			entropy -= math.Exp(l) * l
		}
		if one.NLL != ab.NLLBase || one.P != ab.PBase || one.Top != ab.TopBase || one.TopP != ab.TopPBase || one.Target != target ||
			!(math.Abs(one.Entropy-entropy) <= 1e-12*max(1, entropy)) {
			t.Fatalf("%+v, entropy %v; in pairs %+v", one, entropy, ab)
		}
	}
}

// Equal logits are no divergence at all, whatever they are.
func TestRowSame(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for i := range 100 {
		n := 2 + r.IntN(2000)
		x, _ := rows(r, n, []float64{1, 100, 1e30, 3e37}[i%4], 0)
		if i%3 == 0 {
			x[r.IntN(n)] = -inf
		}
		got, err := score(x, x, r.IntN(n), cuts(r, 4, n)...)
		if err != nil {
			t.Fatal(err)
		}
		if got.KLD != 0 || got.NLLBase != got.NLLQuant || got.PBase != got.PQuant || got.TopBase != got.TopQuant || got.Top5 != 5 {
			t.Fatalf("%+v", got)
		}
	}
}

func TestRowExtremes(t *testing.T) {
	ln := math.Log
	for name, c := range map[string]struct {
		base, quant []float32
		target      int
		want        Token
	}{
		"one id":            {[]float32{7}, []float32{-3}, 0, Token{PBase: 1, PQuant: 1, TopPBase: 1, TopPQuant: 1, Top5: 5}},
		"no target":         {[]float32{0}, []float32{0}, -1, Token{Target: -1, NLLBase: math.NaN(), NLLQuant: math.NaN(), PBase: math.NaN(), PQuant: math.NaN(), TopPBase: 1, TopPQuant: 1, Top5: 5}},
		"ties":              {make([]float32, 8), []float32{0, 0, 0, 1, 1, 1, 1, 1}, 7, Token{Target: 7, KLD: ln((3+5*math.E)/8) - 5.0/8, NLLBase: ln(8), NLLQuant: ln(3+5*math.E) - 1, PBase: 1.0 / 8, PQuant: math.E / (3 + 5*math.E), TopQuant: 3, TopPBase: 1.0 / 8, TopPQuant: math.E / (3 + 5*math.E), Top5: 2}},
		"huge":              {[]float32{1e30, 0}, []float32{2e30, 1e30}, 1, Token{Target: 1, NLLBase: float64(float32(1e30)), NLLQuant: float64(float32(2e30)) - float64(float32(1e30)), TopPBase: 1, TopPQuant: 1, Top5: 5}},
		"huge, all equal":   {[]float32{1e30, 1e30}, []float32{-1e30, -1e30}, 1, Token{Target: 1, NLLBase: ln(2), NLLQuant: ln(2), PBase: 0.5, PQuant: 0.5, TopPBase: 0.5, TopPQuant: 0.5, Top5: 5}},
		"opposite ends":     {[]float32{math.MaxFloat32, -math.MaxFloat32}, []float32{-math.MaxFloat32, math.MaxFloat32}, 0, Token{KLD: 2 * math.MaxFloat32, NLLQuant: 2 * math.MaxFloat32, PBase: 1, TopQuant: 1, TopPBase: 1, TopPQuant: 1, Top5: 5}},
		"excluded by base":  {[]float32{0, -inf, 0}, []float32{0, 0, 0}, 1, Token{Target: 1, KLD: ln(1.5), NLLBase: math.Inf(1), NLLQuant: ln(3), PQuant: 1.0 / 3, TopPBase: 0.5, TopPQuant: 1.0 / 3, Top5: 5}},
		"excluded by quant": {[]float32{0, 0}, []float32{0, -inf}, 1, Token{Target: 1, KLD: math.Inf(1), NLLBase: ln(2), NLLQuant: math.Inf(1), PBase: 0.5, TopPBase: 0.5, TopPQuant: 1, Top5: 5}},
		"excluded by both":  {[]float32{-inf, 0, -inf}, []float32{-inf, 3, -inf}, 1, Token{Target: 1, PBase: 1, PQuant: 1, TopBase: 1, TopQuant: 1, TopPBase: 1, TopPQuant: 1, Top5: 5}},
		"excluded by quant, no probability in base":           {[]float32{-701, 0}, []float32{-inf, 0}, 1, Token{Target: 1, PBase: 1, PQuant: 1, TopBase: 1, TopQuant: 1, TopPBase: 1, TopPQuant: 1, Top5: 5}},
		"excluded by quant, no probability in base, rising":   {[]float32{-701, -300, 0}, []float32{-inf, 0, 0}, 2, Token{Target: 2, KLD: math.Log(2), PBase: 1, NLLQuant: math.Log(2), PQuant: 0.5, TopBase: 2, TopQuant: 1, TopPBase: 1, TopPQuant: 0.5, Top5: 5}},
		"excluded by quant, hardly any probability in base":   {[]float32{-699, 0}, []float32{-inf, 0}, 1, Token{Target: 1, KLD: math.Inf(1), PBase: 1, PQuant: 1, TopBase: 1, TopQuant: 1, TopPBase: 1, TopPQuant: 1, Top5: 5}},
		"excluded ids take places of the five in their order": {[]float32{-inf, -inf, -inf, -inf, -inf, -inf, 1}, []float32{-inf, -inf, -inf, -inf, -inf, -inf, 1}, 6, Token{Target: 6, PBase: 1, PQuant: 1, TopBase: 6, TopQuant: 6, TopPBase: 1, TopPQuant: 1, Top5: 5}},
	} {
		for cut := range len(c.base) + 1 {
			got, err := score(c.base, c.quant, c.target, cut)
			if err == nil {
				err = near(got, c.want, 1e-12)
			}
			if err != nil {
				t.Errorf("%s, cut at %d: %v", name, cut, err)
			}
		}
	}
}

func TestRowNonFinite(t *testing.T) {
	ok := make([]float32, 9)
	with := func(values map[int]float32) []float32 {
		x := slices.Clone(ok)
		for i, v := range values {
			x[i] = v
		}
		return x
	}
	none := slices.Repeat([]float32{-inf}, 9)
	for name, c := range map[string]struct {
		base, quant []float32
		want        NonFinite
	}{
		"NaN in base":      {with(map[int]float32{6: nan}), ok, NonFinite{true, 6, nan}},
		"NaN in quant":     {ok, with(map[int]float32{0: nan, 8: inf}), NonFinite{false, 0, nan}},
		"+Inf in base":     {with(map[int]float32{8: inf}), with(map[int]float32{1: -inf}), NonFinite{true, 8, inf}},
		"both, quant's":    {with(map[int]float32{7: nan}), with(map[int]float32{4: inf}), NonFinite{false, 4, inf}},
		"both, the same":   {with(map[int]float32{5: inf}), with(map[int]float32{5: nan}), NonFinite{true, 5, inf}},
		"nothing in base":  {none, ok, NonFinite{true, -1, -inf}},
		"nothing in quant": {ok, none, NonFinite{false, -1, -inf}},
	} {
		for cut := range len(ok) + 1 {
			_, err := score(c.base, c.quant, 3, cut)
			var got *NonFinite
			if !errors.As(err, &got) || got.Base != c.want.Base || got.ID != c.want.ID || math.Float32bits(got.Value) != math.Float32bits(c.want.Value) {
				t.Errorf("%s, cut at %d: %v, want %v", name, cut, err, &c.want)
			}
			if c.want.Base && slices.Equal(c.quant, ok) {
				var o One
				o.Reset(3)
				o.Add(c.base[:cut], 0)
				o.Add(c.base[cut:], cut)
				if _, err := o.Score(); !errors.As(err, &got) || got.ID != c.want.ID {
					t.Errorf("%s, cut at %d, alone: %v", name, cut, err)
				}
			}
		}
	}
	for want, e := range map[string]*NonFinite{
		"the logit of id 7 is NaN":  {ID: 7, Value: nan},
		"the logit of id 7 is +Inf": {ID: 7, Value: inf},
		"all logits are -Inf":       {ID: -1, Value: -inf},
	} {
		if e.Error() != want {
			t.Errorf("%q, want %q", e.Error(), want)
		}
	}
}

// One on logits with −Inf, and whose maximum rises from tile to tile.
func TestOneEntropy(t *testing.T) {
	for _, c := range []struct {
		logits []float32
		want   float64
	}{
		{[]float32{-inf, 0, 0, -inf, 0, 0}, math.Log(4)},
		{[]float32{-inf, -inf, -5, 40, 41, 1000}, 0},
		{[]float32{-1e30, 0, 1, 1e30}, 0},
		{[]float32{1e30, 1e30}, math.Log(2)},
	} {
		for cut := range len(c.logits) + 1 {
			var o One
			o.Reset(-1)
			o.Add(c.logits[:cut], 0)
			o.Add(c.logits[cut:], cut)
			got, err := o.Score()
			if err != nil || !(math.Abs(got.Entropy-c.want) <= 1e-12) || got.Target != -1 || !math.IsNaN(got.NLL) || !math.IsNaN(got.P) {
				t.Errorf("%v cut at %d: %+v, %v; want an entropy of %v", c.logits, cut, got, err, c.want)
			}
		}
	}
}

// Mistakes of the caller.
func TestMisuse(t *testing.T) {
	panics := func(name string, f func()) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("%s: no panic", name)
			}
		}()
		f()
	}
	var r Row
	var o One
	r.Reset(0)
	o.Reset(0)
	panics("gap", func() { r.Add(make([]float32, 2), make([]float32, 2), 1) })
	panics("lengths", func() { r.Add(make([]float32, 2), make([]float32, 3), 0) })
	panics("gap, alone", func() { o.Add(make([]float32, 2), 1) })
	panics("positions", func() { ByPosition(make([]Token, 2), []int{0}, 4) })
	panics("negative position", func() { ByPosition(make([]Token, 1), []int{-1}, 4) })
	panics("acceptance", func() { Acceptance([]int{1}, nil, nil) })
	panics("routing", func() { _ = new(Routing).Add(0, 2, make([]int32, 3), make([]int32, 3)) })

	if _, err := score(make([]float32, 3), make([]float32, 3), 3); err == nil || err.Error() != "target id 3 is not among the 3 ids of the row" {
		t.Errorf("target beyond the vocabulary: %v", err)
	}
	o.Reset(3)
	o.Add(make([]float32, 3), 0)
	if _, err := o.Score(); err == nil || err.Error() != "target id 3 is not among the 3 ids of the row" {
		t.Errorf("target beyond the vocabulary, alone: %v", err)
	}
}

func TestMaxAbsDiff(t *testing.T) {
	for _, c := range []struct {
		a, b []float32
		want float64
	}{
		{nil, nil, 0},
		{[]float32{1, -2, 3}, []float32{1, 5, 3.5}, 7},
		{[]float32{-inf, inf, 1}, []float32{-inf, inf, 2}, 1},
		{[]float32{0, -inf}, []float32{0, 1}, math.Inf(1)},
		{[]float32{5, nan, 1}, []float32{0, nan, 1}, math.NaN()},
		{[]float32{math.MaxFloat32}, []float32{-math.MaxFloat32}, 2 * math.MaxFloat32},
		{[]float32{1}, []float32{1 + 1.0/(1<<20)}, 1.0 / (1 << 20)},
	} {
		if got := MaxAbsDiff(c.a, c.b); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%v and %v: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func FuzzRow(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x01\x00\x80\x3f\x00\x00\x80\xff\x00\x00\xc0\x7f"), uint8(1), int16(0))
	f.Add([]byte("abcdefghijklmnopqrstuvwxyz012345"), uint8(3), int16(2))
	f.Fuzz(func(t *testing.T, raw []byte, cut uint8, target int16) {
		n := len(raw) / 8
		if n == 0 {
			return
		}
		base, quant := make([]float32, n), make([]float32, n)
		for i := range base {
			bits := func(p []byte) float32 {
				return math.Float32frombits(uint32(p[0]) | uint32(p[1])<<8 | uint32(p[2])<<16 | uint32(p[3])<<24)
			}
			base[i], quant[i] = bits(raw[8*i:]), bits(raw[8*i+4:])
		}
		id := min(int(target), n-1)
		got, err := score(base, quant, id, int(cut)%(n+1))
		whole, errWhole := score(base, quant, id)
		if (err == nil) != (errWhole == nil) || err != nil && err.Error() != errWhole.Error() {
			t.Fatalf("%v, whole %v", err, errWhole)
		}
		if err != nil {
			return
		}
		if err := near(got, whole, 1e-12); err != nil {
			t.Fatalf("whole: %v", err)
		}
		if got.KLD < 0 || math.IsNaN(got.KLD) || got.Top5 < 0 || got.Top5 > 5 || got.PBase > 1 || got.TopPQuant > 1 || got.TopPQuant <= 0 {
			t.Fatalf("%+v", got)
		}
		if id >= 0 && !(got.NLLBase >= 0 && got.NLLQuant >= 0) {
			t.Fatalf("%+v", got)
		}
	})
}
