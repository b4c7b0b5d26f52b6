package calibrate_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"quern/calibrate"
	"quern/formats/tokenizer"
	"quern/internal/tinyseek"
	"quern/verify/evaluation"
	"quern/verify/runner"
)

// tinyText is the embedded model and the text that it is calibrated on, in chunks.
func tinyText(t testing.TB) (*runner.Model, []evaluation.Text, []evaluation.Chunk) {
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
	texts := []evaluation.Text{{Name: tinyseek.CalibrationText, IDs: ids}}
	chunks, err := evaluation.Chunks(texts, evaluation.ChunkOptions{Context: 512, BOS: 0, Score: evaluation.ScoreAll})
	if err != nil {
		t.Fatal(err)
	}
	return openModel(t, dir), texts, chunks
}

// BenchmarkStatistics compares a calibration with the evaluation alone: the best of
// many, taken in turn, since other work on the machine only adds.
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
			best := [3]time.Duration{time.Hour, time.Hour, time.Hour}
			for b.Loop() {
				for i := range best {
					begin := time.Now()
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
					best[i] = min(best[i], time.Since(begin))
				}
			}
			b.ReportMetric(float64(tokens)/best[0].Seconds(), "tokens/s-plain")
			b.ReportMetric(float64(tokens)/best[1].Seconds(), "tokens/s")
			b.ReportMetric(100*(best[1].Seconds()/best[0].Seconds()-1), "%more")
			b.ReportMetric(100*(best[2].Seconds()/best[0].Seconds()-1), "%more-without-sketches")
		})
	}
}
