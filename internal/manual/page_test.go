package manual

import (
	"strings"
	"testing"
)

var sample = Command{
	Name: "mill", Brief: "grinds – finely", Arguments: "COMMAND", Text: "Grinds.\n\n.hidden lines and 'quotes\n\nExample:\n   mill grind --to fine in\n\nExit codes: 0 done.",
	Commands: []Command{{
		Name: "grind", Brief: "one sack", Arguments: "[flags] IN",
		Flags: []Flag{{Names: []string{"to"}, Value: "fine|coarse", Text: `how; \n stays`, Default: "fine"}, {Names: []string{"output", "o"}, Value: "FILE"}},
	}},
}

// Text is neither a request nor an escape of the formatter, and dashes can be copied.
func TestPage(t *testing.T) {
	for path, wants := range map[string][]string{
		"mill": {
			".TH MILL 1 \"\" \"mill 1.2\" ", "mill \\- grinds \\[u2013] finely\n", "\\&.hidden lines and 'quotes\n", ".SH EXAMPLES\n.nf\nmill grind \\-\\-to fine in\n.fi\n",
			"Exit codes: 0 done.\n", ".TP\n.B grind\none sack\n", ".BR mill\\-grind (1)\n",
		},
		"mill grind": {".B mill grind\n[flags] IN\n", ".TP\n\\fB\\-\\-to\\fR \\fIfine|coarse\\fR\nhow; \\en stays (default fine)\n", "\\fB\\-\\-output\\fR, \\fB\\-o\\fR \\fIFILE\\fR\n"},
	} {
		var b strings.Builder
		if err := Page(&b, &sample, path, "1.2"); err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s: no %q in:\n%s", path, want, b.String())
			}
		}
	}
	if err := Page(new(strings.Builder), &sample, "mill stop", "1.2"); err == nil {
		t.Error("a page of no command was written")
	}
}

func TestValues(t *testing.T) {
	for placeholder, want := range map[string]string{
		"FILE": "/", "SIZE": "", "float|ue8m0": "float ue8m0", "auto|cuda[:n]": "auto cuda", "NAME=LIMIT|off": "off", "bf16": "bf16",
	} {
		if got := bashValues(what(placeholder)); got != want {
			t.Errorf("%s: %q, want %q", placeholder, got, want)
		}
	}
	for usage, want := range map[string]string{
		"[flags] IN OUT": "/", "[flags] [IN [OUT]]": "/", "[flags]": "", "bash|zsh": "bash zsh", "COMMAND [flags] …": "",
		"--load F | --trace F  --ranks N [flags]": "", "--text FILE… | --ids FILE [flags] -o FILE CKPT": "/", "-o FILE A B …": "/",
		"[--baseline CKPT | --reference FILE] [--text FILE…] [flags] CKPT|OUTPUTS": "/", "--to bf16 [flags] IN OUT": "/",
	} {
		if got := bashValues((&Command{Arguments: usage}).takes()); got != want {
			t.Errorf("%q: %q, want %q", usage, got, want)
		}
	}
}
