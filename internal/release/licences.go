package main

import (
	"fmt"
	"io"
	"strings"
)

// licences writes the licence of everything in a binary that others wrote.
func licences(w io.Writer, binary string) error {
	_, list, err := modules(binary)
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("This program contains work of others, under the conditions that follow.\n\n")
	for _, m := range list {
		fmt.Fprintf(&b, "  %s %s  %s\n", m.name(), m.version, m.licence)
	}
	for _, m := range list {
		fmt.Fprintf(&b, "\n%s\n%s %s (%s)\n\n%s\n", strings.Repeat("=", 79), m.name(), m.version, m.licence, m.text)
	}
	_, err = io.WriteString(w, b.String())
	return err
}

func (m module) name() string {
	if m.path == "std" {
		return "Go"
	}
	return m.path
}
