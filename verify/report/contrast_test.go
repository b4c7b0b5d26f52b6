package report

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"quern/internal/svg"
)

// palette reads the custom properties of a rule of the style sheet.
func palette(t *testing.T, rule string) map[string][3]float64 {
	t.Helper()
	out := map[string][3]float64{}
	for _, m := range regexp.MustCompile(`--([a-z]+):#([0-9a-f]{3,6})`).FindAllStringSubmatch(rule, -1) {
		hex := m[2]
		if len(hex) == 3 {
			hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
		}
		var c [3]float64
		for i := range c {
			n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			c[i] = float64(n) / 255
		}
		out[m[1]] = c
	}
	return out
}

// contrast is that of two colours by WCAG 2.2.
func contrast(a, b [3]float64) float64 {
	luminance := func(c [3]float64) float64 {
		for i, x := range c {
			if x <= 0.04045 {
				c[i] = x / 12.92
			} else {
				c[i] = math.Pow((x+0.055)/1.055, 2.4)
			}
		}
		return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2]
	}
	la, lb := luminance(a), luminance(b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// Text can be read in both modes, on shades of heat maps too: 4.5 is what WCAG asks for
// text, 3 for signs.
func TestContrast(t *testing.T) {
	rules := regexp.MustCompile(`:root\{[^}]*\}`).FindAllString(pageCSS, -1)
	if len(rules) != 2 {
		t.Fatal("the style sheet has not two palettes")
	}
	for i, mode := range []string{"light", "dark"} {
		p := palette(t, rules[i])
		if len(p) != 7 {
			t.Fatalf("%s: %v", mode, p)
		}
		for _, ink := range []string{"ink", "muted", "accent", "bad"} {
			for _, on := range []string{"paper", "tint"} {
				if c := contrast(p[ink], p[on]); c < 4.5 {
					t.Errorf("%s: %s on %s has %.2f", mode, ink, on, c)
				}
			}
		}
		last := 0.0
		for level := range svg.Levels {
			m := regexp.MustCompile(fmt.Sprintf(`rect\.h%d\{[^}]*fill-opacity:([0-9.]+)`, level)).FindStringSubmatch(svg.Style)
			if m == nil {
				t.Fatalf("no shade %d", level)
			}
			opacity, err := strconv.ParseFloat(m[1], 64)
			if err != nil || opacity <= last {
				t.Fatalf("shade %d: %v after %v, %v", level, opacity, last, err)
			}
			last = opacity
			var shade [3]float64
			for k := range shade {
				shade[k] = opacity*p["accent"][k] + (1-opacity)*p["paper"][k]
			}
			h := svg.HeatMap{Rows: []int{0}, Levels: [][]int8{{int8(level)}}, Text: [][]string{{"1"}}}
			ink := "ink"
			if strings.Contains(string(h.HTML()), `class="over"`) {
				ink = "paper"
			}
			if c := contrast(p[ink], shade); c < 4.5 {
				t.Errorf("%s: %s on shade %d has %.2f", mode, ink, level, c)
			}
		}
	}
}
