package manual

import (
	"fmt"
	"io"
	"strings"
)

// Fish writes a completion script for fish 3 and newer.
func Fish(w io.Writer, root *Command) error {
	var takes, steps, b strings.Builder
	for path, c := range root.All() {
		for _, f := range c.Flags {
			if f.Value == "" {
				continue
			}
			for _, n := range f.dashed() {
				fmt.Fprintf(&takes, " %s", fishQuoted(path+" "+n))
			}
		}
		for _, sub := range c.Commands {
			fmt.Fprintf(&steps, " %s", fishQuoted(path+" "+sub.Name))
		}
	}
	fn := "_" + identifier(root.Name) // two underscores: fish's own are named so
	fmt.Fprintf(&b, fishScript, root.Name, fn, takes.String(), steps.String())
	for path, c := range root.All() {
		at := fmt.Sprintf("complete -c %s -n %s", root.Name, fishQuoted(fn+"_at "+fishQuoted(path)))
		fmt.Fprintf(&b, "\n# %s\n", path)
		for _, sub := range c.Commands {
			fmt.Fprintf(&b, "complete -c %s -n %s -a %s -d %s\n", root.Name, fishQuoted(fn+"_first "+fishQuoted(path)), sub.Name, fishQuoted(sub.Brief))
		}
		if v := c.takes(); v.paths {
			fmt.Fprintf(&b, "%s -F\n", at)
		} else if len(v.words) > 0 {
			fmt.Fprintf(&b, "%s -a %s\n", at, fishQuoted(strings.Join(v.words, " ")))
		}
		for _, f := range c.Flags {
			b.WriteString(at)
			for _, n := range f.Names {
				if len(n) == 1 {
					b.WriteString(" -s " + n)
				} else {
					b.WriteString(" -l " + n)
				}
			}
			if f.Value != "" {
				switch v := what(f.Value); {
				case v.paths:
					b.WriteString(" -r -F")
				case len(v.words) > 0:
					b.WriteString(" -x -a " + fishQuoted(strings.Join(v.words, " ")))
				default:
					b.WriteString(" -x")
				}
			}
			fmt.Fprintf(&b, " -d %s\n", fishQuoted(f.Text))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// fishQuoted is text as one word of fish, whose single quotes know two escapes.
func fishQuoted(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

const fishScript = `# fish completion for %[1]s, made by "%[1]s completion fish"

# Prints the command that is being typed, and "first" where none of its arguments
# stands before the cursor.
function %[2]s_state
    set -l takes%[3]s
    set -l steps%[4]s
    set -l at %[1]s
    set -l flag
    set -l arguments
    for word in (commandline -opc)[2..-1]
        if test -n "$flag"
            set flag
        else if string match -q -- '-*' $word
            contains -- "$at $word" $takes; and set flag $word
        else if test -z "$arguments"; and contains -- "$at $word" $steps
            set at "$at $word"
        else
            set arguments 1
        end
    end
    echo $at
    test -z "$arguments"; and echo first
end

function %[2]s_at
    set -l state (%[2]s_state)
    test "$state[1]" = $argv[1]
end

function %[2]s_first
    set -l state (%[2]s_state)
    test "$state[1]" = $argv[1]; and test (count $state) = 2
end

complete -c %[1]s -f
`
