package rotary

import (
	"math"
	"testing"
)

func near(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d frequencies, want %d", what, len(got), len(want))
	}
	for i := range want {
		if math.Abs(got[i]-want[i]) > 1e-6*want[i] {
			t.Errorf("%s: frequency %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

// The numbers are those of transformers 5.24.0.
func TestFrequencies(t *testing.T) {
	long, a := LongRope(10000, []float64{1, 2, 3, 4, 5, 6, 7, 8}, 8, 512)
	near(t, "longrope", long, []float64{1.0, 0.158113882, 0.0333333351, 0.00790569466, 0.00200000009, 0.00052704633, 0.000142857141, 3.95284733e-05})
	if math.Abs(a-1.1547005383792515) > 1e-12 {
		t.Error(a)
	}
	if _, a := LongRope(10000, []float64{1, 1}, 1, 512); a != 1 {
		t.Error(a)
	}
	near(t, "proportional", Proportional(1e6, 16, 0.25, 0), []float64{1, 0.177827939, 0, 0, 0, 0, 0, 0})
	near(t, "dynamic", Dynamic(1e4, 16, 4, 300, 128), []float64{1.0, 0.242702499, 0.05890451, 0.0142962709, 0.00346974074, 0.000842114794, 0.000204383367, 4.96043576e-05})
	near(t, "dynamic, short", Dynamic(1e4, 16, 4, 100, 128), []float64{1.0, 0.316227764, 0.100000001, 0.0316227786, 0.00999999978, 0.00316227786, 0.00100000005, 0.000316227786})
	f := Default(1e4, 4)
	Learned(f, []float32{0, 1})
	near(t, "learned", f, []float64{1, 0.01 * math.E})
}

func TestScales(t *testing.T) {
	for _, c := range []struct{ got, want float64 }{
		{float64(Temperature(8190, 8192, 0.1)), 1},
		{float64(Temperature(8191, 8192, 0.1)), 1 + 0.1*math.Ln2},
		{float64(Beta(8191, 8192, 0.1)), 1},
		{float64(Beta(8192, 8192, 0.1)), 1 + 0.1*math.Ln2},
		{float64(Log(0, 2, 3)), 3},
		{float64(Log(9, 2, 3)), 2*math.Log(10) + 3},
	} {
		if math.Abs(c.got-c.want) > 1e-6 {
			t.Errorf("%v, want %v", c.got, c.want)
		}
	}
}
