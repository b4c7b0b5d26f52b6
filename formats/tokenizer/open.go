package tokenizer

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"quern/internal/invalid"
	"quern/internal/strictjson"
)

// The names of the files that are read.
const (
	FileName   = "tokenizer.json"
	ConfigName = "tokenizer_config.json"
)

// Bounds of the files. The largest published tokenizer.json have some 30 MB.
const (
	maxFile   = 64 << 20
	maxConfig = 16 << 20
)

// rankNames are the names of files of ranks, which are read where there is no
// tokenizer.json: Kimi's, Qwen's, GLM's.
var rankNames = []string{"tiktoken.model", "*.tiktoken", "tokenizer.model"}

// Open reads tokenizer.json of a folder, or else a file of ranks (tiktoken.model),
// and the tokenizer_config.json beside it where there is one; path may be the file
// itself. Errors that blame the files match invalid.Input and begin with the
// file's name.
func Open(path string) (*Tokenizer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, missing(path, err)
	}
	file := path
	if info.IsDir() {
		file = choose(path)
	}
	if filepath.Ext(file) == ".safetensors" {
		return nil, invalid.Errorf("reading %q: weights have no tokenizer; give a folder with %s, or that file", filepath.Base(file), FileName)
	}
	data, err := read(file, maxFile)
	if err != nil {
		return nil, err
	}
	var c config
	beside := filepath.Join(filepath.Dir(file), ConfigName)
	if _, err := os.Stat(beside); err == nil {
		if c, err = readConfig(beside); err != nil {
			return nil, err
		}
	}
	var t *parsed
	switch {
	case !ranked(file):
		t, err = parse(data)
	case sentencePiece(data):
		err = invalid.Errorf("a model of SentencePiece is not supported; transformers makes a tokenizer.json of it (AutoTokenizer.from_pretrained, save_pretrained)")
	default:
		c.addBOS, c.addEOS = nil, nil // those classes do not know them
		t, err = parseRanked(data, c)
	}
	if err != nil {
		return nil, reading(file, err)
	}
	if err := t.configure(c); err != nil {
		return nil, reading(beside, err)
	}
	return t.Tokenizer, nil
}

// choose is the file that a folder's tokenizer is read from.
func choose(dir string) string {
	file := filepath.Join(dir, FileName)
	if _, err := os.Lstat(file); err == nil {
		return file
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return file
	}
	for _, pattern := range rankNames {
		for _, e := range entries {
			if ok, _ := filepath.Match(pattern, e.Name()); ok {
				return filepath.Join(dir, e.Name())
			}
		}
	}
	return file
}

// ranked tells a file of ranks by its name.
func ranked(file string) bool {
	return slices.ContainsFunc(rankNames, func(pattern string) bool {
		ok, _ := filepath.Match(pattern, filepath.Base(file))
		return ok
	})
}

// sentencePiece tells a model of SentencePiece by its first field: a piece, which is a
// message of protobuf. Files of ranks begin with base64.
func sentencePiece(data []byte) bool { return len(data) > 0 && data[0] == '\n' }

func readConfig(path string) (config, error) {
	data, err := read(path, maxConfig)
	if err != nil {
		return config{}, err
	}
	v, err := strictjson.Parse(data, strictjson.Options{})
	if err != nil {
		return config{}, reading(path, err)
	}
	c, err := parseConfig(&v)
	if err != nil {
		return config{}, reading(path, err)
	}
	return c, nil
}

// read reads a file of at most so many bytes.
func read(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, missing(path, err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, reading(path, err)
	case int64(len(data)) > most:
		return nil, invalid.Errorf("reading %q: more than %d bytes", filepath.Base(path), most)
	case len(data) == 0:
		return nil, invalid.Errorf("reading %q: the file is empty", filepath.Base(path))
	}
	const pointer = "version https://git-lfs"
	if len(data) > len(pointer) && string(data[:len(pointer)]) == pointer {
		return nil, invalid.Errorf("reading %q: a Git LFS pointer, not the file itself; run \"git lfs pull\"", filepath.Base(path))
	}
	return data, nil
}

// missing makes a missing file the fault of the checkpoint.
func missing(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return invalid.Errorf("reading %q: no such file (or a link that leads nowhere)", path)
	}
	return err
}

// reading puts the name of a file before an error and keeps what it matches.
func reading(path string, err error) error {
	if errors.Is(err, invalid.Input) {
		return invalid.Errorf("reading %q: %w", filepath.Base(path), err)
	}
	return &fs.PathError{Op: "reading", Path: path, Err: err}
}
