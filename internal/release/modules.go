package main

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

// module is a part of a binary that somebody else wrote.
type module struct {
	path, version string
	sum           string // of go.sum; Go itself has none
	licence       string // by SPDX's list
	text          string // of its licence
}

// modules are the modules that the linker put into a binary, and says so in it, with
// Go's own library in front. What a binary was linked without is not among them,
// whatever go.mod lists.
func modules(binary string) (*debug.BuildInfo, []module, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, nil, err
	}
	root, err := command("go", "env", "GOROOT")
	if err != nil {
		return nil, nil, err
	}
	version := strings.TrimPrefix(strings.Fields(info.GoVersion)[0], "go")
	if have := strings.TrimPrefix(runtime.Version(), "go"); have != version {
		return nil, nil, fmt.Errorf("%s was made with Go %s, this is %s", binary, version, have)
	}
	list := []module{{path: "std", version: version}}
	dirs := []string{root}
	for _, d := range info.Deps {
		if d.Replace != nil {
			return nil, nil, fmt.Errorf("%s: module %s is replaced", binary, d.Path)
		}
		dir, err := command("go", "list", "-mod=mod", "-m", "-f", "{{.Dir}}", d.Path+"@"+d.Version)
		if err != nil {
			return nil, nil, err
		}
		list = append(list, module{path: d.Path, version: d.Version, sum: d.Sum})
		dirs = append(dirs, dir)
	}
	for i := range list {
		if err := list[i].findLicence(dirs[i]); err != nil {
			return nil, nil, fmt.Errorf("module %s %s: %w", list[i].path, list[i].version, err)
		}
	}
	return info, list, nil
}

func command(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// known are words of licences that others do not have, the more particular first.
var known = []struct{ id, words string }{
	{"Apache-2.0", "Apache License Version 2.0"},
	{"CC0-1.0", "CC0 1.0 Universal"},
	{"BSD-3-Clause", "Neither the name of"},
	{"BSD-2-Clause", "Redistributions in binary form must reproduce"},
	{"MIT", "Permission is hereby granted, free of charge"},
	{"ISC", "Permission to use, copy, modify, and/or distribute"},
}

// findLicence reads the licence files of a module's folder. One that is not in the
// table is an error: somebody has to read it.
func (m *module) findLicence(dir string) error {
	var texts []string
	for _, pattern := range []string{"LICENSE*", "LICENCE*", "COPYING*", "NOTICE*", "PATENTS*"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			texts = append(texts, strings.TrimSpace(string(text)))
		}
	}
	m.text = strings.Join(texts, "\n\n")
	flat := strings.Join(strings.Fields(m.text), " ")
	for _, k := range known {
		if strings.Contains(flat, k.words) {
			m.licence = k.id
			return nil
		}
	}
	return fmt.Errorf("its licence is not known: look at %s", dir)
}
