package tokenizer

import (
	"bytes"
	"encoding/base64"
	"maps"
	"slices"
	"strconv"

	"quern/internal/invalid"
)

// parseRanks reads a file of ranks, as tiktoken has them: a line for each token, its
// bytes in base64 and its rank, which is its id too (load_tiktoken_bpe in
// tiktoken/load.py). The result has the bytes of each id.
func parseRanks(data []byte) ([]string, error) {
	if len(data) > maxFile {
		return nil, invalid.Errorf("%d bytes, more than %d", len(data), maxFile)
	}
	tokens := map[uint32]string{}
	line := 0
	for text := range bytes.Lines(data) {
		line++
		fields := bytes.Fields(text)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 2 {
			return nil, invalid.Errorf("line %d: %q is not a token in base64 and its rank", line, short(string(bytes.ToValidUTF8(text, nil))))
		}
		token, err := base64.StdEncoding.Strict().DecodeString(string(fields[0]))
		if err != nil || len(token) == 0 {
			return nil, invalid.Errorf("line %d: %q is not a token in base64", line, short(string(bytes.ToValidUTF8(fields[0], nil))))
		}
		rank, err := strconv.ParseUint(string(fields[1]), 10, 32)
		if err != nil || rank > maxID {
			return nil, invalid.Errorf("line %d: the rank is %q, not a number up to %d", line, short(string(bytes.ToValidUTF8(fields[1], nil))), maxID)
		}
		if _, ok := tokens[uint32(rank)]; ok {
			return nil, invalid.Errorf("line %d: rank %d is there twice", line, rank)
		}
		tokens[uint32(rank)] = string(token)
	}
	out := make([]string, len(tokens))
	for rank, token := range tokens {
		if int(rank) >= len(out) {
			return nil, invalid.Errorf("%d tokens, but a rank of %d: gaps are not supported", len(out), rank)
		}
		out[rank] = token
	}
	return out, nil
}

// rankedBPE makes the tables of BPE from ranks. A word that is a token is that token;
// else of all neighbours that make a token together, those are joined that make the
// one of the lowest rank (tiktoken, src/lib.rs, byte_pair_merge). So each pair of
// tokens that a token can be cut into is a merge of its rank.
func rankedBPE(tokens []string) (bpe, error) {
	b := bpe{whole: make(map[string]uint32, len(tokens)), merges: make(map[uint64]merge, 2*len(tokens))}
	for id, s := range tokens {
		if other, ok := b.whole[s]; ok {
			return b, invalid.Errorf("ranks %d and %d are the same token %q", other, id, short(s))
		}
		b.whole[s] = uint32(id)
	}
	for c := range b.bytes {
		id, ok := b.whole[string([]byte{byte(c)})]
		if !ok {
			return b, invalid.Errorf("the tokenizer has no token for byte 0x%02x, so not every text has ids", c)
		}
		b.bytes[c] = id
	}
	for id, s := range tokens {
		if len(s) > maxAdded {
			return b, invalid.Errorf("rank %d: a token of %d bytes, more than %d", id, len(s), maxAdded)
		}
		for cut := 1; cut < len(s); cut++ {
			left, ok := b.whole[s[:cut]]
			right, ok2 := b.whole[s[cut:]]
			if ok && ok2 {
				b.merges[pair(left, right)] = merge{uint32(id), uint32(id)}
			}
		}
		if len(b.merges) > maxTokens {
			return b, invalid.Errorf("more than %d pairs of tokens are a token together", maxTokens)
		}
	}
	return b, nil
}

// parseRanked makes the tokenizer of a file of ranks and tokenizer_config.json.
func parseRanked(data []byte, c config) (*parsed, error) {
	class, err := c.rankClass()
	if err != nil {
		return nil, err
	}
	tokens, err := parseRanks(data)
	if err != nil {
		return nil, err
	}
	t := newParsed(make(map[string]uint32, len(tokens)))
	t.byteLevel, t.decoder.byteLevel = true, true
	if t.bpe, err = rankedBPE(tokens); err != nil {
		return nil, err
	}
	t.long = class.long
	if class.nfc {
		t.normalizers, t.rewrites, t.dated = []normalizer{nfc}, true, true
	}
	t.stages = []stage{newIsolate(known(class.pattern))}

	given, err := givenTokens(c.given)
	if err != nil {
		return nil, invalid.Errorf("%s: added_tokens_decoder: %w", ConfigName, err)
	}
	if err := t.setRanked(tokens, class.special(uint32(len(tokens)), given)); err != nil {
		return nil, err
	}
	return t, t.addAround(class)
}

// setRanked sets what ids stand for: tokens of the file, and special ones.
func (t *parsed) setRanked(tokens []string, special map[uint32]string) (err error) {
	size := uint32(len(tokens))
	var added []addedToken
	for _, id := range slices.Sorted(maps.Keys(special)) {
		s := special[id]
		if int(id) < len(tokens) {
			return invalid.Errorf("%s: added_tokens_decoder: %d, %q, is the id of another token", ConfigName, id, short(s))
		}
		size = max(size, id+1)
		t.ids[s] = id
		added = append(added, addedToken{content: s, id: id})
	}
	t.ends, t.absent, t.raw = make([]uint32, size), make([]uint64, (size+63)/64), make([]uint64, (size+63)/64)
	for id := range size {
		s, ok := special[id]
		if int(id) < len(tokens) {
			s, ok = tokens[id], true
		}
		if !ok {
			t.absent[id/64] |= 1 << (id % 64)
		}
		t.arena = append(t.arena, s...)
		t.ends[id] = uint32(len(t.arena))
	}
	var none []addedToken
	if t.rewrites { // the whole text, before anything is looked for
		added, none = none, added
	}
	if t.plain, err = newAddedSet(added); err == nil {
		t.composed, err = newAddedSet(none)
	}
	return err
}

// addAround sets the special tokens that the class puts around a text, and those that
// begin and end one.
func (t *parsed) addAround(class rankClass) error {
	for _, s := range class.before {
		id := t.id(s)
		if id < 0 {
			return invalid.Errorf("%s: added_tokens_decoder has no %s", ConfigName, s)
		}
		t.before = append(t.before, id)
	}
	if class.bos != "" {
		t.bos = t.id(class.bos)
	}
	if class.eos != "" {
		t.eos = t.id(class.eos)
	}
	return nil
}
