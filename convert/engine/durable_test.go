package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/convert/engine"
	"quern/convert/manifest"
	"quern/internal/blockio/faultfs"
	"quern/internal/invalid"
)

// What is durable when: a shard's last byte before its sync, that before its name, the
// folder's sync behind it, and only then the line of the state that says so, which is
// synced in turn. Behind all shards come the files that make them a checkpoint, the
// manifest last, and the state goes when the manifest's name is durable.
func TestOrderOfDurability(t *testing.T) {
	restore := engine.DropAlways()
	defer restore()
	ck, p := mustOpen(t, tiny(), tinyShard)
	out := filepath.Join(temp(t), "out")
	fsys := &faultfs.FS{NoSync: true}
	convertTo(t, ck, p, out, func(o *engine.Options) { on(fsys)(o); o.Workers = 1 })
	calls := fsys.Calls()

	find := func(what string, from int, fits func(c faultfs.Call) bool) int {
		t.Helper()
		i := slices.IndexFunc(calls[from:], fits)
		if i < 0 {
			t.Fatalf("%s: no such call", what)
		}
		return from + i
	}
	last := func(what string, fits func(c faultfs.Call) bool) int {
		t.Helper()
		at := -1
		for i, c := range calls {
			if fits(c) {
				at = i
			}
		}
		if at < 0 {
			t.Fatalf("%s: no such call", what)
		}
		return at
	}
	is := func(kind faultfs.Kind, path string) func(faultfs.Call) bool {
		return func(c faultfs.Call) bool { return c.Kind == kind && c.Name == path }
	}
	ascending := func(what string, at ...int) {
		t.Helper()
		for i := 1; i < len(at); i++ {
			if at[i] <= at[i-1] {
				t.Errorf("%s: step %d is call %d, not behind call %d", what, i, at[i], at[i-1])
			}
		}
	}
	state := filepath.Join(out, engine.StateName)
	// The first line of the state is durable before anything is created.
	ascending("begin", find("state", 0, is(faultfs.Write, state)), find("state", 0, is(faultfs.Sync, state)),
		find("first shard", 0, is(faultfs.Create, filepath.Join(out, p.Shards[0].Name+".partial"))))
	end := 0
	for k := range p.Shards {
		path := filepath.Join(out, p.Shards[k].Name+".partial")
		renamed := find("rename", 0, is(faultfs.Rename, path))
		folder := find("sync of the folder", renamed, is(faultfs.SyncDir, out))
		line := find("state's line", folder, is(faultfs.Write, state))
		durable := find("state's sync", line, is(faultfs.Sync, state))
		write, settled := last("write", is(faultfs.Write, path)), last("settle", is(faultfs.Settle, path))
		// The input is looked at again when all of it has been read, before the name.
		look := -1
		for i, c := range calls[:renamed] {
			if c.Kind == faultfs.Stat && slices.ContainsFunc(p.Shards[k].Tensors, func(n int) bool { return ck.Files[p.Tensors[n].Source.File].Path == c.Name }) {
				look = i
			}
		}
		ascending(p.Shards[k].Name, find("reserve", 0, is(faultfs.Reserve, path)), write, settled, look, last("sync", is(faultfs.Sync, path)),
			last("close", is(faultfs.Close, path)), renamed, folder, line, durable)
		end = max(end, durable)
	}
	// Nothing that makes the folder a checkpoint comes before the last shard.
	names := []string{"model.safetensors.index.json", "LICENSE", "encoding/dsv.py", "generation_config.json", "tokenizer.json", "config.json", manifest.Name}
	at := []int{end}
	for _, n := range names {
		path := filepath.Join(out, filepath.FromSlash(n)) + ".partial"
		begun, renamed := find(n, 0, is(faultfs.Create, path)), find(n, 0, is(faultfs.Rename, path))
		synced := find(n, begun, is(faultfs.Sync, path))
		ascending(n, end, begun, synced, renamed, find(n, renamed, is(faultfs.SyncDir, filepath.Dir(path))))
		at = append(at, renamed)
	}
	ascending("config and manifest last", slices.Max(at[:len(at)-2]), at[len(at)-2], at[len(at)-1])
	gone := find("state goes", at[len(at)-1], is(faultfs.Remove, state))
	ascending("the end", find("folder", at[len(at)-1], is(faultfs.SyncDir, out)), gone, find("folder", gone, is(faultfs.SyncDir, out)))
	// The state is locked before it is read or written, and it is made sure that what
	// is locked is what the name stands for.
	ascending("lock", find("open", 0, is(faultfs.Append, state)), find("lock", 0, is(faultfs.Lock, state)), find("look", 0, is(faultfs.Stat, state)),
		find("write", 0, is(faultfs.Write, state)))
}

// A file that goes between its opening and its lock is opened anew: a lock on what
// has no name keeps nobody out.
func TestLockOfAFileThatWent(t *testing.T) {
	ck, p := mustOpen(t, tiny(), tinyShard)
	out := filepath.Join(temp(t), "out")
	restore(t, out, map[string]string{engine.StateName: ""})
	state := filepath.Join(out, engine.StateName)
	fsys := &faultfs.FS{NoSync: true}
	fsys.Hook = func(c faultfs.Call) *faultfs.Fault {
		if c.Kind == faultfs.Lock && c.N == 1 {
			if err := fsys.Remove(state); err != nil { // as a run does that has just finished
				t.Error(err)
			}
			if err := os.WriteFile(state, nil, 0o644); err != nil { // and the next that begins
				t.Error(err)
			}
		}
		return nil
	}
	convertTo(t, ck, p, out, on(fsys))
	opened := 0
	for _, c := range fsys.Calls() {
		if c.Kind == faultfs.Append && c.Name == state {
			opened++
		}
	}
	if opened != 2 {
		t.Errorf("the state was opened %d times, want 2", opened)
	}
}

// A plan that a stage has spoilt is refused before the folder is made.
func TestSpoiltPlan(t *testing.T) {
	ck, p := mustOpen(t, tiny(), tinyShard)
	for i := range p.Tensors {
		if p.Tensors[i].Op.Quantizes() {
			p.Tensors[i].Group = -1 // parted from its scale
			break
		}
	}
	if err := p.Pack(tinyShard); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(temp(t), "out")
	if _, err := start(ck, p, out, quick); err == nil || errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "parted") {
		t.Error(err)
	}
	if files := folder(t, out); len(files) != 0 {
		t.Errorf("the folder holds %v", files)
	}
}
