package build

import (
	"encoding/json"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"quern/internal/cpu"
)

func settings(pairs ...string) *debug.BuildInfo {
	b := new(debug.BuildInfo)
	for i := 0; i < len(pairs); i += 2 {
		b.Settings = append(b.Settings, debug.BuildSetting{Key: pairs[i], Value: pairs[i+1]})
	}
	return b
}

func TestRead(t *testing.T) {
	level := levelKey(runtime.GOARCH)
	i := read(settings("-tags", "nogpu,noasm", "CGO_ENABLED", "1", "GOX", "v9", level, "v3",
		"vcs", "git", "vcs.revision", "0123abcd", "vcs.time", "2026-11-29T05:40:00Z", "vcs.modified", "true"), "1.2.3", []string{"cuda"})
	if i.Modified == nil || !*i.Modified {
		t.Error("the changes are not told")
	}
	i.Modified = nil
	want := Info{
		Version: "1.2.3", Commit: "0123abcd", Time: "2026-11-29T05:40:00Z",
		Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Level: "v3", Cgo: true,
		Tags: []string{"nogpu", "noasm"}, Path: cpu.Path(), Paths: cpu.Paths(), Devices: []string{"cuda"},
	}
	if !reflect.DeepEqual(i, want) {
		t.Errorf("got  %+v\nwant %+v", i, want)
	}
}

func TestPrint(t *testing.T) {
	clean, dirty := false, true
	base := Info{Version: "1.2.3", Go: "go1.26.8", OS: "linux", Arch: "amd64", Path: "avx2", Paths: []string{"generic", "table", "avx2", "avx512"}}
	for _, c := range []struct {
		change func(*Info)
		want   []string
	}{
		{func(*Info) {}, []string{"quern 1.2.3\ncommit     unknown: not built by go build in a git clone\n", "go         go1.26.8 linux/amd64\n", "processor  avx2, of generic, table, avx2, avx512\n", "devices    none: built without\n"}},
		{func(i *Info) { i.Commit, i.Time, i.Modified = "abc", "2026-11-29T05:40:00Z", &clean }, []string{"commit     abc of 2026-11-29T05:40:00Z\n"}},
		{func(i *Info) { i.Commit, i.Modified = "abc", &dirty }, []string{"commit     abc, with changes\n"}},
		{func(i *Info) { i.Devices = []string{"cuda", "opencl"} }, []string{"devices    cuda, opencl\n"}},
		{func(i *Info) { i.Tags, i.Level = []string{"nogpu"}, "v1" }, []string{"linux/amd64 v1\n", "tags       nogpu\n"}},
	} {
		i := base
		c.change(&i)
		var b strings.Builder
		i.Print(&b)
		for _, want := range c.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("no %q in:\n%s", want, b.String())
			}
		}
	}
}

// Programs read this: lists are never null, and what is unknown is there.
func TestJSON(t *testing.T) {
	raw, err := json.Marshal(read(new(debug.BuildInfo), "1.2.3", nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"tags":[]`, `"devices":[]`, `"commit":""`, `"modified":null`, `"cpu_path":"` + cpu.Path() + `"`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("no %s in %s", want, raw)
		}
	}
}
