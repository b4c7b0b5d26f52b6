package record

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"quern/internal/blake3"
	"quern/internal/blockio"
	"quern/store"
)

const (
	logName      = "records"
	identityName = "\x00identity"
	suffix       = ".states"
)

// Interval is how long a run goes on before anything of it is kept, and at least from
// one saved state to the next.
const Interval = 2 * time.Second

// state is the folder in which a book lasts.
type state struct {
	sink     store.Sink
	id       []byte
	interval time.Duration
	began    time.Time

	log     store.Log // nil until there is something to keep
	waiting []byte    // records for it
	synced  time.Time
	saved   time.Time
	cost    time.Duration // of the last save
	broken  error         // since then nothing is kept
}

// Open makes a book that lasts in a folder, reached through fsys (nil: the machine's),
// with what an earlier run of the same identity has left there. changed says in what an
// earlier run was another one, "" if it was not: what it left is then gone. The folder is
// not there before the run has lasted for an interval. What another run holds is
// store.ErrLocked.
func Open(fsys blockio.FS, dir string, id Identity, interval time.Duration) (b *Book, changed string, err error) {
	raw, err := json.Marshal(id)
	if err != nil {
		return nil, "", err
	}
	now := time.Now()
	s := &state{sink: store.LocalSink(fsys, dir), id: raw, interval: interval, began: now, saved: now, synced: now}
	b = New()
	b.state = s
	s.waiting = appendFrame(nil, identityName, raw)
	_, err = s.sink.Look(logName + store.Partial)
	if errors.Is(err, fs.ErrNotExist) {
		return b, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	if s.log, err = s.sink.Log(logName + store.Partial); err != nil {
		return nil, "", err
	}
	if changed = s.read(b, id); changed != "" || s.log.End() == 0 {
		s.sweep()
		s.log.Keep(0)
	} else {
		s.waiting = nil
	}
	if err := s.log.Cut(); err != nil {
		_ = s.log.Close()
		return nil, "", err
	}
	return b, changed, nil
}

// read takes the records of the log into b, up to what is torn.
func (s *state) read(b *Book, id Identity) (changed string) {
	name, data, at, ok := readFrame(s.log, 0, s.log.Size())
	if !ok || name != identityName {
		return ""
	}
	var its Identity
	if json.Unmarshal(data, &its) != nil {
		return ""
	}
	if d := id.Difference(its); d != "" {
		return d
	}
	for ok {
		s.log.Keep(at)
		if name, data, at, ok = readFrame(s.log, at, s.log.Size()); ok {
			b.add(name, data)
		}
	}
	return ""
}

// begin makes folder and log, when the time has come.
func (s *state) begin() bool {
	if s == nil || s.broken != nil || s.log == nil && time.Since(s.began) < s.interval {
		return false
	}
	if s.log != nil {
		return true
	}
	_, err := s.sink.Make()
	if err == nil {
		s.log, err = s.sink.Log(logName + store.Partial)
	}
	if err == nil && s.log.Size() > 0 { // another run of the same has begun meanwhile
		_ = s.log.Close()
		s.log, err = nil, store.ErrLocked
	}
	s.broken = err
	return err == nil
}

// append writes a record to the log, or waits until there is one.
func (s *state) append(name string, data []byte) {
	if s == nil || s.broken != nil {
		return
	}
	s.waiting = appendFrame(s.waiting, name, data)
	s.flush(false)
}

// flush writes what waits. Records last when the machine stops, after an interval at
// most; that this process does not stop is enough for the others.
func (s *state) flush(sync bool) {
	if !s.begin() {
		return
	}
	if len(s.waiting) > 0 {
		if s.broken = s.log.Append(s.waiting); s.broken != nil {
			return
		}
		s.waiting = nil
	}
	if sync || time.Since(s.synced) >= s.interval {
		s.broken = s.log.Sync()
		s.synced = time.Now()
	}
}

func (s *state) due(n int64, last bool) bool {
	if s.broken != nil || time.Since(s.began) < s.interval {
		return false
	}
	if free, err := s.sink.Free(); err == nil && free >= 0 && free < 4*n {
		return false // others want to write there too
	}
	return last || time.Since(s.saved) >= max(s.interval, 20*s.cost)
}

// save writes a state, with a digest behind it.
func (s *state) save(name string, write func(w io.Writer) error) {
	if s.flush(true); s.log == nil || s.broken != nil {
		return
	}
	s.broken = s.put(name+suffix, write)
}

func (s *state) put(name string, write func(w io.Writer) error) error {
	p, err := s.sink.Create(context.Background(), name)
	if err != nil {
		return err
	}
	w := &summed{to: p, hash: blake3.New()}
	err = write(w)
	if err == nil {
		_, err = w.Write(w.hash.Sum(nil))
	}
	if err == nil {
		return p.Commit()
	}
	p.Discard()
	return err
}

// summed writes one thing behind the other.
type summed struct {
	to   io.WriterAt
	at   int64
	hash *blake3.Hasher
}

func (w *summed) Write(p []byte) (int, error) {
	if err := blockio.WriteFull(w.to, p, w.at); err != nil {
		return 0, err
	}
	w.at += int64(len(p))
	return w.hash.Write(p)
}

// Saved is a state that was saved.
type Saved struct{ store.Object }

// load opens a state that is whole.
func (s *state) load(name string) (*Saved, int64) {
	if s.log == nil {
		return nil, 0
	}
	o, err := s.sink.Open(context.Background(), name+suffix)
	if err != nil {
		return nil, 0
	}
	h := blake3.New()
	n := o.Size() - blake3.Size
	want := make([]byte, blake3.Size)
	if n < 0 || blockio.ReadFull(o, want, n) != nil {
		_ = o.Close()
		return nil, 0
	}
	if _, err := io.Copy(h, io.NewSectionReader(o, 0, n)); err != nil || string(h.Sum(nil)) != string(want) {
		_ = o.Close()
		return nil, 0
	}
	return &Saved{o}, n
}

// sweep removes states.
func (s *state) sweep() {
	names, _ := s.sink.Names()
	for _, n := range names {
		if strings.HasSuffix(strings.TrimSuffix(n, store.Partial), suffix) {
			_ = s.sink.Remove(n)
		}
	}
}

// Close ends a book that lasts. What it has kept goes if the run is done, and stays if
// not; kept says that there is something to go on from, err why nothing was kept.
func (b *Book) Close(done bool) (kept bool, err error) {
	if b == nil || b.state == nil {
		return false, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.state
	b.state = nil
	if !done {
		if len(b.records) > 0 {
			s.began = time.Time{} // of a short run too
		}
		s.flush(true)
	}
	if s.log == nil {
		return false, s.broken
	}
	if !done {
		return s.broken == nil, errors.Join(s.broken, s.log.Close())
	}
	s.sweep()
	_ = s.log.Retire()
	s.sink.Unmake()
	return false, s.broken
}

// Prune removes what runs have left in the folders below dir that nobody went on with
// since a time. It removes nothing but states, and folders that are empty then.
func Prune(fsys blockio.FS, dir string, since time.Time) {
	if fsys == nil {
		fsys = blockio.OS
	}
	list, err := fsys.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range list {
		at := filepath.Join(dir, e.Name())
		st, err := fsys.Stat(filepath.Join(at, logName+store.Partial))
		if err != nil || st.ModTime().After(since) {
			continue
		}
		s := &state{sink: store.LocalSink(fsys, at)}
		if s.log, err = s.sink.Log(logName + store.Partial); err == nil {
			_, _ = (&Book{state: s}).Close(true)
		}
	}
}
