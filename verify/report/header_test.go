package report

import (
	"slices"
	"strings"
	"testing"

	"quern/convert/serving"
	"quern/verify"
)

func TestBadges(t *testing.T) {
	texts := func(r *verify.Report) (out []string) {
		for _, b := range badges(r) {
			out = append(out, b.Class+":"+b.Text)
		}
		return out
	}
	note := func(s serving.Severity, engine string) serving.Note {
		return serving.Note{Engine: engine, Severity: s}
	}
	for _, c := range []struct {
		change func(r *verify.Report)
		want   []string
	}{
		{func(*verify.Report) {}, []string{":with emulated activations (fp8)"}},
		{func(r *verify.Report) { r.Setup.Activations = "bf16" }, []string{":weights only"}},
		{func(r *verify.Report) { r.Metrics = nil }, nil},
		{func(r *verify.Report) {
			r.Setup.Activations = "bf16"
			r.Engines = []serving.Note{note(serving.Limits, "a"), note(serving.Refuses, "b<"), note(serving.Limits, "a"), note(serving.Limits, "c"), note(serving.Misreads, "d"), note(serving.Informs, "e")}
		}, []string{":weights only", "fail:misread by d", "fail:refused by b<", ":limited in a, c"}},
		{func(r *verify.Report) {
			r.Setup, r.Engines = nil, []serving.Note{note(serving.Informs, "e")}
		}, []string{":no engine is known to refuse or misread it"}},
	} {
		r := small()
		c.change(r)
		if got := texts(r); !slices.Equal(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// The failing tensor is marked in the charts, by name.
func TestFailedTensorIsMarked(t *testing.T) {
	r := samples()["failing"]
	name := r.Weights.Tensors[0].Name
	s := html(t, r)
	if n := strings.Count(s, `<circle class="failed"`); n != 3 { // by role, by layer, the legend
		t.Errorf("%d marks", n)
	}
	if !strings.Contains(s, "<title>"+name+": 18.42\u202fdB</title>") {
		t.Error("the mark has no name")
	}
	if strings.Contains(html(t, samples()["tiny"]), `class="failed"`) {
		t.Error("what passes is marked")
	}
}

func TestHeader(t *testing.T) {
	s := html(t, small())
	for _, want := range []string{
		"<dt>architecture</dt><dd class=\"code\">qwen3_moe", "active for a token", "<dt>calibration</dt><dd class=\"code\">00ff&lt;",
		"<dt>texts</dt><dd class=\"code\">it&#39;s.txt: 3 tokens", "2026-11-29 07:30 UTC",
	} {
		if !strings.Contains(s, want) {
			t.Errorf("the header lacks %q", want)
		}
	}
	many := textsRead(make([]verify.TextSource, 1005))
	if !strings.HasSuffix(many, "and 1,002 more: 0 tokens") {
		t.Error(many)
	}
}
