package tokenizer

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"

	"quern/internal/invalid"
	"quern/internal/strictjson"
	"quern/store"
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
// and the tokenizer_config.json beside it where there is one; location may be that of
// the file itself. Errors that blame the files match invalid.Input and begin with the
// file's name.
func Open(location string) (*Tokenizer, error) {
	ctx := context.Background()
	folder, name, err := store.Open(ctx, location)
	if err != nil {
		return nil, missing(location, err)
	}
	return OpenIn(ctx, folder, name)
}

// OpenIn is Open of a folder, or of the file of a name in it, unless the name is "".
func OpenIn(ctx context.Context, folder store.Folder, name string) (*Tokenizer, error) {
	file := name
	if file == "" {
		file = choose(ctx, folder)
	}
	if path.Ext(file) == ".safetensors" {
		return nil, invalid.Errorf("reading %q: weights have no tokenizer; give a folder with %s, or that file", file, FileName)
	}
	data, err := read(ctx, folder, file, maxFile)
	if err != nil {
		return nil, missing(store.Path(folder, file), err)
	}
	c, err := readConfig(ctx, folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
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
		return nil, reading(ConfigName, err)
	}
	return t.Tokenizer, nil
}

// choose is the file that a folder's tokenizer is read from.
func choose(ctx context.Context, folder store.Folder) string {
	list, err := folder.List(ctx)
	if err != nil {
		return FileName
	}
	for _, pattern := range append([]string{FileName}, rankNames...) {
		for _, e := range list {
			if ok, _ := path.Match(pattern, e.Name); ok {
				return e.Name
			}
		}
	}
	return FileName
}

// ranked tells a file of ranks by its name.
func ranked(file string) bool {
	return slices.ContainsFunc(rankNames, func(pattern string) bool {
		ok, _ := path.Match(pattern, file)
		return ok
	})
}

// sentencePiece tells a model of SentencePiece by its first field: a piece, which is a
// message of protobuf. Files of ranks begin with base64.
func sentencePiece(data []byte) bool { return len(data) > 0 && data[0] == '\n' }

// readConfig reads tokenizer_config.json; without one it is fs.ErrNotExist.
func readConfig(ctx context.Context, folder store.Folder) (config, error) {
	data, err := read(ctx, folder, ConfigName, maxConfig)
	if err != nil {
		return config{}, err
	}
	v, err := strictjson.Parse(data, strictjson.Options{})
	if err != nil {
		return config{}, reading(ConfigName, err)
	}
	c, err := parseConfig(&v)
	if err != nil {
		return config{}, reading(ConfigName, err)
	}
	return c, nil
}

// read reads a file of at most so many bytes.
func read(ctx context.Context, folder store.Folder, name string, most int64) ([]byte, error) {
	f, err := folder.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	switch {
	case f.Size() > most:
		return nil, invalid.Errorf("reading %q: more than %d bytes", name, most)
	case f.Size() == 0:
		return nil, invalid.Errorf("reading %q: the file is empty", name)
	}
	data, err := store.ReadAll(f)
	if err != nil {
		return nil, err
	}
	const pointer = "version https://git-lfs"
	if len(data) > len(pointer) && string(data[:len(pointer)]) == pointer {
		return nil, invalid.Errorf("reading %q: a Git LFS pointer, not the file itself; run \"git lfs pull\"", name)
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
func reading(name string, err error) error {
	if errors.Is(err, invalid.Input) {
		return invalid.Errorf("reading %q: %w", name, err)
	}
	return &fs.PathError{Op: "reading", Path: name, Err: err}
}
