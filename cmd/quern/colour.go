package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"quern/internal/ui"
	"quern/verify"
)

// coloured reports whether verdicts on f are coloured: on a terminal that can, unless
// NO_COLOR is set to anything (no-color.org).
func coloured(f *os.File, env func(string) string) bool {
	return ui.Terminal(f) && env("NO_COLOR") == "" && env("TERM") != "dumb"
}

// verdicts are the places of a report where a word is a verdict: behind the name of a
// gate, in the last line, and in front of an error. No name in a checkpoint can have
// one coloured elsewhere.
var verdicts = regexp.MustCompile(`^((?:` + strings.Join(verify.GateNames(), "|") + `) +)(passed|FAILED|undecided|not checked)(?: |\n|$)` +
	`|^()(all gates passed|no gate failed|\d+ of \d+ gates failed|quern:)`)

// paint colours the verdicts of whole lines.
func paint(p []byte) []byte {
	var out []byte
	for l := range bytes.Lines(p) {
		m := verdicts.FindSubmatchIndex(l)
		if m == nil {
			out = append(out, l...)
			continue
		}
		from, to := m[4], m[5]
		if from < 0 {
			from, to = m[8], m[9]
		}
		word := l[from:to]
		code := "31" // red
		switch {
		case bytes.HasSuffix(word, []byte("passed")):
			code = "32" // green
		case bytes.Equal(word, []byte("undecided")), bytes.Equal(word, []byte("not checked")), bytes.Equal(word, []byte("no gate failed")):
			code = "33" // yellow
		}
		out = fmt.Appendf(out, "%s\x1b[%sm%s\x1b[0m%s", l[:from], code, word, l[to:])
	}
	return out
}

// asciiOnly reports whether the locale asks for nothing but ASCII: POSIX says which
// variable counts. Where none is set, as in most containers, UTF-8 is understood.
func asciiOnly(env func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := env(name); v != "" {
			return v == "C" || v == "POSIX"
		}
	}
	return false
}

// plainSigns are the signs that quern writes, each in ASCII.
var plainSigns = map[rune]string{
	'→': ">", '×': "x", '–': "-", '…': "...", '·': "*", '≤': "<=", '≥': ">=", '±': "+-", '²': "^2", '÷': "/", '█': "#", '░': ".",
}

// ascii writes text without other characters: signs by likeness, the rest by number.
func ascii(p []byte) []byte {
	return narrow(p, func(out []byte, r rune) []byte {
		if s, ok := plainSigns[r]; ok {
			return append(out, s...)
		}
		q := strconv.QuoteRuneToASCII(r)
		return append(out, q[1:len(q)-1]...)
	})
}

// escapeJSON writes JSON in ASCII: characters beyond it stand in strings only.
func escapeJSON(p []byte) []byte {
	return narrow(p, func(out []byte, r rune) []byte {
		if r > 0xffff {
			r -= 0x10000
			return fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
		return fmt.Appendf(out, `\u%04x`, r)
	})
}

// narrow gives each character beyond ASCII to put.
func narrow(p []byte, put func([]byte, rune) []byte) []byte {
	out := make([]byte, 0, len(p))
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		if r < utf8.RuneSelf {
			out = append(out, p[0])
		} else {
			out = put(out, r)
		}
		p = p[n:]
	}
	return out
}
