package store

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// A stamp stays while nothing happens, and changes with whatever may have changed the
// content, also where size and time are put back.
func TestStamp(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	write := func(name, text string, when time.Time) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, time.Time{}, when); err != nil {
			t.Fatal(err)
		}
	}
	stamp := func() Stamp {
		t.Helper()
		st, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return StampOf(st)
	}
	when := time.Unix(1_700_000_000, 123)
	write(name, "abc", when)
	first := stamp()
	if stamp() != first {
		t.Error("nothing happened")
	}
	write(name, "abcd", when)
	if stamp() == first {
		t.Error("another size")
	}
	write(name, "abc", when.Add(time.Microsecond))
	if stamp() == first {
		t.Error("another time")
	}
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("this system does not tell more")
	}
	time.Sleep(20 * time.Millisecond) // clocks of file systems are coarse
	write(name, "xyz", when)
	if stamp() == first {
		t.Error("written in place, the time put back")
	}
	write(name+"2", "abc", when)
	if err := os.Rename(name+"2", name); err != nil {
		t.Fatal(err)
	}
	if stamp() == first {
		t.Error("another file in its place")
	}
}
