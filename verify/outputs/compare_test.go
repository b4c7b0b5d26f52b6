package outputs

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"quern/internal/blockio/faultfs"
	"quern/verify/metrics"
)

// tokens scores rows of logits one by one.
func tokens(t *testing.T, vocab, ahead int, ids []int, base, quant []float32) (out []metrics.Token) {
	t.Helper()
	for i := range len(base) / vocab {
		var r metrics.Row
		target := -1
		if i+ahead < len(ids) {
			target = ids[i+ahead]
		}
		r.Reset(target)
		r.Add(base[i*vocab:(i+1)*vocab], quant[i*vocab:(i+1)*vocab], 0)
		token, err := r.Score()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, token)
	}
	return out
}

// argmax of each row.
func argmax(vocab int, logits []float32) (out []int) {
	for i := 0; i < len(logits); i += vocab {
		out = append(out, slices.Index(logits[i:i+vocab], slices.Max(logits[i:i+vocab])))
	}
	return out
}

// Compare against figures taken from whole sequences, for batches, sequences of
// different lengths, and a single one.
func TestCompare(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, lengths := range map[string][]int{"one": {40}, "batch": {20, 20, 20}, "different": {5, 1, 33, 1, 2}, "single tokens": {1, 1}} {
		base := random(r, 37, lengths...)
		quant := base.noisy(r)
		got, err := Compare(t.Context(), base.open(t), quant.open(t), Options{Worst: 4, Experts: 12})
		if err != nil {
			t.Fatal(err)
		}
		var all, mtp []metrics.Token
		var positions, draft, main, in []int
		var place [][2]int
		most, mostMTP := 0.0, 0.0
		var routing metrics.Routing
		routing.Experts = 12
		hidden := make([]part, 3)
		for s, ids := range base.spec.IDs {
			n := len(ids)
			all = append(all, tokens(t, 37, 1, ids, base.logits[s], quant.logits[s])[:n-1]...)
			mtp = append(mtp, tokens(t, 37, 2, ids, base.mtp[s], quant.mtp[s])...)
			most = max(most, metrics.MaxAbsDiff(base.logits[s], quant.logits[s]))
			mostMTP = max(mostMTP, metrics.MaxAbsDiff(base.mtp[s], quant.mtp[s]))
			for i := range n - 1 {
				all[len(all)-n+1+i].Chunk, mtp[len(mtp)-n+1+i].Chunk = s, s
				in = append(in, s)
				positions, place = append(positions, i), append(place, [2]int{s, i})
			}
			draft = append(draft, argmax(37, quant.mtp[s])...)
			main = append(main, argmax(37, quant.logits[s])[1:]...)
			for i, h := range hidden {
				for j, x := range base.hidden[i][s] {
					d := float64(x) - float64(quant.hidden[i][s][j])
					h.most, h.base, h.diff = max(h.most, math.Abs(d)), h.base+float64(x)*float64(x), h.diff+d*d
				}
				hidden[i] = h
			}
			for l, k := range map[int]int{1: 3, 2: 2} {
				if err := routing.Add(l, k, base.routers[l][s], quant.routers[l][s]); err != nil {
					t.Fatal(err)
				}
			}
		}
		check := func(what string, got, want any) {
			t.Helper()
			// As JSON, where what has no value equals itself.
			a, _ := json.Marshal(got)
			b, err := json.Marshal(want)
			if err != nil || string(a) != string(b) {
				t.Errorf("%s: %s is %s\nwant %s", name, what, a, b)
			}
		}
		if len(all) > 0 && !reflect.DeepEqual(got.Tokens, all) {
			t.Errorf("%s: tokens differ", name)
		}
		check("sequences", got.Sequences, len(lengths))
		check("summary", got.Metrics, metrics.Summarize(all))
		check("positions", got.Positions, metrics.ByPosition(all, positions, slices.Max(lengths)))
		check("histogram", got.Histogram, metrics.Histogram(all))
		check("reference", got.Reference, map[string]float64{"max_abs_logit_diff": most, "max_abs_mtp_logit_diff": mostMTP})
		check("routing", got.Routing, routing.Report())
		check("unpaired", got.Unpaired, []string(nil))
		a := metrics.Acceptance(draft, main, in)
		check("acceptance", got.MTP.AcceptanceQuant, a.Rate)
		check("its uncertainty", got.MTP.AcceptanceQuantUncertainty, a.Uncertainty)
		check("drafts", got.MTP.Tokens, len(draft))
		check("MTP", got.MTP.Summary, metrics.Summarize(mtp))
		for i, h := range got.Hidden {
			n := float64(6 * sum(lengths))
			rms := math.Sqrt(hidden[i].base / n)
			for what, d := range map[string]float64{
				"max": float64(h.MaxAbs) - hidden[i].most, "rms": float64(h.RMS) - rms, "relative": float64(h.Relative) - hidden[i].most/rms,
				"sqnr": float64(h.SQNR) - 10*math.Log10(hidden[i].base/hidden[i].diff), "layer": float64(h.Layer - i),
			} {
				if !(math.Abs(d) <= 1e-12) {
					t.Errorf("%s: hidden %d: %s is %v off", name, i, what, d)
				}
			}
		}
		if len(got.Hidden) != 3 || len(got.Worst) != min(4, len(all)) {
			t.Errorf("%s: %d hidden, %d worst", name, len(got.Hidden), len(got.Worst))
		}
		klds := make([]float64, 0, len(all))
		for i := range all {
			klds = append(klds, all[i].KLD)
		}
		slices.Sort(klds)
		for i, w := range got.Worst {
			j := slices.Index(place, [2]int{w.Sequence, w.Position})
			token := all[j]
			if float64(w.KLD) != klds[len(klds)-1-i] || token.KLD != float64(w.KLD) || token.Target != w.Target || token.TopBase != w.TopBase || token.TopQuant != w.TopQuant ||
				token.PBase != float64(w.PBase) || token.PQuant != float64(w.PQuant) || token.TopPBase != float64(w.TopPBase) || token.TopPQuant != float64(w.TopPQuant) {
				t.Errorf("%s: worst %d is %+v, token %+v", name, i, w, token)
			}
		}
	}
}

