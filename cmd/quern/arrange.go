package main

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"
)

// line is a command line whose flags may have stood anywhere: behind the arguments, or
// before the command. The parser wants them between the two.
type line struct {
	path   []string // the program and its commands
	flags  []string
	args   []string
	ended  bool // by "--": what follows are arguments, whatever they look like
	astray bool // a flag is one of commands below, none of which is named
}

func (l *line) words() []string {
	if l.astray && len(l.args) > 0 { // the word that should have been a command is what to blame
		return slices.Concat(l.path, l.args, l.flags)
	}
	words := slices.Concat(l.path, l.flags)
	if l.ended {
		words = append(words, "--")
	}
	return append(words, l.args...)
}

// arrange takes a command line apart.
func arrange(app *cli.App, words []string) *line {
	l := &line{path: words[:min(1, len(words)):1]}
	commands, flags := app.Commands, slices.Concat([]cli.Flag{cli.HelpFlag, cli.VersionFlag}, app.Flags)
	for i := 1; i < len(words); i++ {
		word := words[i]
		switch {
		case l.ended || word == "-" || !strings.HasPrefix(word, "-"):
			if at := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(word) }); at >= 0 && !l.ended && len(l.args) == 0 {
				l.path, l.astray = append(l.path, word), false
				flags, commands = slices.Concat([]cli.Flag{cli.HelpFlag}, commands[at].Flags), commands[at].Subcommands
				continue
			}
			l.args = append(l.args, word)
		case word == "--":
			l.ended = true
		default:
			l.flags = append(l.flags, word)
			name, _, whole := strings.Cut(strings.TrimLeft(word, "-"), "=")
			f := flagNamed(flags, name)
			if f == nil { // of a command that comes later
				f = flagNamed(allFlags(commands), name)
				l.astray = l.astray || f != nil || len(l.path) == 1
			}
			if f != nil && !whole && takesValue(f) && i+1 < len(words) {
				i++
				l.flags = append(l.flags, words[i])
			}
		}
	}
	if len(l.path) > 1 && (l.on("help") || l.on("h")) {
		l.args = nil // help is for the command, whatever it was to be given
	}
	return l
}

// text is the value of a flag, wherever it stands; the parser may refuse the line yet.
func (l *line) text(flag string) string {
	for i, word := range l.flags {
		name, value, whole := strings.Cut(strings.TrimLeft(word, "-"), "=")
		switch {
		case name != flag || !strings.HasPrefix(word, "-"):
		case whole:
			return value
		case i+1 < len(l.flags):
			return l.flags[i+1]
		}
	}
	return os.Getenv(variable(flag))
}

// on reports whether a switch is.
func (l *line) on(flag string) bool {
	for _, word := range l.flags {
		if word == "--"+flag || word == "-"+flag {
			return true
		}
	}
	on, err := strconv.ParseBool(l.text(flag))
	return err == nil && on
}

func flagNamed(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// allFlags are those of all commands. One name takes a value with all of them or none.
func allFlags(commands []*cli.Command) []cli.Flag {
	var list []cli.Flag
	for _, c := range commands {
		list = slices.Concat(list, c.Flags, allFlags(c.Subcommands))
	}
	return list
}

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}

// likeness is how alike (1: equal) words have to be for one to be taken as a slip for
// the other: by Jaro and Winkler, whose measure weighs a common beginning.
const likeness = 0.85

// meant is the name that a word which is none stands for, "" if none is like it.
func meant(word string, names []string) string {
	best, found := likeness, ""
	for _, n := range names {
		if word == "" || n == "" {
			continue
		}
		if x := smetrics.JaroWinkler(word, n, 0.7, 4); x > best {
			best, found = x, n
		}
	}
	return found
}

// noCommand is the error of a command that does not exist.
func noCommand(commands []*cli.Command, word string) error {
	var names []string
	for _, c := range commands {
		names = append(names, c.Name)
	}
	if s := meant(word, names); s != "" {
		return usagef("there is no command %q; did you mean %s? quern --help lists them", word, s)
	}
	return usagef("there is no command %q; quern --help lists them", word)
}

// onUsageError is what the command line parser has to say.
func onUsageError(c *cli.Context, err error, _ bool) error {
	name, flags := c.Command.HelpName, c.Command.Flags
	if name == "" {
		name, flags = c.App.Name, c.App.Flags
	}
	hint := ""
	if word, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		var names []string
		for _, f := range append([]cli.Flag{cli.HelpFlag}, flags...) {
			names = append(names, f.Names()...)
		}
		if s := meant(word, names); s != "" {
			hint = "did you mean --" + s + "? "
		}
	}
	return usagef("%v; %s%s --help lists the flags", err, hint, name)
}
