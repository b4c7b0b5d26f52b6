// Package manual makes man pages and completion scripts of what a program knows of
// its own commands. It knows no library for command lines, so that all of it is data
// to tests.
//
// The scripts are whole: they ask the program nothing when somebody presses the key.
// They know which flags take a value, which values those are, and where names of
// files and folders belong.
package manual

import (
	"iter"
	"strings"
)

// Command is a program, or a command of one.
type Command struct {
	Name      string
	Brief     string // in half a line
	Arguments string // as they stand in a usage line: "[flags] IN OUT"
	Text      string // paragraphs; lines that begin with spaces are kept as they are
	Flags     []Flag
	Commands  []Command
}

// Flag is an option of a command.
type Flag struct {
	Names   []string // without dashes
	Value   string   // what stands for the value in usage: FILE, N, float|ue8m0; "" for a switch
	Text    string
	Default string
	Repeats bool
}

// All walks a command and all below it, each with its path: quern, quern calibrate,
// quern calibrate merge.
func (c *Command) All() iter.Seq2[string, *Command] {
	return func(yield func(string, *Command) bool) { c.all(c.Name, yield) }
}

func (c *Command) all(path string, yield func(string, *Command) bool) bool {
	if !yield(path, c) {
		return false
	}
	for i := range c.Commands {
		if !c.Commands[i].all(path+" "+c.Commands[i].Name, yield) {
			return false
		}
	}
	return true
}

// dashed are the names as one types them.
func (f *Flag) dashed() []string {
	names := make([]string, len(f.Names))
	for i, n := range f.Names {
		names[i] = "--" + n
		if len(n) == 1 {
			names[i] = "-" + n
		}
	}
	return names
}

// words are the names of the commands below.
func (c *Command) words() []string {
	var names []string
	for _, sub := range c.Commands {
		names = append(names, sub.Name)
	}
	return names
}

// switches are all names of all flags.
func (c *Command) switches() []string {
	var names []string
	for _, f := range c.Flags {
		names = append(names, f.dashed()...)
	}
	return names
}

// identifier is a path as a name of functions.
func identifier(path string) string {
	return "_" + strings.NewReplacer(" ", "_", "-", "_").Replace(path)
}
