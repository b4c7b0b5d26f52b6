// Package build tells what the running program was built from and for, as far as
// its binary knows.
package build

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"quern/internal/cpu"
)

// Info is what a bug report should begin with. Commit, Time and Modified are those
// of a build in a git clone; `go run`, `go test` and builds without git have none.
type Info struct {
	Version  string   `json:"version"`
	Commit   string   `json:"commit"` // "" where unknown
	Time     string   `json:"commit_time"`
	Modified *bool    `json:"modified"` // the clone had changes; null where unknown
	Go       string   `json:"go"`
	OS       string   `json:"os"`
	Arch     string   `json:"arch"`
	Level    string   `json:"arch_level"` // what the Go code was compiled for, v1 of amd64 for one
	Cgo      bool     `json:"cgo"`
	Tags     []string `json:"tags"`
	Path     string   `json:"cpu_path"`  // of kernels, in use
	Paths    []string `json:"cpu_paths"` // that this machine and binary have, the best one last
	Devices  []string `json:"devices"`   // kinds that the binary can drive; the processor is not among them
}

// Read returns what the binary says, with the version and the devices, which it
// does not.
func Read(version string, devices []string) Info {
	b, ok := debug.ReadBuildInfo()
	if !ok {
		b = new(debug.BuildInfo)
	}
	return read(b, version, devices)
}

func read(b *debug.BuildInfo, version string, devices []string) Info {
	i := Info{
		Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
		Tags: []string{}, Path: cpu.Path(), Paths: cpu.Paths(), Devices: append([]string{}, devices...),
	}
	for _, s := range b.Settings {
		switch s.Key {
		case "vcs.revision":
			i.Commit = s.Value
		case "vcs.time":
			i.Time = s.Value
		case "vcs.modified":
			modified := s.Value == "true"
			i.Modified = &modified
		case "CGO_ENABLED":
			i.Cgo = s.Value == "1"
		case "-tags":
			i.Tags = strings.Split(s.Value, ",")
		case levelKey(i.Arch):
			i.Level = s.Value
		}
	}
	return i
}

// levelKey is the go command's setting for variants of an architecture.
func levelKey(arch string) string {
	return "GO" + strings.ToUpper(arch)
}

// Print writes the same for people.
func (i Info) Print(w io.Writer) {
	row := func(name, text string) { fmt.Fprintf(w, "%-10s %s\n", name, text) }
	fmt.Fprintf(w, "quern %s\n", i.Version)
	row("commit", i.commit())
	system := i.Go + " " + i.OS + "/" + i.Arch
	if i.Level != "" {
		system += " " + i.Level
	}
	row("go", system)
	if len(i.Tags) > 0 {
		row("tags", strings.Join(i.Tags, ", "))
	}
	row("processor", i.Path+", of "+strings.Join(i.Paths, ", "))
	if len(i.Devices) == 0 {
		row("devices", "none: built without")
		return
	}
	row("devices", strings.Join(i.Devices, ", "))
}

func (i Info) commit() string {
	if i.Commit == "" {
		return "unknown: not built by go build in a git clone"
	}
	text := i.Commit
	if i.Time != "" {
		text += " of " + i.Time
	}
	if i.Modified != nil && *i.Modified {
		text += ", with changes"
	}
	return text
}
