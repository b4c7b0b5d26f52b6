package manual

import (
	"fmt"
	"io"
	"strings"
)

// Zsh writes a completion script for zsh. It works from a folder of fpath, where it
// has to be called _ and the program's name, and when it is sourced.
func Zsh(w io.Writer, root *Command) error {
	var b strings.Builder
	fmt.Fprintf(&b, "#compdef %s\n# zsh completion for %[1]s, made by \"%[1]s completion zsh\"\n", root.Name)
	for path, c := range root.All() {
		fmt.Fprintf(&b, "\n%s() {\n", identifier(path))
		if len(c.Commands) > 0 {
			b.WriteString("    local curcontext=$curcontext state line ret=1\n    typeset -A opt_args\n")
		}
		b.WriteString("    _arguments -s -S")
		if len(c.Commands) > 0 {
			b.WriteString(" -C")
			if !c.takes().paths {
				b.WriteString(" -A '-*'") // what follows the command is the command's
			}
		}
		for i := range c.Flags {
			fmt.Fprintf(&b, " \\\n        %s", zshFlag(&c.Flags[i]))
		}
		if len(c.Commands) == 0 {
			if v := c.takes(); v.paths || len(v.words) > 0 {
				fmt.Fprintf(&b, " \\\n        %s", quoted("*:argument:"+zshAction(v)))
			}
			b.WriteString("\n}\n")
			continue
		}
		first, other := "_describe -t commands command commands && ret=0", ""
		if c.takes().paths {
			first += "\n            _files && ret=0"
			other = "                *) _files && ret=0 ;;\n"
		}
		b.WriteString(" \\\n        '1: :->command' '*:: :->rest' && ret=0\n")
		b.WriteString("    local -a commands=(\n")
		for _, sub := range c.Commands {
			fmt.Fprintf(&b, "        %s\n", quoted(sub.Name+":"+strings.ReplaceAll(sub.Brief, ":", `\:`)))
		}
		fmt.Fprintf(&b, "    )\n    case $state in\n        command)\n            %s ;;\n        rest)\n            case $line[1] in\n", first)
		for _, sub := range c.Commands {
			fmt.Fprintf(&b, "                %s) %s && ret=0 ;;\n", sub.Name, identifier(path+" "+sub.Name))
		}
		b.WriteString(other + "            esac ;;\n    esac\n    return ret\n}\n")
	}
	fn := identifier(root.Name)
	fmt.Fprintf(&b, "\nif [[ $funcstack[1] == %s ]]; then\n    %[1]s \"$@\"\nelse\n    compdef %[1]s %s\nfi\n", fn, root.Name)
	_, err := io.WriteString(w, b.String())
	return err
}

// zshFlag is a flag as _arguments takes it.
func zshFlag(f *Flag) string {
	text := strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`).Replace(f.Text)
	action := ""
	if f.Value != "" {
		action = ":" + strings.NewReplacer(`\`, `\\`, `:`, `\:`).Replace(f.Value) + ":" + zshAction(what(f.Value))
	}
	var specs []string
	for _, n := range f.dashed() {
		spec := n
		if f.Value != "" {
			spec += "="
			if len(n) == 2 {
				spec = n + "+" // -o FILE and -oFILE
			}
		}
		switch {
		case f.Repeats:
			spec = "*" + spec
		case len(f.Names) > 1:
			spec = "(" + strings.Join(f.dashed(), " ") + ")" + spec
		}
		specs = append(specs, quoted(spec+"["+text+"]"+action))
	}
	return strings.Join(specs, " \\\n        ")
}

func zshAction(v values) string {
	switch {
	case v.paths:
		return "_files"
	case len(v.words) > 0:
		return "(" + strings.Join(v.words, " ") + ")"
	}
	return " "
}