func sum(x []int) (n int) {
	for _, v := range x {
		n += v
	}
	return n
}

// Rows that are longer than what is read at once, and results that do not depend on
// the number of workers.
func TestCompareLongRowsAndWorkers(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const vocab = 2*pieceElements + 4321
	long := random(r, vocab, 3)
	wide := random(r, 501, 400, 350)
	for name, base := range map[string]*content{"long": long, "wide": wide} {
		quant := base.noisy(r)
		a, b := base.open(t), quant.open(t)
		var want []byte
		for _, workers := range []int{1, 2, 7, 0} {
			var done atomic.Int64
			var total int64
			got, err := Compare(t.Context(), a, b, Options{Workers: workers, Worst: 20, Progress: func(d, n int64) {
				for old := done.Load(); d > old && !done.CompareAndSwap(old, d); old = done.Load() {
				}
				atomic.StoreInt64(&total, n)
			}})
			if err != nil {
				t.Fatal(err)
			}
			raw, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = raw
			}
			if string(raw) != string(want) {
				t.Errorf("%s: %d workers: %s\none: %s", name, workers, raw, want)
			}
			if done.Load() != total || total < int64(8*len(base.logits[0])) {
				t.Errorf("%s: %d of %d bytes", name, done.Load(), total)
			}
		}
		if name == "long" {
			got, err := Compare(t.Context(), a, b, Options{})
			if err != nil {
				t.Fatal(err)
			}
			for i, token := range tokens(t, vocab, 1, base.spec.IDs[0], base.logits[0], quant.logits[0])[:2] {
				if g := got.Tokens[i]; g.TopBase != token.TopBase || g.Top5 != token.Top5 || math.Abs(g.KLD-token.KLD) > 1e-12 || math.Abs(g.NLLQuant-token.NLLQuant) > 1e-12 {
					t.Errorf("%+v, want %+v", g, token)
				}
			}
		}
	}
}

