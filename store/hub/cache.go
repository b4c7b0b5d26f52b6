package hub

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Cached finds a repository in the local cache of huggingface_hub: the folder of its
// snapshot, whose files are links to blobs. ok reports that it is complete: config, a
// tokenizer and all weights are there, or the one file that is asked for. Of a snapshot that is not, dir is its folder all
// the same; "" where there is none.
//
// A branch is taken as the cache knows it (refs/), which may be older than the hub's.
func (s Settings) Cached(l Location) (dir string, ok bool) {
	if s.Cache == "" {
		return "", false
	}
	root := filepath.Join(s.Cache, "models--"+strings.ReplaceAll(l.Repo, "/", "--"))
	sha := l.Revision
	if !commit.MatchString(sha) {
		raw, err := os.ReadFile(filepath.Join(root, "refs", filepath.FromSlash(l.Revision)))
		if sha = strings.TrimSpace(string(raw)); err != nil || !commit.MatchString(sha) {
			return "", false
		}
	}
	dir = filepath.Join(root, "snapshots", sha)
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return "", false
	}
	if l.File != "" {
		return dir, there(dir, l.File)
	}
	return dir, complete(dir)
}

// there reports whether a snapshot holds a file: not only a link to a blob.
func there(dir, name string) bool {
	st, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
	return err == nil && st.Mode().IsRegular()
}

// tokenizers are files of which a checkpoint with texts has one.
var tokenizers = []string{"tokenizer.json", "tokenizer.model", "tiktoken.model", "tekken.json", "vocab.json", "spiece.model"}

// numbered are the names of files of a set.
var numbered = regexp.MustCompile(`^(.+)-(\d{5})-of-(\d{5})\.safetensors$`)

// complete reports whether a snapshot holds what is needed of a checkpoint. Downloads
// that were filtered or interrupted leave one without: a file is linked when it is whole.
func complete(dir string) bool {
	there := func(name string) bool { return there(dir, name) }
	if !there("config.json") || !anyOf(tokenizers, there) {
		return false
	}
	if there("model.safetensors.index.json") {
		raw, err := os.ReadFile(filepath.Join(dir, "model.safetensors.index.json"))
		var index struct {
			WeightMap map[string]string `json:"weight_map"`
		}
		if err != nil || json.Unmarshal(raw, &index) != nil || len(index.WeightMap) == 0 {
			return false
		}
		checked := map[string]bool{}
		for _, name := range index.WeightMap {
			if !checked[name] && !(filepath.IsLocal(name) && there(name)) {
				return false
			}
			checked[name] = true
		}
		return true
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil || len(files) == 0 {
		return false
	}
	for _, f := range files { // an index that has not come yet is no reason to take a part
		m := numbered.FindStringSubmatch(filepath.Base(f))
		if m == nil {
			continue
		}
		if n, _ := strconv.Atoi(m[3]); n != len(files) {
			return false
		}
	}
	return true
}

func anyOf(names []string, there func(string) bool) bool {
	for _, name := range names {
		if there(name) {
			return true
		}
	}
	return false
}
