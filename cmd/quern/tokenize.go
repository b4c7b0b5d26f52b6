package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"quern/formats/tokenizer"
	"quern/internal/invalid"
	"quern/internal/strictjson"
	"quern/internal/ui"
)

// maxInput bounds a text on standard input, and a line of JSONL: what Encode takes.
const maxInput = 1 << 30

func tokenizeCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:      "tokenize",
		Usage:     "turn text into token ids and back",
		ArgsUsage: "[flags] CKPT",
		Description: "Reads a text from standard input and prints its ids as the model's own tokenizer gives\n" +
			"them, without special tokens around it; those that stand in the text are recognised.\n" +
			"CKPT is a folder with a tokenizer.json, or a tiktoken.model and tokenizer_config.json, or\n" +
			"that file; nothing else of a checkpoint is needed. JSONL is one object a line:\n" +
			"{\"text\": …} in, {\"text\": …, \"ids\": […]} out, and with --decode {\"ids\": […]} in,\n" +
			"{\"ids\": […], \"text\": …} out.\n\n" +
			"Example:\n   quern tokenize ./my-model < text.txt > ids.txt\n" +
			"   quern tokenize --decode ./my-model < ids.txt",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "decode", Usage: "from ids, with white space or commas between them, to text"},
			&cli.BoolFlag{Name: "jsonl", Usage: "one JSON object a line, in and out"},
		},
		Action: func(c *cli.Context) error {
			args, err := positional(c, 1, 1)
			if err != nil {
				return err
			}
			tok, err := tokenizer.Open(args[0])
			if err != nil {
				return err
			}
			in := interruptible(c.Context, c.App.Reader)
			out := bufio.NewWriter(rawWriter{t}) // ids and JSON
			switch {
			case c.Bool("jsonl"):
				err = eachLine(in, out, func(line []byte) ([]byte, error) {
					if c.Bool("decode") {
						return decodeJSON(tok, line)
					}
					return encodeJSON(tok, line)
				})
			case c.Bool("decode"):
				var text string
				if text, err = decodeText(tok, in); err == nil {
					t.out.text(text)
				}
			default:
				err = encodeText(tok, in, out)
			}
			return errors.Join(err, out.Flush())
		},
	}
}

// interruptible is a reader that ends with the context's error when that is
// canceled, even while nothing arrives.
func interruptible(ctx context.Context, in io.Reader) io.Reader {
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { _ = w.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(w, in)
		_ = w.CloseWithError(err)
	}()
	return r
}

// readInput reads standard input whole.
func readInput(in io.Reader) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("reading standard input: %w", err)
	case len(raw) > maxInput:
		return "", invalid.Errorf("standard input: more than %s", ui.Bytes(maxInput))
	}
	return string(raw), nil
}

// encodeText prints the ids of a text on one line.
func encodeText(tok *tokenizer.Tokenizer, in io.Reader, out io.Writer) error {
	text, err := readInput(in)
	if err != nil {
		return err
	}
	ids, err := tok.Encode(text)
	if err != nil {
		return invalid.Errorf("standard input: %w", err)
	}
	var line []byte
	for i, id := range ids {
		if i > 0 {
			line = append(line, ' ')
		}
		line = strconv.AppendInt(line, int64(id), 10)
	}
	_, err = out.Write(append(line, '\n'))
	return err
}

// decodeText reads ids and returns their text.
func decodeText(tok *tokenizer.Tokenizer, in io.Reader) (string, error) {
	list, err := readInput(in)
	if err != nil {
		return "", err
	}
	var ids []int
	for word := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
		id, err := strconv.Atoi(word)
		if err != nil {
			return "", invalid.Errorf("standard input: %.40q, word %d, is no id", word, len(ids)+1)
		}
		ids = append(ids, id)
	}
	text, err := tok.Decode(ids)
	if err != nil {
		return "", invalid.Errorf("standard input: %w", err)
	}
	return text, nil
}

// text writes a text as it is, so that it comes out of a pipe or file unchanged. On
// a terminal, control codes but tabs and line feeds are shown instead of obeyed.
func (r *results) text(s string) {
	if !ui.Terminal(r.file) {
		if r.begun = true; r.err == nil {
			_, r.err = io.WriteString(r.file, s)
		}
		return
	}
	for i, part := range strings.Split(s, "\t") {
		if i > 0 && r.err == nil {
			_, r.err = r.file.Write([]byte{'\t'})
		}
		_, _ = r.Write([]byte(part))
	}
}

