package card

import (
	"slices"
	"strconv"
	"strings"

	"quern/convert/plan"
)

// usual are the values of options that go without saying.
var usual = map[string]string{
	"act-scales": "dynamic", "allow-partial-experts": "false", "keep": "", "keep-dtype": "source", "kv-scales": "false", "mtp": "quantize",
	"ragged": "quantize", "requantize": "false", "scale-fmt": "float", "search": "none", "to": "fp8", "mx-scale": "even", "lossless": "false",
}

// several are options that are given once for each word of their value.
var several = []string{"keep", "role"}

// command is the command line that gives p, but for paths.
func command(p *plan.Plan) string {
	words := []string{"quern", p.Command}
	for _, o := range p.Options {
		value, known := usual[o.Name]
		switch {
		case known && value == o.Value, o.Name == "shard-size" && o.Value == strconv.FormatInt(plan.DefaultShardSize, 10):
		case slices.Contains(several, o.Name):
			for _, w := range strings.Fields(o.Value) {
				words = append(words, "--"+o.Name, quote(w))
			}
		case o.Value == "true":
			words = append(words, "--"+o.Name)
		default:
			words = append(words, "--"+o.Name, quote(o.Value))
		}
	}
	if p.Calibration != "" {
		words = append(words, "--calibration", "FILE")
	}
	return strings.Join(append(words, "IN", "OUT"), " ")
}

// quote makes a word that a shell leaves alone.
func quote(w string) string {
	if w != "" && strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.,=/:") == "" {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
