package calibrate

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"quern/calibrate/file"
	"quern/formats/safetensors"
	"quern/internal/blake3"
	"quern/internal/blockio"
	"quern/internal/invalid"
	"quern/runner"
	"quern/store"
)

// state are the files of a run that is under way.
type state struct {
	fs     blockio.FS
	path   string // of the calibration file
	log    store.Log
	hidden blockio.File // nil until it is needed
	blobs  []blob       // of layers that are done
	commit *commitRecord
}

func (s *state) logName() string    { return s.path + ".state" + blockio.Partial }
func (s *state) hiddenName() string { return s.path + ".hidden" + blockio.Partial }

// openState takes the state files of a calibration file and reads what an earlier run
// has left there, unless that is to be forgotten. A run that was another one is
// refused.
func openState(fs blockio.FS, path string, run *identity, forget bool) (*state, error) {
	s := &state{fs: fs, path: path}
	var err error
	s.log, err = store.LocalSink(fs, filepath.Dir(path)).Log(filepath.Base(s.logName()))
	if errors.Is(err, store.ErrLocked) {
		return nil, fmt.Errorf("%q: another quern is writing it", path)
	}
	if err != nil {
		return nil, err
	}
	if err := s.load(run, forget); err != nil {
		_ = s.log.Close()
		return nil, err
	}
	if s.log.End() == 0 {
		err := s.restart(run)
		if err != nil {
			s.close(false)
		}
		return s, err
	}
	if err := s.log.Cut(); err != nil {
		_ = s.log.Close()
		return nil, err
	}
	return s, nil
}

// load reads the records up to the last commit that can be gone on from. A torn
// record is the trace of a kill; it and what follows do not count.
func (s *state) load(run *identity, forget bool) error {
	if s.log.Size() == 0 || forget {
		return nil
	}
	r := &logReader{r: bufio.NewReaderSize(io.NewSectionReader(s.log, 0, s.log.Size()), 1<<20)}
	first, err := r.next()
	if err != nil || first == nil || first.Run == nil {
		return err // nothing that a run could have left
	}
	if d := first.Run.difference(run); d != "" {
		return invalid.Errorf("%q: there is an unfinished calibration that differs: %s; finish it with its own command, or give it up with --overwrite", s.logName(), d)
	}
	var blobs []blob
	for {
		rec, err := r.next()
		if err != nil {
			return err
		}
		if rec == nil {
			break
		}
		if rec.Layer != nil {
			blobs = append(blobs, rec.Layer.Blobs...)
			continue
		}
		s.commit, s.blobs = rec.Commit, blobs
		s.log.Keep(r.at)
	}
	if s.commit == nil || s.commit.Slot < 0 {
		return nil
	}
	if s.hidden, err = s.fs.Append(s.hiddenName()); err != nil {
		return fmt.Errorf("opening %q: %w", s.hiddenName(), err)
	}
	return nil
}

// restart forgets what was done.
func (s *state) restart(run *identity) error {
	s.commit, s.blobs = nil, nil
	s.log.Keep(0)
	if err := s.log.Cut(); err != nil {
		return err
	}
	return s.write(&record{Run: run}, nil)
}

// write appends a record and its bytes.
func (s *state) write(rec *record, data []byte) error {
	text, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	line := []byte(lineDigest(text) + " " + string(text) + "\n")
	for _, b := range [][]byte{line, data} {
		if err := s.log.Append(b); err != nil {
			return err
		}
	}
	return nil
}

// layer appends the statistics of a layer.
func (s *state) layer(number int, blobs []blob, data []byte) error {
	sum := blake3.Sum256(data)
	rec := &layerRecord{Number: number, Blobs: blobs, Bytes: int64(len(data)), Digest: hex.EncodeToString(sum[:])}
	if err := s.write(&record{Layer: rec}, data); err != nil {
		return err
	}
	at := s.log.End() - int64(len(data))
	for i := range blobs {
		blobs[i].at = at
		at += blobs[i].Bytes
	}
	s.blobs = append(s.blobs, blobs...)
	return nil
}

