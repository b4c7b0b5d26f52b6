package tokenizer

import (
	"math"
	"slices"

	"quern/internal/invalid"
)

// none is no token, and the rank of no merge.
const none = math.MaxUint32

// merge is what joining a pair of neighbours gives.
type merge struct {
	rank uint32 // its place among the merges: the lowest goes first
	id   uint32 // the token that the pair becomes
}

func pair(a, b uint32) uint64 { return uint64(a)<<32 | uint64(b) }

// bpe is byte-pair encoding with the tables of one model.
type bpe struct {
	bytes  [256]uint32      // token of each byte, or none
	chars  *alphabet        // of a model that is not byte-level, else nil
	merges map[uint64]merge // by pair
	whole  map[string]uint32
	// whole has the tokens by their bytes where ignore_merges is set: a word that is
	// a token is taken as it is.
}

// shortWord is the length up to which looking at all pairs for each merge is faster
// than keeping a heap.
const shortWord = 32

// link is a token in the making, and its neighbours.
type link struct {
	id         uint32
	rank       uint32 // of the merge with the next one, or none
	merged     uint32 // what that merge gives
	prev, next int32  // -1: none; a symbol that is gone has next == gone
}

const gone = -2

// encode appends the tokens of a word. Of all pairs that have a merge, the one of
// the lowest rank is joined, the leftmost of equal ones, until there is none.
func (m *bpe) encode(word string, work *scratch, dst []uint32) ([]uint32, error) {
	if id, ok := m.whole[word]; ok {
		return append(dst, id), nil
	}
	syms, err := m.symbols(word, work.symbols[:0])
	work.symbols = syms
	if err != nil {
		return dst, err
	}
	if len(syms) <= shortWord {
		syms = m.mergeShort(syms)
		for _, s := range syms {
			dst = append(dst, s.id)
		}
		return dst, nil
	}
	m.mergeLong(syms, work)
	for at := int32(0); at >= 0; at = syms[at].next {
		dst = append(dst, syms[at].id)
	}
	return dst, nil
}

// symbols appends the symbols that a word begins as, linked.
func (m *bpe) symbols(word string, syms []link) ([]link, error) {
	var err error
	if m.chars != nil {
		syms, err = m.chars.symbols(word, syms)
	} else {
		syms, err = m.byteSymbols(word, syms)
	}
	if err != nil || len(syms) == 0 {
		return syms, err
	}
	for i := range syms {
		syms[i].prev, syms[i].next = int32(i)-1, int32(i)+1
	}
	syms[len(syms)-1].next = -1
	for i := range syms {
		m.look(syms, int32(i))
	}
	return syms, nil
}

// byteSymbols appends a symbol for each byte of the word.
func (m *bpe) byteSymbols(word string, syms []link) ([]link, error) {
	syms = slices.Grow(syms, len(word))
	for i := range len(word) {
		id := m.bytes[word[i]]
		if id == none {
			return syms, invalid.Errorf("byte 0x%02x is not in the vocabulary", word[i])
		}
		syms = append(syms, link{id: id})
	}
	return syms, nil
}

// look finds the merge of the symbol at i with its next one.
func (m *bpe) look(syms []link, i int32) bool {
	s := &syms[i]
	s.rank = none
	if s.next < 0 {
		return false
	}
	x, ok := m.merges[pair(s.id, syms[s.next].id)]
	if ok {
		s.rank, s.merged = x.rank, x.id
	}
	return ok
}

// mergeShort merges in a slice that closes up; prev and next of what it returns
// mean nothing.
func (m *bpe) mergeShort(syms []link) []link {
	for {
		best := 0
		for i := range syms {
			if syms[i].rank < syms[best].rank {
				best = i
			}
		}
		if syms[best].rank == none {
			return syms
		}
		syms[best].id = syms[best].merged
		syms = append(syms[:best+1], syms[best+2:]...)
		for i := max(best-1, 0); i <= best; i++ {
			if syms[i].next = int32(i) + 1; i == len(syms)-1 {
				syms[i].next = -1
			}
			m.look(syms, int32(i))
		}
	}
}
