package remote

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"sync"

	"quern/internal/invalid"
	"quern/store"
)

// A Digest is what a store says of a file's content: "sha256:HEX", or "git:HEX" as git
// names files (the SHA-1 of "blob SIZE\0" and the content). "" is none.
type Digest string

// begin starts to compare a content with its digest; nil where there is none.
func (d Digest) begin(size int64) *sum {
	s := &sum{size: size}
	switch {
	case len(d) > 7 && d[:7] == "sha256:":
		s.hash, s.want = sha256.New(), string(d[7:])
	case len(d) > 4 && d[:4] == "git:":
		s.hash, s.want = sha1.New(), string(d[4:])
		fmt.Fprintf(s.hash, "blob %d\x00", size)
	default:
		return nil
	}
	return s
}

// sum hashes a file as far as its bytes come in order. A file that is read from front to
// back is compared whole for the price of the hash; one that is read in parts is not.
type sum struct {
	mu   sync.Mutex
	hash hash.Hash
	want string // hexadecimal
	size int64
	next int64 // bytes hashed
}

// begun reports whether anything was hashed.
func (s *sum) begun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next > 0
}

// add hashes what of a piece of the file comes next. It returns how far the file is
// hashed, and an error that matches invalid.Input when it is all and not what it should
// be.
func (s *sum) add(data []byte, off int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if off > s.next || off+int64(len(data)) <= s.next {
		return s.next, nil
	}
	s.hash.Write(data[s.next-off:])
	s.next = off + int64(len(data))
	if s.next < s.size {
		return s.next, nil
	}
	if got := hex.EncodeToString(s.hash.Sum(nil)); got != s.want {
		return s.next, invalid.Errorf("%w: its content has the digest %s and should have %s: it was damaged on the way or where it lies", store.ErrChanged, got, s.want)
	}
	return s.next, nil
}
