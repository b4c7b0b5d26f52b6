package blockio

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// Pieces that are gathered reach the file as they were written: those that meet as one, the
// later one where two overlap.
func TestEndsArriveAsWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		want, got := make([]byte, 4096), make([]byte, 4096)
		calls := 0
		write := func(p []byte, off int64) (int, error) {
			calls++
			return copy(got[off:], p), nil
		}
		var e ends
		pieces := 1 + r.IntN(40)
		for range pieces {
			off, n := r.IntN(4000), 1+r.IntN(96)
			p := make([]byte, n)
			for i := range p {
				p[i] = byte(r.Uint32())
			}
			// What others write in the same place comes before or behind all of it.
			if err := e.settle(int64(off), int64(n), write); err != nil {
				t.Fatal(err)
			}
			copy(want[off:], p)
			if err := e.add(p, int64(off), write); err != nil {
				t.Fatal(err)
			}
			clear(p) // the caller's again
		}
		if err := e.all(write); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("other bytes arrived: %v", err)
		}
		if calls > pieces {
			t.Fatalf("%d calls for %d pieces", calls, pieces)
		}
		if calls = 0; e.all(write) != nil || calls > 0 {
			t.Fatal("they were written twice")
		}
	}
	var e ends
	var calls int
	write := func(p []byte, off int64) (int, error) {
		calls++
		return len(p), nil
	}
	for i := range 100 {
		if err := e.add(make([]byte, 100), int64(99-i)*100, write); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.all(write); err != nil || calls != 1 {
		t.Errorf("%d calls, %v, for pieces that meet", calls, err)
	}
}

// There is a bound to what is gathered, and what cannot be written is said once more: a
// Sync that follows does not pass for one of a whole file.
func TestEndsAreBounded(t *testing.T) {
	full := errors.New("no space")
	var fail error
	var calls int
	write := func(p []byte, _ int64) (int, error) {
		calls++
		return len(p), fail
	}
	var e ends
	p := make([]byte, small)
	for i := range 3 * mostEnds / len(p) {
		if err := e.add(p, int64(2*i*len(p)), write); err != nil {
			t.Fatal(err)
		}
		if len(e.kept) > mostEnds {
			t.Fatalf("%d bytes are kept", len(e.kept))
		}
	}
	if calls == 0 {
		t.Error("nothing was written")
	}
	fail = full
	for range 2 {
		if !errors.Is(e.all(write), full) {
			t.Error("a fault was forgotten")
		}
	}
	for range mostEnds / small {
		if err := e.add(p, 1<<40, write); errors.Is(err, full) {
			return
		}
	}
	t.Error("no room, and no fault")
}
