package cpu

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

type kernels struct{ name string }

func TestSet(t *testing.T) {
	old := Path()
	defer func() {
		if err := Set(old); err != nil {
			t.Error(err)
		}
	}()
	name := func(k *kernels) string { return k.name }
	all := Choose(name, &kernels{"generic"}, &kernels{"table"}, &kernels{"avx2"}, &kernels{"avx512"})
	few := Choose(name, &kernels{"generic"}, &kernels{"avx2"})
	for _, p := range Paths() {
		want := p
		if p == "table" || p == "avx512" {
			want = map[string]string{"table": "generic", "avx512": "avx2"}[p]
		}
		if err := Set(p); err != nil || Path() != p || all.Load().name != p || few.Load().name != want {
			t.Errorf("%s: %v, path %s, %s and %s", p, err, Path(), all.Load().name, few.Load().name)
		}
	}
	best := Paths()[len(Paths())-1]
	for _, auto := range []string{"", "auto"} {
		if err := Set("generic"); err != nil {
			t.Fatal(err)
		}
		if err := Set(auto); err != nil || Path() != best || all.Load().name != best {
			t.Errorf("%q: %v, path %s", auto, err, Path())
		}
	}
	for _, bad := range []string{"sse", "AVX2", "neon"} {
		if err := Set(bad); err == nil || !strings.Contains(err.Error(), `"`+bad+`" is unknown; use one of generic, table`) || Path() != best {
			t.Errorf("%s: %v, path %s", bad, err, Path())
		}
	}
	if later := Choose(name, &kernels{"generic"}, &kernels{best}); later.Load().name != best {
		t.Errorf("a choice made later: %s", later.Load().name)
	}
}

// A path that is known and not there is named as such.
func TestAbsent(t *testing.T) {
	if best() == avx512 {
		t.Skip("this machine has every path")
	}
	if err := Set("avx512"); err == nil || !strings.Contains(err.Error(), "has no avx512, only generic, table") {
		t.Error(err)
	}
}

// The environment is read once, at start, by this package alone.
func TestEnvironment(t *testing.T) {
	if v, ok := os.LookupEnv("QUERN_CPU_CHILD"); ok {
		err := FromEnv()
		if v == "nonsense" {
			if err == nil || !strings.Contains(err.Error(), "QUERN_CPU") {
				t.Error(err)
			}
		} else if err != nil || Path() != v {
			t.Errorf("%v, path %s", err, Path())
		}
		return
	}
	for _, v := range []string{"generic", "table", "nonsense"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestEnvironment$")
		cmd.Env = append(os.Environ(), Env+"="+v, "QUERN_CPU_CHILD="+v)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", v, err, out)
		}
	}
}