// save makes all that is done so far last: a layer and those before it, and the hidden
// states x behind it, unless it was the last one (x nil).
func (s *state) save(layer int, x *runner.Rows) error {
	c := &commitRecord{Layer: layer, Slot: -1}
	if x != nil {
		c.Slot = 0
		if s.commit != nil {
			c.Slot = 1 - s.commit.Slot
		}
		if err := s.store(c, x); err != nil {
			return err
		}
	}
	if err := s.write(&record{Commit: c}, nil); err != nil {
		return err
	}
	if err := s.log.Sync(); err != nil {
		return err
	}
	if s.commit == nil {
		if err := s.fs.SyncDir(filepath.Dir(s.path)); err != nil {
			return fmt.Errorf("syncing folder of %q: %w", s.path, err)
		}
	}
	s.commit = c
	return nil
}

// pieceRows is how many rows are read or written at once.
func pieceRows(width int) int { return max(1, (1<<20)/(4*width)) }

// store writes hidden states to the slot of c and sets its digest.
func (s *state) store(c *commitRecord, x *runner.Rows) (err error) {
	if s.hidden == nil {
		if s.hidden, err = s.fs.Append(s.hiddenName()); err != nil {
			return fmt.Errorf("opening %q: %w", s.hiddenName(), err)
		}
	}
	step := pieceRows(x.Width())
	buf, raw := make([]float32, step*x.Width()), make([]byte, 4*step*x.Width())
	h := blake3.New()
	at := int64(c.Slot) * int64(x.Len()) * int64(x.Width()) * 4
	for first := 0; first < x.Len(); first += step {
		rows, err := x.View(first, min(step, x.Len()-first), buf)
		if err != nil {
			return err
		}
		b := putFloats(raw, rows)
		_, _ = h.Write(b)
		if err := blockio.WriteFull(s.hidden, b, at); err != nil {
			return fmt.Errorf("writing %q: %w", s.hiddenName(), err)
		}
		at += int64(len(b))
	}
	if err := s.hidden.Sync(); err != nil {
		return fmt.Errorf("syncing %q: %w", s.hiddenName(), err)
	}
	c.Digest = hex.EncodeToString(h.Sum(nil))
	return nil
}

// intact reports whether the hidden states of the last commit are what they were:
// rows of so many numbers.
func (s *state) intact(rows, width int) bool {
	if s.commit.Slot < 0 {
		return true
	}
	size := int64(rows) * int64(width) * 4
	h := blake3.New()
	n, err := io.Copy(h, io.NewSectionReader(s.hidden, int64(s.commit.Slot)*size, size))
	return err == nil && n == size && hex.EncodeToString(h.Sum(nil)) == s.commit.Digest
}

// reader is how the runner gets the hidden states of the last commit back.
func (s *state) reader(rows, width int) func(first int, x []float32) error {
	begin := int64(s.commit.Slot) * int64(rows) * int64(width) * 4
	var raw []byte
	return func(first int, x []float32) error {
		if cap(raw) < 4*len(x) {
			raw = make([]byte, 4*len(x))
		}
		raw = raw[:4*len(x)]
		if err := blockio.ReadFull(s.hidden, raw, begin+int64(first)*int64(width)*4); err != nil {
			return fmt.Errorf("reading %q: %w", s.hiddenName(), err)
		}
		getFloats(x, raw)
		return nil
	}
}

// entries are the tensors of all layers.
func (s *state) entries() ([]file.Entry, error) {
	var out []file.Entry
	for i := range s.blobs {
		b := &s.blobs[i]
		d, err := safetensors.ParseDType(b.DType)
		if err != nil {
			return nil, err
		}
		data := func(w io.Writer) error {
			_, err := io.Copy(w, io.NewSectionReader(s.log, b.at, b.Bytes))
			return err
		}
		for _, name := range b.Names {
			out = append(out, file.Entry{Name: name, DType: d, Shape: b.Shape, Data: data})
		}
	}
	return out, nil
}

// close closes the files. They stay if keep is set and there is something to go on
// from.
func (s *state) close(keep bool) {
	if s.hidden != nil {
		_ = s.hidden.Close()
	}
	if keep && s.commit != nil {
		_ = s.log.Close()
		return
	}
	_ = s.fs.Remove(s.hiddenName())
	_ = s.log.Retire() // the lock goes last
}
