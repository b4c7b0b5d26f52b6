package record

import (
	"io"
	"strings"
	"sync"
	"time"
)

// Book has the records of a verification. The nil book has none and takes none. It is
// safe for concurrent use.
type Book struct {
	mu      sync.Mutex
	records map[string][]byte
	names   []string // in the order in which they came
	bytes   int64    // of the records
	state   *state   // where it lasts; nil: it does not
}

// New is an empty book that does not last.
func New() *Book { return &Book{records: map[string][]byte{}} }

// Get returns a record.
func (b *Book) Get(name string) ([]byte, bool) {
	if b == nil {
		return nil, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	data, ok := b.records[name]
	return data, ok
}

// Put adds a record. It never fails: what cannot be kept is looked for again some day.
func (b *Book) Put(name string, data []byte) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(name, data)
	b.state.append(name, data)
}

// add takes the first record of a name: a task that ran twice found the same.
func (b *Book) add(name string, data []byte) {
	if _, there := b.records[name]; !there {
		b.records[name] = data
		b.bytes += int64(len(data))
		b.names = append(b.names, name)
	}
}

// Take adds all records of another book.
func (b *Book) Take(other *Book) {
	for _, name := range other.names {
		b.add(name, other.records[name])
	}
}

// Count is the number of records whose names begin with a text.
func (b *Book) Count(prefix string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, name := range b.names {
		if strings.HasPrefix(name, prefix) {
			n++
		}
	}
	return n
}

// Len is the number of records.
func (b *Book) Len() int {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.records)
}

// Bytes is the memory that the records take.
func (b *Book) Bytes() int64 {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes
}

// Due reports whether it is time to save a state of n bytes: some seconds after the last,
// more where saving takes long. A last one is due whenever the work before it took so
// long.
func (b *Book) Due(n int64, last bool) bool {
	if b == nil || b.state == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state.due(n, last)
}

// Save keeps the state of work under way as name, in the place of what it was before.
// Like Put it never fails; saved says whether it is kept.
func (b *Book) Save(name string, write func(w io.Writer) error) (saved bool) {
	if b == nil || b.state == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	began := time.Now()
	b.state.save(name, write)
	b.state.saved, b.state.cost = time.Now(), time.Since(began)
	return b.state.broken == nil
}

// Load is the state of a name: what was saved whole, and its size in bytes. nil if there
// is none. It has to be closed.
func (b *Book) Load(name string) (*Saved, int64) {
	if b == nil || b.state == nil {
		return nil, 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state.load(name)
}