// A file against itself, in the words of JSON.
func TestCompareSame(t *testing.T) {
	f := random(rand.New(rand.NewPCG(5, 6)), 64, 50, 50).open(t)
	c, err := Compare(t.Context(), f, f, Options{Worst: 1})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"reference":{"max_abs_logit_diff":0,"max_abs_mtp_logit_diff":0}`, `"kld_mean":0,"kld_mean_uncertainty":0,`, `"kld_max":0,`, `"same_top":1,`,
		`"hidden":[{"layer":0,"max_abs_diff":0,"rms":`, `"relative":0,"sqnr_db":null}`, `"routing":{"overlap":1,"top1":1,"identical":1,`,
	} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("%s does not hold %s", raw, want)
		}
	}
	if c.MTP.AcceptanceBase != c.MTP.AcceptanceQuant {
		t.Errorf("%+v", c.MTP)
	}
}

func TestCompareRefuses(t *testing.T) {
	base := random(rand.New(rand.NewPCG(7, 8)), 11, 6, 9)
	a := base.open(t)
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for want, change := range map[string]func(c *content){
		"2 sequences against 1": func(c *content) { c.spec.IDs = c.spec.IDs[:1] },
		"input_ids differ at sequence 1, position 3: ": func(c *content) {
			c.spec.IDs[1][3] = (c.spec.IDs[1][3] + 1) % 11
		},
		`tensor "logits": sequence 1, position 2: the logit of id 5 is NaN`:     func(c *content) { c.logits[1][2*11+5] = nan },
		`tensor "logits": sequence 0, position 5: the logit of id 0 is +Inf`:    func(c *content) { c.logits[0][5*11] = inf },
		`tensor "mtp_logits": sequence 0, position 4: the logit of id 10 is Na`: func(c *content) { c.mtp[0][5*11-1] = nan },
		`tensor "logits": sequence 0, position 1: all logits are -Inf`: func(c *content) {
			for i := range 11 {
				c.logits[0][11+i] = -inf
			}
		},
		`tensor "hidden.1": sequence 1, position 8: element 5 is NaN`:  func(c *content) { c.hidden[1][1][9*6-1] = nan },
		`tensor "hidden.2": sequence 0, position 0: element 1 is -Inf`: func(c *content) { c.hidden[2][0][1] = -inf },
		`router of layer 1: row 6: quant names expert 3 twice`:         func(c *content) { c.routers[1][1][0], c.routers[1][1][1] = 3, 3 },
		`row 0 has an expert that is negative`:                         func(c *content) { c.routers[1][0][1] = -1 },
		`tensor "hidden.0" has rows of 6 against 5`: func(c *content) {
			c.spec.Hidden = []HiddenSpec{{0, 5}}
			c.hidden = map[int][][]float32{0: {make([]float32, 30), make([]float32, 45)}}
		},
		`tensor "router.1.indices" has 15 rows of 3 experts against 15 of 1`: func(c *content) {
			c.spec.Routers = []RouterSpec{{Layer: 1, K: 1}}
			c.routers = map[int][][]int32{1: {make([]int32, 6), make([]int32, 9)}}
		},
	} {
		c := random(rand.New(rand.NewPCG(7, 8)), 11, 6, 9)
		change(c)
		q := c.open(t)
		_, err := Compare(t.Context(), a, q, Options{})
		refused(t, want, err, want, q.Path)
		if _, err := Compare(t.Context(), q, a, Options{}); err == nil || !strings.Contains(err.Error(), q.Path) {
			t.Errorf("%s, the other way round: %v", want, err)
		}
	}
	_, err := Compare(t.Context(), a, random(rand.New(rand.NewPCG(7, 8)), 12, 6, 9).open(t), Options{})
	refused(t, "vocabulary", err, "11 logits a row against 12")
	_, err = Compare(t.Context(), a, random(rand.New(rand.NewPCG(7, 8)), 11, 6, 8).open(t), Options{})
	refused(t, "length", err, "sequence 1 has 9 tokens against 8")
}

// The first row that is bad is named, whoever finds what first.
func TestCompareNamesTheFirst(t *testing.T) {
	base := random(rand.New(rand.NewPCG(9, 1)), 2*pieceElements, 5)
	for i := 1; i < 5; i++ {
		base.logits[0][i*2*pieceElements+7-i] = float32(math.NaN())
	}
	f := base.open(t)
	for range 20 {
		_, err := Compare(t.Context(), f, f, Options{Workers: 4})
		refused(t, "first", err, "position 1: the logit of id 6 is NaN")
	}
}

// What only one file has is named, and the rest compared.
func TestCompareUnpaired(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	base := random(r, 11, 6)
	few := random(r, 11, 6)
	few.spec.IDs = base.spec.IDs
	few.spec.MTP, few.spec.Hidden, few.spec.Routers = false, []HiddenSpec{{1, 6}, {7, 6}}, nil
	few.hidden = map[int][][]float32{1: few.hidden[1], 7: few.hidden[2]}
	w, err := Create(filepath.Join(t.TempDir(), "few"), few.spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Logits(0, 0, 0, 11, few.logits[0]), w.Hidden(1, 0, 0, few.hidden[1][0]), w.Hidden(7, 0, 0, few.hidden[7][0]), w.Close()); err != nil {
		t.Fatal(err)
	}
	got, err := Compare(t.Context(), base.open(t), mustOpen(t, w.path), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"mtp_logits", "hidden.0", "hidden.2", "router.1.indices", "router.2.indices", "hidden.7"}; !slices.Equal(got.Unpaired, want) {
		t.Errorf("%v, want %v", got.Unpaired, want)
	}
	if got.MTP != nil || got.Routing != nil || len(got.Hidden) != 1 || got.Hidden[0].Layer != 1 || got.Reference.MaxAbsMTPLogitDiff != nil {
		t.Errorf("%+v", got)
	}
}

// −Inf is a logit; where only quant has it, the divergence has no value.
func TestCompareInfinite(t *testing.T) {
	base := random(rand.New(rand.NewPCG(4, 4)), 11, 6)
	quant := random(rand.New(rand.NewPCG(4, 4)), 11, 6)
	quant.logits[0][11+3] = float32(math.Inf(-1))
	got, err := Compare(t.Context(), base.open(t), quant.open(t), Options{Worst: 1})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(got)
	if err != nil || !strings.Contains(string(raw), `"max_abs_logit_diff":null`) || !strings.Contains(string(raw), `"kld_infinite":1,`) || !strings.Contains(string(raw), `"position":1,`) {
		t.Errorf("%s, %v", raw, err)
	}
}

func TestCompareStops(t *testing.T) {
	f := random(rand.New(rand.NewPCG(6, 6)), 2048, 500).open(t)
	ctx, cancel := context.WithCancel(t.Context())
	var calls atomic.Int64
	_, err := Compare(ctx, f, f, Options{Workers: 2, Progress: func(done, total int64) {
		calls.Add(1)
		cancel()
	}})
	if !errors.Is(err, context.Canceled) || calls.Load() > 2 {
		t.Errorf("%v after %d calls", err, calls.Load())
	}
}

// Whatever read fails, the error is the disk's; a file that is written to while it
// is read is refused.
func TestCompareDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	random(rand.New(rand.NewPCG(8, 8)), 64, 20).write(t, path)
	var fail atomic.Int64
	fsys := &faultfs.FS{Hook: func(c faultfs.Call) *faultfs.Fault {
		if c.Kind == faultfs.Read && fail.Add(-1) == 0 {
			return &faultfs.Fault{Err: syscall.EIO}
		}
		return nil
	}}
	n := 0
	for ; ; n++ {
		fail.Store(-1)
		f, err := openOn(fsys, path)
		if err != nil {
			t.Fatal(err)
		}
		fail.Store(int64(n + 1))
		_, err = Compare(t.Context(), f, f, Options{Workers: 1})
		f.Close()
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), path) {
			t.Errorf("read %d: %v", n, err)
		}
	}
	if n < 10 || fsys.OpenFiles() != 0 {
		t.Errorf("%d reads, %d files are open", n, fsys.OpenFiles())
	}
	f := mustOpen(t, path)
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	_, err := Compare(t.Context(), f, f, Options{})
	refused(t, "changed", err, path, "changed while it was read")
}
