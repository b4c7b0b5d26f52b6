//go:build unix

package engine_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"quern/convert/engine"
	"quern/convert/manifest"
	"quern/formats/synth"
	"quern/internal/blockio/faultfs"
	"quern/scheme"
)

// phase says how far a killed run has come, from what it has left.
func phase(files map[string]string, shards int) string {
	done := shardsIn(files)
	switch _, state := files[engine.StateName]; {
	case len(files) == 0:
		return "before the folder"
	case !state:
		return "after the end"
	case files[manifest.Name] != "":
		return "manifest written"
	case done == shards:
		return "shards written"
	case done > 0:
		return "some shards written"
	}
	return "no shard written"
}

// Kill −9 at random moments, also several times in a row, then the same again:
// the folder is that of an uninterrupted run.
func TestKillAtRandomMoments(t *testing.T) {
	ck, p := mustOpen(t, tiny(), tinyShard)
	want := tinyClean()
	slow := childSlow + "=3ms"

	whole := time.Hour
	for range 3 { // the first is slow for reasons of its own
		out := filepath.Join(temp(t), "out")
		c, said := command(out, slow)
		begin := time.Now()
		if err := c.Run(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		whole = min(whole, time.Since(begin))
		sameFiles(t, "not killed", folder(t, out), want)
	}

	seed := rand.Uint64()
	r := source(seed)
	t.Logf("seed %d, a run takes %v", seed, whole.Round(time.Millisecond))
	hit := map[string]int{}
	kills := 20 // QUERN_TEST_KILLS asks for more
	if n, err := strconv.Atoi(os.Getenv("QUERN_TEST_KILLS")); err == nil {
		kills = n
	}
	for k := 0; k < kills; {
		out := filepath.Join(temp(t), "out")
		span := whole
		for range 1 + r.IntN(3) {
			c, said := command(out, slow)
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(r.Int64N(int64(span))))
			span = span * 2 / 3 // a run that goes on is shorter
			_ = c.Process.Kill()
			err := c.Wait()
			if err != nil && c.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				if !strings.Contains(said.String(), engine.ErrComplete.Error()) {
					t.Fatalf("%v: %s", err, said)
				}
			}
			files := folder(t, out)
			onlyFinished(t, "killed", files, want)
			hit[phase(files, len(p.Shards))]++
			k++
		}
		finish(t, ck, p, out, "after kills")
		sameFiles(t, "finished after kills", folder(t, out), want)
	}
	t.Logf("kills: %v", hit)
	if n := hit["no shard written"] + hit["some shards written"] + hit["shards written"] + hit["manifest written"]; n < 3 {
		t.Errorf("only %d kills met a run under way", n)
	}
}

// groups is tiny with rows that groups of every scheme divide.
var groups = sync.OnceValue(func() string {
	dir := filepath.Join(scratch, "groups")
	v := synth.Tiny()
	v.Hidden, v.Inter, v.MoEInter, v.QLora, v.KVLora, v.ShardBytes = 160, 192, 96, 64, 32, 200<<10
	if err := v.Write(dir); err != nil {
		panic(err)
	}
	return dir
})

// So it is in every scheme, those with surveys among them: at some calls, of which the
// first ones lie in surveys.
func TestKillInEveryScheme(t *testing.T) {
	for _, s := range scheme.All {
		t.Run(s.Name, func(t *testing.T) {
			ck, p, err := openFor(groups(), 3*tinyShard, s.Name)
			if err != nil {
				t.Fatal(err)
			}
			fsys := &faultfs.FS{NoSync: true}
			want := convertTo(t, ck, p, filepath.Join(temp(t), "out"), func(o *engine.Options) { through(o, fsys) })
			calls := len(fsys.Calls())
			var at []int
			for i := range 7 {
				at = append(at, 1+i*(calls-1)/6)
			}
			parallel(at, func(n int) {
				out := filepath.Join(temp(t), "out")
				c, said := command(out, fmt.Sprintf("%s=%d", childKill, n), childIn+"="+groups(), childTo+"="+s.Name, fmt.Sprintf("%s=%d", childShard, 3*tinyShard))
				if err := c.Run(); err == nil {
					t.Errorf("call %d of %d was not reached: %s", n, calls, said)
				}
				onlyFinished(t, fmt.Sprintf("killed at call %d", n), folder(t, out), want)
				finish(t, ck, p, out, fmt.Sprintf("killed at call %d", n))
				sameFiles(t, fmt.Sprintf("finished after a kill at call %d of %d", n, calls), folder(t, out), want)
			})
		})
	}
}

// The child kills itself at calls that are spread evenly over a run, so that
// every phase is met whatever the machine's speed.
func TestKillAtEveryPhase(t *testing.T) {
	ck, p := mustOpen(t, tiny(), tinyShard)
	want := tinyClean()
	fsys := &faultfs.FS{NoSync: true}
	convertTo(t, ck, p, filepath.Join(temp(t), "out"), func(o *engine.Options) { through(o, fsys) })
	calls := len(fsys.Calls())
	points := 60
	if raced || testing.Short() {
		points = 30
	}
	var at []int
	for i := range calls {
		at = append(at, i+1)
	}
	phases := make(chan string, points)
	end := at[len(at)-16:] // where the manifest is there and the state goes
	parallel(append(sample(at, points-len(end)), end...), func(n int) {
		dir, err := os.MkdirTemp(scratch, "kill")
		if err != nil {
			t.Error(err)
			return
		}
		defer os.RemoveAll(dir)
		out := filepath.Join(dir, "out")
		c, said := command(out, fmt.Sprintf("%s=%d", childKill, n))
		if err := c.Run(); err == nil {
			t.Errorf("call %d of %d was not reached: %s", n, calls, said)
		}
		files := folder(t, out)
		onlyFinished(t, fmt.Sprintf("killed at call %d", n), files, want)
		phases <- phase(files, len(p.Shards))
		finish(t, ck, p, out, fmt.Sprintf("killed at call %d", n))
		sameFiles(t, fmt.Sprintf("finished after a kill at call %d of %d", n, calls), folder(t, out), want)
	})
	close(phases)
	hit := map[string]int{}
	for x := range phases {
		hit[x]++
	}
	t.Logf("%d calls; kills: %v", calls, hit)
	for _, x := range []string{"before the folder", "no shard written", "some shards written", "shards written", "manifest written"} {
		if hit[x] == 0 {
			t.Errorf("no kill %s", x)
		}
	}
}
