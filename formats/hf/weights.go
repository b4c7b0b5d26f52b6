package hf

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"quern/internal/invalid"
)

// weights returns the index, if one holds, and the names of the weight files.
func (c *Checkpoint) weights(ctx context.Context, list *listing) (*index, []string, error) {
	if !list.top[IndexName] {
		names, err := c.unindexed(list)
		return nil, names, err
	}
	x, err := c.readIndex(ctx)
	if err != nil {
		return nil, nil, err
	}
	names := x.shardNames()
	absent := func(name string) bool { return !list.top[name] }
	i := slices.IndexFunc(names, absent)
	if i < 0 {
		c.IndexName = IndexName
		return x, names, nil
	}
	// Whoever saves a model again in another number of files leaves the index of the
	// earlier form behind. What is whole without any file of the index is the
	// checkpoint, if the index names files as such forms do.
	gone := clip(names[i])
	former := func(name string) bool { return name == SingleName || numbered.MatchString(name) }
	missing := invalid.Errorf("reading %q: it names %q, which is not in the folder", IndexName, gone)
	named := make(map[string]bool, len(names))
	for _, name := range names {
		named[name] = true
	}
	var whole [][]string
	for _, set := range append(completeSets(list), list.single()...) {
		odd := slices.ContainsFunc(names, func(name string) bool { return !former(name) })
		if !odd && !slices.ContainsFunc(set, func(name string) bool { return named[name] }) {
			whole = append(whole, set)
		}
	}
	switch len(whole) {
	case 0:
		return nil, nil, missing
	case 1:
		c.Warnings = append(c.Warnings, fmt.Sprintf("%s is of another form and not used: it names %s, which is not in the folder; the weights are %s", IndexName, gone, span(whole[0])))
		return nil, whole[0], nil
	}
	return nil, nil, invalid.Errorf("%w; %s and %s are both whole: remove what is left of another form", missing, span(whole[0]), span(whole[1]))
}

// single is the set of model.safetensors alone, if it is there.
func (l *listing) single() [][]string {
	if !l.top[SingleName] {
		return nil
	}
	return [][]string{{SingleName}}
}

// unindexed finds the weight files of a folder that has no index.
func (c *Checkpoint) unindexed(list *listing) ([]string, error) {
	if list.top[SingleName] {
		return []string{SingleName}, nil
	}
	var files []string
	for name := range list.top {
		if filepath.Ext(name) == ".safetensors" {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	sets := completeSets(list)
	inSet := map[string]bool{}
	for _, set := range sets {
		for _, name := range set {
			inSet[name] = true
		}
	}
	switch {
	case native(list, files):
		return nil, c.nativeLayout()
	case len(files) == 1:
		return files, nil
	case len(files) == 0 && list.bare():
		return nil, invalid.Errorf("%s: %w: neither %s nor %s is there", c.Dir, ErrNoWeights, IndexName, SingleName)
	case len(files) == 0:
		return nil, invalid.Errorf("%s: no weights: neither %s nor %s is there%s", c.Dir, IndexName, SingleName, list.otherWeights())
	case len(sets) > 1:
		return nil, invalid.Errorf("%s: %s and %s are both complete, and no %s says which is the checkpoint", c.Dir, span(sets[0]), span(sets[1]), IndexName)
	case len(sets) == 1:
		// Numbered files of no complete set are left over from another form; one with
		// a name of its own may hold weights that are meant.
		for _, name := range files {
			if !inSet[name] && numbered.FindString(name) == "" {
				return nil, invalid.Errorf("%s: %s is there beside %s, and no %s says which belong to the checkpoint", c.Dir, name, span(sets[0]), IndexName)
			}
		}
		c.Warnings = append(c.Warnings, fmt.Sprintf("there is no %s: the weights are %s", IndexName, span(sets[0])))
		return sets[0], nil
	}
	return nil, invalid.Errorf("%s: %d .safetensors files (%s, …) and no %s that says which belong to the checkpoint", c.Dir, len(files), files[0], IndexName)
}

// numbered are the names of files of a set: model-00002-of-00007.safetensors.
var numbered = regexp.MustCompile(`^(.{1,200})-([0-9]{1,6})-of-([0-9]{1,6})\.safetensors$`)

// completeSets returns the sets NAME-i-of-N of which every file is there, numbered
// from 1 or, as some exporters do, from 0. Each is sorted, and they are by name.
func completeSets(list *listing) [][]string {
	type set struct {
		name string
		n    int
	}
	found := map[set]map[int]string{}
	for file := range list.top {
		m := numbered.FindStringSubmatch(file)
		if m == nil {
			continue
		}
		i, _ := strconv.Atoi(m[2]) // six digits at most
		n, _ := strconv.Atoi(m[3])
		s := set{m[1], n}
		if found[s] == nil {
			found[s] = map[int]string{}
		}
		if _, twice := found[s][i]; twice {
			i = -1 // two spellings of a number: no set that could be trusted
		}
		found[s][i] = file
	}
	var sets [][]string
	for s, files := range found {
		least, most := slices.Min(slices.Collect(maps.Keys(files))), slices.Max(slices.Collect(maps.Keys(files)))
		if len(files) == s.n && (least == 0 || least == 1) && most-least == s.n-1 {
			sets = append(sets, slices.Sorted(maps.Values(files)))
		}
	}
	slices.SortFunc(sets, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	return sets
}

// span names a set for people.
func span(files []string) string {
	if len(files) == 1 {
		return files[0]
	}
	return files[0] + " … " + files[len(files)-1]
}

// paramsName is the config of Mistral's own layout.
const paramsName = "params.json"

// native reports whether all weights of a folder are in Mistral's own layout, whose
// names and config are not those of the Hugging Face form.
func native(list *listing, weights []string) bool {
	own := func(name string) bool { return strings.HasPrefix(name, "consolidated") }
	return list.top[paramsName] && (!list.top[ConfigName] || len(weights) > 0) && !slices.ContainsFunc(weights, func(n string) bool { return !own(n) })
}

// nativeLayout is the error that says so.
func (c *Checkpoint) nativeLayout() error {
	return invalid.Errorf("%s: %s and consolidated*.safetensors are Mistral's own layout, which is not read: take the Hugging Face form of the repository (%s and model*.safetensors)", c.Dir, paramsName, ConfigName)
}
