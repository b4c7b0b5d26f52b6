package manual

import (
	"fmt"
	"io"
	"strings"
)

// Bash writes a completion script for bash 3.2 and newer.
func Bash(w io.Writer, root *Command) error {
	var commands, flags strings.Builder
	for path, c := range root.All() {
		fmt.Fprintf(&commands, "        %s)\n            commands=%s flags=%s values=%s ;;\n",
			quoted(path), quoted(strings.Join(c.words(), " ")), quoted(strings.Join(c.switches(), " ")), quoted(bashValues(c.takes())))
		for _, f := range c.Flags {
			if f.Value == "" {
				continue
			}
			var labels []string
			for _, n := range f.dashed() {
				labels = append(labels, quoted(path+" "+n))
			}
			fmt.Fprintf(&flags, "        %s) values=%s ;;\n", strings.Join(labels, " | "), quoted(bashValues(what(f.Value))))
		}
	}
	_, err := io.WriteString(w, strings.NewReplacer("@name@", root.Name, "@fn@", identifier(root.Name), "@commands@", commands.String(), "@flags@", flags.String()).Replace(bashScript))
	return err
}

// bashValues is what the script's variable "values" holds: / for paths, words, or both.
func bashValues(v values) string {
	words := v.words
	if v.paths {
		words = append([]string{"/"}, words...)
	}
	return strings.Join(words, " ")
}

// quoted is text as one word of a shell.
func quoted(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

const bashScript = `# bash completion for @name@, made by "@name@ completion bash"

# What a command has: the commands below it, its flags, what its arguments may be.
# Values are words; / stands for files and folders.
@fn@_command() {
    case $1 in
@commands@        *) return 1 ;;
    esac
}

# What the value of a flag may be; false for flags without one.
@fn@_flag() {
    case $1 in
@flags@        *) return 1 ;;
    esac
}

@fn@() {
    local cur=${COMP_WORDS[COMP_CWORD]} at=@name@ flag='' arguments='' only='' word i
    local commands flags values
    COMPREPLY=()
    @fn@_command "$at"
    # Bash cuts --flag=value into three words.
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ -n $flag ]]; then
            [[ $word == "=" ]] || flag=''
        elif [[ $word == -- ]]; then
            only=1
        elif [[ -z $only && $word == -* ]]; then
            @fn@_flag "$at $word" && flag=$word
        elif [[ -z $arguments && " $commands " == *" $word "* ]]; then
            at="$at $word"
            @fn@_command "$at"
        else
            arguments=1
        fi
    done
    @fn@_command "$at"
    if [[ -n $flag ]]; then
        @fn@_flag "$at $flag"
        [[ $cur == "=" ]] && cur=''
    elif [[ -z $only && $cur == -* ]]; then
        values=$flags
    elif [[ -z $arguments ]]; then
        values="$values $commands"
    fi
    while IFS= read -r word; do COMPREPLY+=("$word"); done < <(
        [[ " $values " == *" / "* ]] && compgen -f -- "$cur"
        compgen -W "${values#/}" -- "$cur"
    )
    if [[ " $values " == *" / "* ]]; then
        compopt -o filenames -o default 2>/dev/null # bash 4 and newer: quotes names, marks folders
    fi
}

complete -F @fn@ @name@
`
