package calibrate_test

import (
	"context"
	"testing"

	"quern/calibrate"
	"quern/corpus"
	"quern/internal/blockio/faultfs"
	"quern/runner"
)

// Where an open file cannot be removed, no state is left behind either.
func TestOpenFilesStay(t *testing.T) {
	j := newJob(t)
	want := j.clean(t)
	dir := t.TempDir()
	o := calibrate.Options{Tool: "test", Pairs: true, Trace: dir + "/trace", FS: &faultfs.FS{NoSync: true, Windows: true}, Runner: runner.Options{TempDir: t.TempDir()}}
	if _, err := calibrate.Run(context.Background(), j.model, j.texts, corpus.Whole(j.texts), dir+"/c", o); err != nil {
		t.Fatal(err)
	}
	sameFolder(t, "open files stay", folder(t, dir), want)
}
