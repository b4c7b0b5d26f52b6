package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"unicode/utf8"

	"quern/corpus"
	"quern/formats/hf"
	"quern/formats/tokenizer"
	"quern/internal/blake3"
	"quern/internal/invalid"
	"quern/internal/tinyseek"
	"quern/runner"
	"quern/verify"
	"quern/verify/evaluation"
	"quern/verify/outputs"
)

// models are what is run: nothing may be found wrong with the texts or the models
// only after hours of reading weights.
type models struct {
	base, cand *runner.Model
	texts      []corpus.Text
	chunks     []corpus.Chunk
	sources    []verify.TextSource
	tokens     *tokenizer.Tokenizer // nil when ids were given
	reference  *outputs.File
	held       *evaluation.Held // what the baseline makes of the texts, for several candidates; nil with one
}

// compare runs both models, the baseline at most once for all candidates.
func (m *models) compare(ctx context.Context, o evaluation.Options) (c, static *evaluation.Comparison, err error) {
	if m.held == nil {
		return evaluation.Compare(ctx, m.base, m.cand, m.texts, m.chunks, o)
	}
	return m.held.Compare(ctx, m.cand, o)
}

func (m *models) close() {
	for _, x := range []*runner.Model{m.base, m.cand} {
		if x != nil {
			x.Close()
		}
	}
	if m.reference != nil {
		_ = m.reference.Close()
	}
}

// open lays out the models and cuts the texts, if there is anything to run.
func (j *verifying) open(base, ck *hf.Checkpoint) (_ *models, err error) {
	m := &models{}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	if !j.runs() {
		return m, nil
	}
	if m.cand, err = runner.Open(ck, nil); err != nil {
		return nil, err
	}
	if base != nil {
		if m.base, err = runner.Open(base, nil); err != nil {
			return nil, fmt.Errorf("--baseline: %w", err)
		}
	}
	if j.reference != "" {
		m.reference, err = outputs.Open(j.reference)
		return m, err
	}
	return m, j.read(m, speaker(base, ck))
}

// speaker is the checkpoint whose tokenizer reads the text: the baseline, as far as it
// has one. A candidate that comes with another one would be given a text of its own
// making, on which it may do well.
func speaker(base, ck *hf.Checkpoint) *hf.Checkpoint {
	if base != nil && base.Dir != "" && slices.ContainsFunc(base.Side, func(f hf.SideFile) bool { return f.Name == tokenizer.FileName }) {
		return base
	}
	return ck
}

// read reads the texts, with the tokenizer of ck, and cuts them.
func (j *verifying) read(m *models, ck *hf.Checkpoint) (err error) {
	if j.ids != "" {
		if err := noFolder(j.ids); err != nil {
			return fmt.Errorf("--ids: %w", err)
		}
		if m.texts, err = corpus.ReadIDs(j.ids); err != nil {
			return err
		}
		if n := j.chunk.Tokens; n > 0 {
			for i := range m.texts {
				ids := &m.texts[i].IDs
				*ids = (*ids)[:min(n, len(*ids))]
				if n -= len(*ids); n == 0 {
					m.texts = m.texts[:i+1]
					break
				}
			}
		}
		m.chunks = corpus.Whole(m.texts)
		raw, err := os.ReadFile(j.ids)
		if err != nil {
			return err
		}
		n := 0
		for _, t := range m.texts {
			n += len(t.IDs)
		}
		m.sources = append(m.sources, source(j.ids, raw, n))
		return nil
	}
	if m.tokens, err = tokenizer.OpenIn(context.Background(), ck.Folder, ""); err != nil {
		return err
	}
	if j.builtin {
		raw, err := fs.ReadFile(tinyseek.Files(), tinyseek.VerifyText)
		if err != nil {
			return err
		}
		if err := m.add(tinyseek.VerifyText, raw); err != nil {
			return err
		}
	}
	for _, path := range j.texts {
		raw, err := readText(path)
		if err != nil {
			return err
		}
		if err := m.add(path, raw); err != nil {
			return err
		}
	}
	o := j.chunk
	o.Prefix, _ = m.tokens.Around()
	if n := len(o.Prefix); o.Context < n+3 {
		return usagef("--context %d: the tokenizer puts %d tokens in front of each chunk, so at least %d", o.Context, n, n+3)
	}
	m.chunks, err = corpus.Chunks(m.texts, o)
	return err
}

// add makes tokens of a text.
func (m *models) add(path string, raw []byte) error {
	ids, err := m.tokens.Encode(string(raw))
	if err != nil {
		return fmt.Errorf("reading %q: %w", path, err)
	}
	if len(ids) == 0 {
		return invalid.Errorf("reading %q: the text is empty", path)
	}
	m.texts = append(m.texts, corpus.Text{Name: filepath.Base(path), IDs: ids})
	m.sources = append(m.sources, source(path, raw, len(ids)))
	return nil
}

func source(path string, raw []byte, tokens int) verify.TextSource {
	sum := blake3.Sum256(raw)
	return verify.TextSource{Name: filepath.Base(path), Digest: fmt.Sprintf("%x", sum), Bytes: int64(len(raw)), Tokens: tokens}
}

// noFolder refuses a folder where a file is wanted.
func noFolder(path string) error {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return invalid.Errorf("%q is a folder, not a file", path)
	}
	return nil
}

// readText reads a file of UTF-8.
func readText(path string) ([]byte, error) {
	if err := noFolder(path); err != nil {
		return nil, fmt.Errorf("reading the text: %w", err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the text: %w", err)
	}
	for at := 0; at < len(raw); {
		r, n := utf8.DecodeRune(raw[at:])
		if r == utf8.RuneError && n == 1 {
			return nil, invalid.Errorf("reading %q: byte %d (0x%02x) is not UTF-8", path, at, raw[at])
		}
		at += n
	}
	return raw, nil
}