// eachLine answers each line of the input with one of the output, as soon as it is
// there. Empty lines are passed over.
func eachLine(in io.Reader, out *bufio.Writer, answer func([]byte) ([]byte, error)) error {
	r := bufio.NewReaderSize(in, 64<<10)
	for n := 1; ; n++ {
		line, end, err := readLine(r)
		if err == nil && len(line) > 0 {
			if line, err = answer(line); err == nil {
				_, err = out.Write(append(line, '\n'))
			}
		}
		if err == nil && r.Buffered() == 0 {
			err = out.Flush()
		}
		switch {
		case errors.Is(err, invalid.Input):
			return invalid.Errorf("standard input, line %d: %w", n, err)
		case err != nil:
			return fmt.Errorf("standard input, line %d: %w", n, err)
		case end:
			return nil
		}
	}
}

// readLine reads a line without the white space around it; end says that it is the
// last one.
func readLine(r *bufio.Reader) (line []byte, end bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxInput:
			return nil, false, invalid.Errorf("more than %s", ui.Bytes(maxInput))
		case err == nil || err == io.EOF:
			return bytes.TrimSpace(line), err == io.EOF, nil
		case err != bufio.ErrBufferFull:
			return nil, false, err
		}
	}
}

// encodeJSON answers {"text": …} with {"text": …, "ids": […]}.
func encodeJSON(tok *tokenizer.Tokenizer, line []byte) ([]byte, error) {
	var text []byte
	found, err := member(line, "text", func(s *strictjson.Scanner) error {
		b, err := s.Str()
		text = bytes.Clone(b)
		return err
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, invalid.Errorf(`no "text"`)
	}
	ids, err := tok.Encode(string(text))
	if err != nil {
		return nil, err
	}
	out := appendText([]byte(`{"text":`), string(text))
	return append(appendIDs(append(out, `,"ids":`...), ids), '}'), nil
}

// decodeJSON answers {"ids": […]} with {"ids": […], "text": …}.
func decodeJSON(tok *tokenizer.Tokenizer, line []byte) ([]byte, error) {
	ids := []int{}
	found, err := member(line, "ids", func(s *strictjson.Scanner) error {
		if err := s.ArrayStart(); err != nil {
			return err
		}
		for {
			more, err := s.Next()
			if !more {
				return err
			}
			id, err := s.Uint64()
			if err != nil {
				return err
			}
			ids = append(ids, int(min(id, math.MaxInt32)))
		}
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, invalid.Errorf(`no "ids"`)
	}
	text, err := tok.Decode(ids)
	if err != nil {
		return nil, err
	}
	out := append(appendIDs([]byte(`{"ids":`), ids), `,"text":`...)
	return append(appendText(out, text), '}'), nil
}

// member reads one member of an object; others are passed over.
func member(line []byte, key string, value func(*strictjson.Scanner) error) (found bool, err error) {
	s := strictjson.NewScanner(line, strictjson.Options{})
	if err := s.ObjectStart(); err != nil {
		return false, err
	}
	for {
		k, ok, err := s.Key()
		switch {
		case err != nil:
			return false, err
		case !ok:
			return found, s.End()
		case string(k) != key:
			err = s.Skip()
		case found:
			err = invalid.Errorf("%q is there twice", key)
		default:
			found = true
			err = value(s)
		}
		if err != nil {
			return false, err
		}
	}
}

// appendText appends a JSON string. Beyond what JSON demands, it escapes what a
// terminal obeys or what some programs take for the end of a line: U+007F to U+009F,
// U+2028 and U+2029.
func appendText(dst []byte, s string) []byte {
	odd := func(r rune) bool { return 0x7f <= r && r <= 0x9f || r == 0x2028 || r == 0x2029 }
	if !strings.ContainsFunc(s, odd) {
		return strictjson.AppendQuote(dst, s)
	}
	for _, r := range string(strictjson.AppendQuote(nil, s)) {
		if odd(r) {
			dst = fmt.Appendf(dst, `\u%04x`, r)
			continue
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

func appendIDs(dst []byte, ids []int) []byte {
	dst = append(dst, '[')
	for i, id := range ids {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, int64(id), 10)
	}
	return append(dst, ']')
}
