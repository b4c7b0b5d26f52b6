//go:build unix

package calibrate_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"quern/calibrate"
	"quern/corpus"
	"quern/formats/tokenizer"
	"quern/internal/tinyseek"
	"quern/runner"
)

// tinyText is the embedded model and the text that it is calibrated on, in chunks.
func tinyText(t testing.TB) (*runner.Model, []corpus.Text, []corpus.Chunk) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tinyseek")
	if err := tinyseek.Extract(dir); err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := tok.Encode(string(read(t, filepath.Join(dir, tinyseek.CalibrationText))))
	if err != nil {
		t.Fatal(err)
	}
	texts := []corpus.Text{{Name: tinyseek.CalibrationText, IDs: ids}}
	chunks, err := corpus.Chunks(texts, corpus.ChunkOptions{Context: 512, Prefix: []int{0}, Score: corpus.ScoreAll})
	if err != nil {
		t.Fatal(err)
	}
	return openModel(t, dir), texts, chunks
}

// spent is the processor time of this process: what else runs on the machine does not
// count, only that it slows down.
func spent(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkStatistics compares the processor time of a calibration, with and without
// sketches, with that of the evaluation alone, taken in turn: the medians of ratios.
func BenchmarkStatistics(b *testing.B) {
	m, texts, chunks := tinyText(b)
	seqs := make([][]int, len(chunks))
	tokens := 0
	for i, c := range chunks {
		seqs[i] = c.IDs
		tokens += len(c.IDs)
	}
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprint("workers=", workers), func(b *testing.B) {
			o := runner.Options{Workers: workers, Memory: 1 << 30}
			out := filepath.Join(b.TempDir(), "c")
			least := time.Duration(time.Hour)
			var ratios [3][]float64
			for b.Loop() {
				var took [3]time.Duration
				for i := range took {
					begin := spent(b)
					if i == 0 {
						ev, err := m.Evaluate(context.Background(), seqs, o)
						if err != nil {
							b.Fatal(err)
						}
						ev.Close()
					} else {
						c := calibrate.Options{Tool: "test", Overwrite: true, Runner: o, NoSketches: i == 2, Checkpoint: time.Hour}
						if _, err := calibrate.Run(context.Background(), m, texts, chunks, out, c); err != nil {
							b.Fatal(err)
						}
					}
					took[i] = spent(b) - begin
					ratios[i] = append(ratios[i], took[i].Seconds()/took[0].Seconds())
				}
				least = min(least, took[0])
			}
			median := func(x []float64) float64 { slices.Sort(x); return x[len(x)/2] }
			b.ReportMetric(float64(least.Microseconds())/float64(tokens), "µs/token-plain")
			b.ReportMetric(100*(median(ratios[1])-1), "%more")
			b.ReportMetric(100*(median(ratios[2])-1), "%more-without-sketches")
		})
	}
}
