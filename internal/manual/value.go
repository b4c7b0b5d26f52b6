package manual

import (
	"regexp"
	"slices"
	"strings"
)

// values is what may stand in a place: names of files and folders, one of some words,
// or what nobody can guess.
type values struct {
	paths bool
	words []string
}

// free are the placeholders of values that cannot be listed. One that is neither here
// nor a list of words is taken for a path: to be offered files in vain does less harm
// than not to be offered them.
var free = []string{"N", "K", "R", "G", "E", "T", "X", "SIZE", "TEXT", "GLOB", "NAME", "NUMBER", "SECONDS", "DURATION", "STRING", "URL", "COMMAND"}

// what tells the values that a placeholder stands for. float|ue8m0 are two words,
// cuda[:n] is the word cuda, NAME=LIMIT|off is free, FILE is a path.
func what(placeholder string) values {
	parts := strings.Split(placeholder, "|")
	var v values
	for _, p := range parts {
		word, _, _ := strings.Cut(p, "[")
		switch {
		case word == "":
		case word == strings.ToLower(word):
			v.words = append(v.words, word)
		case !slices.Contains(free, word) && !strings.ContainsAny(word, "=<>"):
			v.paths = true
		}
	}
	return v
}

// notArguments is what a usage line holds beside arguments: groups in brackets that
// have flags in them, flags with their values, and dots.
var notArguments = regexp.MustCompile(`\[[^\]]*(--|flags)[^\]]*\]|--?[a-z][a-z-]* +[A-Za-z0-9_|]+(…| …)?|[…|()]`)

// takes tells what arguments may be, of a usage line: "[flags] IN OUT".
func (c *Command) takes() values {
	var v values
	for f := range strings.FieldsSeq(c.Arguments) {
		if f == strings.ToLower(f) && strings.Contains(f, "|") && f != "|" && !strings.ContainsAny(f, "[-") {
			return what(f) // bash|zsh|fish
		}
	}
	rest := notArguments.ReplaceAllString(c.Arguments, " ")
	for f := range strings.FieldsSeq(strings.Trim(rest, " ")) {
		if f = strings.Trim(f, "[]"); f != "" && f == strings.ToUpper(f) {
			v.paths = v.paths || what(f).paths
		}
	}
	return v
}
