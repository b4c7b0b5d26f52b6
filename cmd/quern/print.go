package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"quern/internal/ui"
)

// clean makes text that comes from a checkpoint fit to print. Control
// characters, and what else has no shape of its own, are escaped: a name must
// neither move the cursor nor begin a line.
func clean(s string) string {
	odd := func(r rune) bool { return !strconv.IsPrint(r) || r == utf8.RuneError }
	if !strings.ContainsFunc(s, odd) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
		s = s[n:]
	}
	return b.String()
}

// results is where results go: standard output. It remembers the first error,
// so that a full disk does not pass for success, and lets no control code
// through, whatever printed it.
type results struct {
	file          *os.File
	err           error
	begun         bool // something was written
	ascii, colour bool
}

// Write never fails: printers need not look at errors one by one.
func (r *results) Write(p []byte) (int, error) {
	r.begun = r.begun || len(p) > 0
	if r.err == nil {
		text := screen(p)
		if r.ascii {
			text = ascii(text)
		}
		if r.colour {
			text = paint(text)
		}
		_, r.err = r.file.Write(text)
	}
	return len(p), nil
}

// screen replaces control codes but line feeds by what a terminal shows when
// one types them: ^[ for escape, ^? for delete, and M-^[ for U+009B, which terminals
// obey as escape with a bracket.
func screen(p []byte) []byte {
	code := func(c byte) bool { return c < ' ' && c != '\n' || c == 0x7f || c == 0xc2 }
	if !slices.ContainsFunc(p, code) {
		return p
	}
	out := make([]byte, 0, len(p)+16)
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == 0xc2 && i+1 < len(p) && p[i+1] < 0xa0: // U+0080 to U+009F
			i++
			out = append(out, 'M', '-', '^', p[i]-0x40)
		case c == 0xc2 || !code(c):
			out = append(out, c)
		default:
			out = append(out, '^', c^0x40)
		}
	}
	return out
}

// item writes a line of a list.
func item(w io.Writer, text string) { fmt.Fprintf(w, "  %s\n", ui.Wrap(clean(text), 2, 6)) }

// printList writes a list under a heading, and nothing when it is empty.
func printList(w io.Writer, head string, list []string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", head)
	for i, s := range list {
		if i == 20 && len(list) > 21 {
			fmt.Fprintf(w, "  and %d more\n", len(list)-i)
			return
		}
		item(w, s)
	}
}

// shape writes dimensions: 7168×2048; a scalar has none.
func shape(s []int64) string {
	if len(s) == 0 {
		return "scalar"
	}
	parts := make([]string, len(s))
	for i, n := range s {
		parts[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(parts, "×")
}

// count writes a number of things.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
