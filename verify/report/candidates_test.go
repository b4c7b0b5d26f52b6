package report

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"quern/verify"
)

// choice is a comparison of n made-up candidates, of which the second fails.
func choice(n int) *verify.Candidates {
	c := &verify.Candidates{Baseline: "/models/tinyseek<", BaselineBytes: 7_300_000}
	for i := range n {
		r := made(tinyShape)
		if i == 1 {
			r = madeFailing(tinyShape)
		}
		r.Checkpoint += strings.Repeat("-x", i)
		c.Add(r, "fp8, e4m3, ue8m0")
	}
	return c
}

func TestCandidates(t *testing.T) {
	page := func(c *verify.Candidates) string {
		var b bytes.Buffer
		if err := Candidates(&b, c, time.Date(2026, 11, 29, 8, 30, 0, 0, time.UTC)); err != nil {
			t.Fatal(err)
		}
		if _, err := elements(b.String()); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	c := choice(3)
	if c.Passed {
		t.Error("passed, though one fails")
	}
	s := page(c)
	if *pages != "" {
		if err := os.WriteFile(filepath.Join(*pages, "candidates.html"), []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		"2 of 3 candidates pass", "3 candidates of tinyseek&lt;", "✗ do not ship", "✓ may be shipped", "Mean KL divergence", "fp8, e4m3, ue8m0",
		`id="candidate-3"`, "weights only", "2026-11-29 08:30 UTC", "The smallest that passes is /models/tinyseek-fp8 with",
	} {
		if !strings.Contains(s, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if again := page(c); again != s {
		t.Error("two pages of one comparison differ")
	}
	if n := len(page(choice(40))); n > 1_500_000 {
		t.Errorf("%d bytes for 40 candidates", n)
	}
	bare := &verify.Candidates{Baseline: "b"} // weights alone, all exact
	bare.Add(&verify.Report{Checkpoint: "c", Weights: &verify.WeightsReport{}}, "none")
	if s := page(bare); !strings.Contains(s, "exact") || strings.Contains(s, "mean KLD") {
		t.Error(s)
	}
	if err := Candidates(brokenWriter{}, c, time.Time{}); err != errBroken {
		t.Error(err)
	}
}

// On a narrow screen each cell stands behind the name of its column, so no two columns
// have one name; a figure's error stands below it, for side by side they run out of a page.
func TestColumnsOfCandidates(t *testing.T) {
	r := made(tinyShape)
	r.Deployment = r.Metrics
	c := &verify.Candidates{Baseline: "b"}
	c.Add(r, "fp8")
	var b strings.Builder
	if err := Candidates(&b, c, time.Time{}); err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(b.String(), "</thead>")
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`<th scope="col"[^>]*>([^<]+)</th>`).FindAllStringSubmatch(head, -1) {
		if seen[m[1]] {
			t.Errorf("two columns are named %q", m[1])
		}
		seen[m[1]] = true
	}
	if len(seen) != 9 {
		t.Errorf("%d columns: %v", len(seen), seen)
	}
	if n := strings.Count(b.String(), "<small>±\u00a00.000049</small>"); n != 2 {
		t.Errorf("%d errors stand below their figures", n)
	}
}
