package manual

import (
	"fmt"
	"io"
	"strings"
)

// Page writes the man page of one command of root: its path, as All gives it, and
// itself. Letters outside ASCII are written as escapes, so that pages read the same
// under any locale that has them.
func Page(w io.Writer, root *Command, path, version string) error {
	var b strings.Builder
	var c *Command
	var others []string
	for p, x := range root.All() {
		if p == path {
			c = x
		} else {
			others = append(others, p)
		}
	}
	if c == nil {
		return fmt.Errorf("there is no command %q", path)
	}
	name := PageName(path)
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"%s %s\" \"%s\"\n", strings.ToUpper(roff(name)), root.Name, version, "User commands")
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(name), roff(c.Brief))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n%s\n", roff(path), roff(c.Arguments))
	text, examples, _ := strings.Cut(c.Text, "Example:\n")
	examples, after, _ := strings.Cut(examples, "\n\n")
	if text = strings.TrimSpace(text); text != "" || after != "" {
		b.WriteString(".SH DESCRIPTION\n")
		paragraphs(&b, strings.Trim(text+"\n\n"+strings.TrimSpace(after), "\n"))
	}
	if len(c.Commands) > 0 {
		b.WriteString(".SH COMMANDS\n")
		for _, sub := range c.Commands {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(sub.Name), roff(sub.Brief))
		}
	}
	if len(c.Flags) > 0 {
		b.WriteString(".SH OPTIONS\n")
		for _, f := range c.Flags {
			pageFlag(&b, &f)
		}
	}
	if examples = strings.TrimRight(examples, "\n"); examples != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(strings.ReplaceAll(strings.TrimPrefix(examples, "   "), "\n   ", "\n")))
	}
	if len(others) > 0 {
		b.WriteString(".SH SEE ALSO\n")
		for i, p := range others {
			end := ","
			if i == len(others)-1 {
				end = ""
			}
			fmt.Fprintf(&b, ".BR %s (1)%s\n", roff(PageName(p)), end)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// PageName is the name of a command's page: quern-calibrate-merge.
func PageName(path string) string { return strings.ReplaceAll(path, " ", "-") }

func pageFlag(b *strings.Builder, f *Flag) {
	names := f.dashed()
	for i := range names {
		names[i] = `\fB` + roff(names[i]) + `\fR`
	}
	b.WriteString(".TP\n" + strings.Join(names, ", "))
	if f.Value != "" {
		b.WriteString(` \fI` + roff(f.Value) + `\fR`)
	}
	text := f.Text
	if f.Default != "" {
		text += " (default " + f.Default + ")"
	}
	fmt.Fprintf(b, "\n%s\n", roff(text))
}

// paragraphs writes text; lines that begin with spaces stay lines.
func paragraphs(b *strings.Builder, text string) {
	for i, p := range strings.Split(text, "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		if strings.HasPrefix(p, " ") {
			fmt.Fprintf(b, ".nf\n%s\n.fi\n", roff(p))
			continue
		}
		fmt.Fprintf(b, "%s\n", roff(p))
	}
}

// roff escapes text. Dashes are minus signs, which can be copied to a command line;
// a line must not begin with what would be a request.
func roff(text string) string {
	var b strings.Builder
	begins := true
	for _, r := range text {
		if begins && (r == '.' || r == '\'') {
			b.WriteString(`\&`)
		}
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`)
		case r > '~':
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
		begins = r == '\n'
	}
	return b.String()
}
