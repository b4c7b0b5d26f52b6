package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"quern/convert"
	"quern/formats/hf"
	"quern/formats/synth"
	"quern/internal/invalid"
	"quern/task"
	"quern/verify"
	"quern/verify/record"
)

// inParts checks that three tasks find what one run has found, whatever that is, put
// together in another order and with one that ran twice. All that tests compare goes
// this way too.
func inParts(t *testing.T, base, cand *hf.Checkpoint, whole *verify.Report) {
	t.Helper()
	var books []*record.Book
	for _, i := range []int{3, 1, 2, 1} {
		b := record.New()
		if err := verify.Share(context.Background(), base, cand, verify.Options{Workers: 1, Records: b, Task: task.Task{I: i, N: 3}}); err != nil {
			t.Fatal(err)
		}
		books = append(books, b)
	}
	all := record.New()
	for _, b := range books {
		all.Take(b)
	}
	r, err := report(base, cand, verify.Options{Records: all, Recorded: true})
	if err != nil {
		t.Fatal(err)
	}
	same(t, whole, r)
}

func report(base, cand *hf.Checkpoint, o verify.Options) (*verify.Report, error) {
	if base == nil {
		return verify.Integrity(context.Background(), cand, o)
	}
	return verify.Compare(context.Background(), base, cand, o)
}

func same(t *testing.T, want, got *verify.Report) {
	t.Helper()
	a, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if string(a) != string(b) {
		t.Errorf("other figures:\n%.3000s\n%.3000s", a, b)
	}
}

// A pass that was cut anywhere goes on with the rest, and reads nothing twice.
func TestGoesOn(t *testing.T) {
	src := tiny(t)
	base, cand := open(t, src), open(t, quantized(t, src, convert.QuantizeOptions{}))
	whole, err := report(base, cand, verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int64{1, whole.Bytes / 3, whole.Bytes} {
		ctx, cancel := context.WithCancel(t.Context())
		b := record.New()
		_, err := verify.Compare(ctx, base, cand, verify.Options{Workers: 2, Records: b, Progress: func(done, _ int64) {
			if done >= cut {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		had := b.Len()
		first := int64(-1)
		r, err := report(base, cand, verify.Options{Workers: 1, Records: b, Begun: func(done, _ int64) { first = done }})
		if err != nil {
			t.Fatal(err)
		}
		same(t, whole, r)
		if had > 2 && first < cut/2 {
			t.Errorf("cut at %d bytes, progress begins at %d", cut, first)
		}
		if b.Len() != whole.Tensors {
			t.Errorf("%d records of %d tensors", b.Len(), whole.Tensors)
		}
	}
}

// Records of other checks are no records; a merge that lacks some says so.
func TestStrangeRecords(t *testing.T) {
	src := tiny(t)
	cand := open(t, quantized(t, src, convert.QuantizeOptions{}))
	b := record.New()
	if _, err := report(nil, cand, verify.Options{Records: b}); err != nil {
		t.Fatal(err)
	}
	if _, err := report(open(t, src), cand, verify.Options{Records: b, Recorded: true}); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "another version of quern") {
		t.Error(err)
	}
	// More tasks than tensors.
	v := synth.Tiny()
	v.Layers, v.Dense = 1, 1
	dir := filepath.Join(t.TempDir(), "few")
	if err := v.Write(dir); err != nil {
		t.Fatal(err)
	}
	few, all := open(t, dir), record.New()
	for i := 1; i <= 100; i++ {
		if err := verify.Share(t.Context(), nil, few, verify.Options{Records: all, Task: task.Task{I: i, N: 100}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := report(nil, few, verify.Options{Records: all, Recorded: true}); err != nil {
		t.Error(err)
	}
}
