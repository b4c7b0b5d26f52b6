package web

import (
	"context"
	"net/url"
	"path"
	"slices"
	"strings"

	"quern/internal/invalid"
	"quern/store"
	"quern/store/remote"
)

// singleExts end the names of files that are named alone. Folders have dots in their
// names too: Qwen2.5-7B.
var singleExts = []string{".safetensors", ".json", ".jsonl", ".txt", ".model"}

// Single divides a path that names a file of its own kind into its folder and its name;
// the name is "" for what is taken as a folder.
func Single(p string) (dir, name string) {
	if base := path.Base(p); slices.Contains(singleExts, strings.ToLower(path.Ext(base))) && base != path.Ext(base) {
		return strings.TrimSuffix(p, base), base
	}
	return p, ""
}

// Kinds are the stores of web servers, https:// and http://.
func Kinds(reader *remote.Reader) []store.Kind {
	open := func(_ context.Context, location string) (store.Folder, string, error) {
		u, err := url.Parse(location)
		if err != nil {
			return nil, "", invalid.Errorf("a location on the web has the form https://HOST/PATH")
		}
		dir, name := Single(u.Path)
		u.Path, u.RawPath = dir, ""
		f, err := Open(u.String(), reader)
		if err != nil {
			return nil, "", err
		}
		return f, name, nil
	}
	return []store.Kind{{Scheme: "https", Open: open}, {Scheme: "http", Open: open}}
}
