package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"quern/internal/ui"

	"github.com/urfave/cli/v2"
)

// printHelp writes the help of the program or of a command, set to columns.
func printHelp(w io.Writer, _ string, of any) {
	switch x := of.(type) {
	case *cli.App:
		fmt.Fprintf(w, "%s\n\nusage: %s COMMAND [flags] …\n\n%s\n\ncommands (quern COMMAND --help tells more):\n", ui.Wrap(x.Name+": "+x.Usage, 0, 2), x.Name, fitted(x.Description))
		rows := make([][2]string, len(x.Commands))
		for i, c := range x.Commands {
			rows[i] = [2]string{c.Name, c.Usage}
		}
		printColumns(w, rows)
		printFlags(w, x.VisibleFlags())
	case *cli.Command:
		fmt.Fprintf(w, "%s\n\n%s\n\n%s\n", ui.Wrap(x.HelpName+": "+x.Usage, 0, 2), ui.Wrap("usage: "+x.HelpName+" "+x.ArgsUsage, 0, 2), fitted(x.Description))
		printFlags(w, x.VisibleFlags())
	}
}

// fitted sets paragraphs anew for a terminal that is narrower than they are written for.
// Lines that begin with spaces stay: they are to be typed.
func fitted(text string) string {
	if ui.TextWidth() == ui.Columns {
		return text
	}
	var out, paragraph []string
	flush := func() {
		if len(paragraph) > 0 {
			out = append(out, ui.Wrap(strings.Join(paragraph, " "), 0, 0))
			paragraph = nil
		}
	}
	for l := range strings.SplitSeq(text, "\n") {
		if l == "" || l[0] == ' ' {
			flush()
			out = append(out, l)
			continue
		}
		paragraph = append(paragraph, l)
		if strings.HasSuffix(l, ":") { // what follows is to be typed, or a list
			flush()
		}
	}
	flush()
	return strings.Join(out, "\n")
}

func printFlags(w io.Writer, flags []cli.Flag) {
	rows := make([][2]string, len(flags))
	for i, f := range flags {
		for k, name := range f.Names() {
			switch {
			case len(name) == 1:
				rows[i][0] += ", -" + name
			case k > 0:
				rows[i][0] += ", --" + name
			default:
				rows[i][0] += "--" + name
			}
		}
		d, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		value, text := placeholder(d.GetUsage())
		if value != "" {
			rows[i][0] += " " + value
		}
		if s := strings.Trim(d.GetDefaultText(), `"`); d.TakesValue() && s != "" && s != "0" {
			text += " (default " + s + ")"
		}
		rows[i][1] = text
	}
	fmt.Fprintln(w, "\nflags:")
	printColumns(w, rows)
}

// placeholder divides the usage of a flag into the name of its value, which
// stands in front between backquotes, and the text.
func placeholder(usage string) (value, text string) {
	if rest, ok := strings.CutPrefix(usage, "`"); ok {
		if value, text, ok := strings.Cut(rest, "`"); ok {
			return value, strings.TrimSpace(text)
		}
	}
	return "", usage
}

// printColumns writes names and what they stand for.
func printColumns(w io.Writer, rows [][2]string) {
	width, most := 0, ui.TextWidth()/2-4
	for _, r := range rows {
		if n := utf8.RuneCountInString(r[0]); n <= most {
			width = max(width, n)
		}
	}
	at := 2 + width + 2
	for _, r := range rows {
		if utf8.RuneCountInString(r[0]) > most { // a long list of values, or a narrow terminal: its text stands below
			fmt.Fprintf(w, "  %s\n      %s\n", r[0], ui.Wrap(r[1], 6, 6))
			continue
		}
		fmt.Fprintf(w, "  %s%s%s\n", r[0], strings.Repeat(" ", at-2-utf8.RuneCountInString(r[0])), ui.Wrap(r[1], at, at))
	}
}

func helpCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:        "help",
		Usage:       "explain a command",
		ArgsUsage:   "[COMMAND]",
		Description: "The same as quern COMMAND --help; without a command, what quern --help says.\n\nExample:\n   quern help quantize",
		Action: func(c *cli.Context) error {
			commands := c.App.Commands
			var of any = c.App
			path := c.App.Name
			for _, word := range c.Args().Slice() {
				at := slices.IndexFunc(commands, func(x *cli.Command) bool { return x.HasName(word) })
				if at < 0 {
					return noCommand(commands, word)
				}
				x := *commands[at]
				path += " " + x.Name
				x.HelpName = path
				x.Flags = append(slices.Clone(x.Flags), cli.HelpFlag)
				of, commands = &x, x.Subcommands
			}
			printHelp(t.out, "", of)
			return nil
		},
	}
}
