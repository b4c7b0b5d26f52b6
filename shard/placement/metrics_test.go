package placement

import (
	"math"
	"math/rand/v2"
	"testing"
)

func near(t *testing.T, what string, got, want, bound float64) {
	t.Helper()
	if !(math.Abs(got-want) <= bound) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestMetricsByHand(t *testing.T) {
	// Four experts, expert 0 twice, on three ranks of two slots.
	phy2log := []int{0, 1, 0, 2, 3, 1}
	copies := []int{2, 2, 1, 1}
	load := []float64{8, 2, 3, 5}
	// Ranks carry 4+1, 4+3, 5+1 of 18.
	near(t, "balance", balance(load, phy2log, copies, 3), 7.0/6, 1e-15)
	near(t, "balance of nothing", balance(make([]float64, 4), phy2log, copies, 3), 0, 0)
	one := routing{2, []int32{2, 3}} // ranks 1 and 2
	near(t, "fan-out", fanout(one, phy2log, copies, 3), 2, 1e-15)
	// Expert 0 on rank 0 or 1, expert 2 on rank 1: 0.5·2 + 0.5·1.
	two := routing{2, []int32{0, 2}}
	near(t, "fan-out", fanout(two, phy2log, copies, 3), 1.5, 1e-15)
	// Expert 0 on 0 or 1, expert 1 on 0 or 2: one rank in one case of four.
	three := routing{2, []int32{0, 1}}
	near(t, "fan-out", fanout(three, phy2log, copies, 3), 1.75, 1e-15)
	all := routing{2, []int32{2, 3, 0, 2, 0, 1}}
	near(t, "fan-out", fanout(all, phy2log, copies, 3), (2+1.5+1.75)/3, 1e-15)
	near(t, "fan-out to one bin", fanout(all, phy2log, copies, 1), 1, 1e-15)
}

// The expected fan-out of random routing is S·(1−C(E−E/S,k)/C(E,k)).
func TestFanoutOfRandomRouting(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		experts, k, bins int
		want             float64
	}{{256, 8, 2, 1.993}, {256, 8, 8, 5.295}, {256, 8, 32, 7.267}, {128, 4, 4, 2.754}, {64, 6, 16, 5.316}, {8, 2, 4, 1.857}} {
		const tokens = 20000
		x := routing{k: c.k}
		for range tokens {
			for _, e := range r.Perm(c.experts)[:c.k] {
				x.choices = append(x.choices, int32(e))
			}
		}
		phy2log, log2phy := contiguous(geometry{experts: c.experts, slots: c.experts, ranks: c.bins, nodes: 1, groups: 1})
		l := Layer{Phy2Log: phy2log, Log2Phy: log2phy}
		near(t, "fan-out", fanout(x, phy2log, l.Copies(), c.bins), c.want, 0.02)
	}
}

// Published figures for the README example of EPLB.
func TestBalanceOfTheReadme(t *testing.T) {
	c := eplbCases(t)[0]
	for i, want := range []struct{ contiguous, eplb float64 }{{1.2778, 1.2081}, {1.7855, 1.2422}} {
		load := c.Load[i]
		p, l := contiguous(geometry{12, 12, 4, 1, 1})
		near(t, "contiguous", balance(load, p, (&Layer{Log2Phy: l}).Copies(), 4), want.contiguous, 5e-5)
		p, l = eplb(load, geometry{12, 16, 8, 2, 4})
		near(t, "eplb", balance(load, p, (&Layer{Log2Phy: l}).Copies(), 8), want.eplb, 5e-5)
	}
}

func TestMean(t *testing.T) {
	a, b := 2.0, 3.0
	m := Mean([]Metrics{{Balance: 1.5, Fanout: &a, NodeFanout: &a}, {Balance: 0, Fanout: &b, NodeFanout: &b}})
	near(t, "balance", m.Balance, 1.5, 0)
	near(t, "fan-out", *m.Fanout, 2.5, 0)
	if m = Mean([]Metrics{{Balance: 1}}); m.Fanout != nil {
		t.Error("a fan-out out of nothing")
	}
}
