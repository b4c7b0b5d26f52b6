package web

import (
	"context"
	"encoding/json"
	"errors"
	"html"
	"io"
	"io/fs"
	"maps"
	"mime"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"

	"quern/internal/invalid"
)

const (
	indexName = "model.safetensors.index.json"
	// maxIndex bounds an index; those of the largest models have some 20 MB.
	maxIndex = 256 << 20
	// maxPage bounds a page that lists a folder.
	maxPage = 4 << 20
)

// link finds the links of a page.
var link = regexp.MustCompile(`(?i)<a\s[^>]*?href\s*=\s*["']([^"']*)["']`)

// shown is the listing that the server shows: nil when it shows none that has a
// config.json or weights in it.
func (f *Folder) shown(ctx context.Context) ([]string, error) {
	var names []string
	err := f.reader.Brief.Do(ctx, func() error {
		resp, err := f.client.Follow(ctx, f.request(http.MethodGet, ""))
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if err := Judge(resp); err != nil {
			return err
		}
		kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		if kind != "text/html" {
			return nil
		}
		page, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
		if err != nil {
			return err
		}
		names = f.linked(page)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, invalid.Input) {
		return nil, nil // no listing; whether the files are there will show
	}
	if err != nil {
		return nil, reading(f.String(), err)
	}
	return names, nil
}

// linked are the files directly in the folder that a page has links to.
func (f *Folder) linked(page []byte) []string {
	found := map[string]bool{}
	checkpoint := false
	for _, m := range link.FindAllSubmatch(page, -1) {
		u, err := f.base.Parse(html.UnescapeString(string(m[1])))
		if err != nil || !SameHost(u, f.base) {
			continue
		}
		name, in := strings.CutPrefix(u.Path, f.base.Path)
		if !in || name == "" || strings.Contains(name, "/") || !fs.ValidPath(name) {
			continue
		}
		found[name] = true
		checkpoint = checkpoint || name == "config.json" || path.Ext(name) == ".safetensors"
	}
	if !checkpoint {
		return nil
	}
	return slices.Sorted(maps.Keys(found))
}

// shardsOf are the files that an index of weights names, as far as they can be files of
// the folder. What is wrong with an index is said by who reads the checkpoint.
func shardsOf(raw []byte) []string {
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if json.Unmarshal(raw, &index) != nil {
		return nil
	}
	names := map[string]bool{}
	for _, name := range index.WeightMap {
		if fs.ValidPath(name) && !strings.ContainsAny(name, `/\`) {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
