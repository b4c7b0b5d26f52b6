package report

import (
	"math"
	"strings"
	"testing"

	"quern/internal/page"
	"quern/verify"
	"quern/verify/metrics"
)

func TestNumbers(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct{ got, want string }{
		{digits(0.0, 4), "0"},
		{digits(29.30712, 4), "29.31"},
		{digits(0.00325, 3), "0.00325"},
		{digits(0.000012345, 3), "1.23·10⁻⁵"},
		{digits(-0.000012345, 3), "−1.23·10⁻⁵"},
		{digits(12345.6, 3), "12346"},
		{digits(2.5e7, 2), "2.5·10⁷"},
		{digits(9.9996, 4), "10.00"},
		{digits(nan, 4), "–"},
		{digits(math.Inf(1), 4), "–"},
		{percent(0.96484), "96.48\u202f%"},
		{percent(-0.00001), "0.00\u202f%"},
		{points(-0.0004), "−0.04\u202fpp"},
		{points(0.0004), "+0.04\u202fpp"},
		{points(nan), "–"},
		{plusMinus(29.307, 0.7123), "29.31 ±\u00a00.71"},
		{plusMinus(0.003251, 0.000057), "0.003251 ±\u00a00.000057"},
		{plusMinus(0.5, 0), "0.5000"},
		{plusMinus(0.00001, 0.000002), "1.000·10⁻⁵ ±\u00a02.0·10⁻⁶"},
		{plusMinus(metrics.Figure(nan), 1), "–"},
		{plusMinus(1, metrics.Figure(nan)), "1.000"},
		{percentPlusMinus(0.5, 0.0049), "50.00 ±\u00a00.49\u202f%"},
		{signed("0.00"), "0.00"},
		{signed("1"), "+1"},
		{signed("−1"), "−1"},
		{decibels(nil), "exact"},
		{decibels(&nan), "–"},
		{clip("0123456789", 5), "01…89"},
		{nats.limit(0.02), "0.02"},
		{ratioDB.limit(31), "31\u202fdB"},
		{share.limit(0.95), "95\u202f%"},
		{tensorCount.limit(0), "0"},
		{tensorCount.amount(1), "1 tensor"},
		{ratioDB.amount(math.Inf(1)), "exact"},
		{plain.limit(100), "100"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestTail(t *testing.T) {
	if s, more := tail("añb", 2); s != "ñb" || !more {
		t.Error(s, more)
	}
	if s, more := tail("añb", 3); s != "añb" || more {
		t.Error(s, more)
	}
}

func TestUsed(t *testing.T) {
	for _, c := range []struct {
		gate verify.Gate
		want float64 // −1: none
	}{
		{verify.Gate{Name: "kld_mean", Value: 0.005, Limit: 0.02}, 0.25},
		{verify.Gate{Name: "kld_mean", Value: 0.04, Limit: 0.02}, 2},
		{verify.Gate{Name: "mtp_drop", Value: -0.01, Limit: 0.02}, 0},
		{verify.Gate{Name: "same_top", Value: 0.975, Limit: 0.95}, 0.5},
		{verify.Gate{Name: "same_top", Value: 0.975, Limit: 1}, -1},
		{verify.Gate{Name: "sqnr", Value: 31, Limit: 31}, 1},
		{verify.Gate{Name: "sqnr", Value: 51, Limit: 31}, 0.1},
		{verify.Gate{Name: "sqnr", Value: math.Inf(1), Limit: 31}, 0},
		{verify.Gate{Name: "digest", Value: 0, Limit: 0}, -1},
		{verify.Gate{Name: "digest", Value: 1, Limit: 2}, 0.5},
		{verify.Gate{Name: "kld_mean", Value: math.NaN(), Limit: 1}, -1},
		{verify.Gate{Name: "kld_mean", Limit: 1, Skipped: "off"}, -1},
	} {
		got, ok := used(&c.gate)
		if ok != (c.want >= 0) || (ok && math.Abs(got-c.want) > 1e-9) {
			t.Errorf("%+v: %g, %v, want %g", c.gate, got, ok, c.want)
		}
	}
}

// Every gate that there is has words.
func TestGateWords(t *testing.T) {
	for _, name := range verify.GateNames() {
		if w := gateWords[name]; w.checks == "" || w.fails == "" || w.unit == plain {
			t.Errorf("%s: %+v", name, w)
		}
	}
}

func TestVerdict(t *testing.T) {
	ran := verify.Behaviour{Metrics: &metrics.Summary{}}
	passed, off := verify.Gate{Name: "kept", Passed: true}, verify.Gate{Name: "digest", Passed: true, Skipped: "no manifest"}
	failed := verify.Gate{Name: "sqnr", Value: 1, Limit: 31}
	for _, c := range []struct {
		r          verify.Report
		word, says string
	}{
		{verify.Report{Gates: []verify.Gate{passed}, Behaviour: ran}, "May be shipped", "The gate is passed."},
		{verify.Report{Gates: []verify.Gate{passed, passed, off}, Behaviour: ran}, "May be shipped", "All 2 gates that apply are passed. Not checked: digest (no manifest)."},
		{verify.Report{Gates: []verify.Gate{passed}, Baseline: "b"}, "No objection", "models not run"},
		{verify.Report{Gates: []verify.Gate{passed}}, "No objection", "looked at by itself"},
		{verify.Report{Gates: []verify.Gate{passed, failed, off}, Behaviour: ran}, "Do not ship", "1 of 2 gates failed: weights are further from the baseline’s than the format explains (sqnr)."},
		{verify.Report{Gates: []verify.Gate{off}}, "Not judged", "No gate applied"},
		{verify.Report{Behaviour: ran}, "Not judged", "No gate applied"},
		{verify.Report{Gates: []verify.Gate{{Name: "new"}}}, "Do not ship", "failed: new."},
		{verify.Report{Gates: []verify.Gate{passed}, Warnings: []string{"a", "b"}, Behaviour: ran}, "May be shipped", "There are 2 warnings."},
	} {
		j := verdict(&c.r)
		if text := strings.Join(j.Text, " "); j.Word != c.word || !strings.Contains(text, c.says) {
			t.Errorf("%q: %q, want %q: %q", j.Word, text, c.word, c.says)
		}
	}
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"verify", "a b", "it's", ""}, `quern verify 'a b' 'it'\''s' ''`},
		{[]string{"./bin/quern", "verify", "--gate", "sqnr=off"}, "./bin/quern verify --gate sqnr=off"},
		{[]string{"x\n"}, "quern 'x⟨U+000A⟩'"},
	} {
		if got := page.CommandLine(c.args); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// The checkpoint stands where its mean divergence belongs among the anchors.
func TestAnchors(t *testing.T) {
	for _, c := range []struct {
		kld float64
		at  int
	}{{0, 0}, {0.00002, 0}, {0.00325, 2}, {0.05, 5}, {3, 7}, {math.NaN(), 7}} {
		m := metrics.Summary{KLDMean: metrics.Figure(c.kld)}
		for i, r := range anchorTable(&m).Rows {
			if r.Strong != (i == c.at) {
				t.Errorf("%g: row %d is marked: %v", c.kld, i, r.Strong)
			}
		}
	}
	for i := 1; i < len(anchors); i++ {
		if anchors[i].kld <= anchors[i-1].kld {
			t.Errorf("%s is not in order", anchors[i].name)
		}
	}
}

func TestShades(t *testing.T) {
	var h heat
	h.load(3, []int64{0, 1, 8, 3, 8, 4})
	h.agree(4, []metrics.Figure{1, 0.985, 0.3, metrics.Figure(math.NaN())})
	want := [][]int8{{-1, 1, 5, 2, 5, 3}, {0, 2, 7, -1}}
	for y := range want {
		for x := range want[y] {
			if h.levels[y][x] != want[y][x] {
				t.Errorf("row %d: shades %v, want %v", y, h.levels[y], want[y])
				break
			}
		}
	}
	if h.text[0][2] != "2.0" || h.text[1][1] != "98" || h.cells != 10 {
		t.Error(h.text, h.cells)
	}
}
