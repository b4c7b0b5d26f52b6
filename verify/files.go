package verify

import (
	"bytes"
	"path"

	"quern/formats/hf"
	"quern/internal/strictjson"
)

// functional are the names of side files that change what a model reads, says or
// computes: they have to be the baseline's. Licences, model cards, images and what
// quern writes itself may differ.
var functional = []string{
	"tokenizer*", "vocab*", "merges.txt", "added_tokens.json", "special_tokens_map.json",
	"*.model", "*.tiktoken", // sentencepiece's and tiktoken's vocabularies
	"chat_template*", "*.jinja",
	"*processor*.json", // of images, video and sound
	"*.py",             // code that comes with the checkpoint
}

// isFunctional reports whether a side file is one of those.
func isFunctional(f *hf.SideFile) bool {
	for _, pattern := range functional {
		if ok, _ := path.Match(pattern, path.Base(f.Name)); ok {
			return true
		}
	}
	return false
}

// filesGate says whether the side files are the baseline's. JSON may be written
// otherwise, as long as it says the same.
func filesGate(f *found) Gate {
	if f.base.c.Dir == "" || f.cand.c.Dir == "" {
		return skipped("files", "a single file has no files beside it")
	}
	t := tally{name: "files"}
	any := false
	for i := range f.base.c.Side {
		a := &f.base.c.Side[i]
		if !isFunctional(a) {
			continue
		}
		any = true
		if b := sideFile(f.cand.c, a.Name); b == nil {
			t.fail("%s: missing; the baseline has it", a.Name)
		} else if p := fileDifference(f.base.c, f.cand.c, a, b); p != "" {
			t.fail("%s: %s", a.Name, p)
		}
	}
	for i := range f.cand.c.Side {
		b := &f.cand.c.Side[i]
		if isFunctional(b) && sideFile(f.base.c, b.Name) == nil {
			any = true
			t.fail("%s: the baseline has no such file", b.Name)
		}
	}
	if !any {
		return skipped("files", "no tokenizer and no such files on either side")
	}
	return t.gate()
}

// fileDifference says how b differs from the baseline's a, "" if it says the same.
func fileDifference(base, cand *hf.Checkpoint, a, b *hf.SideFile) string {
	x, err := readSide(base, a)
	if err != nil {
		return "of the baseline: " + err.Error()
	}
	y, err := readSide(cand, b)
	switch {
	case err != nil:
		return err.Error()
	case bytes.Equal(x, y):
		return ""
	case path.Ext(a.Name) == ".json":
		v, err := strictjson.Parse(x, strictjson.Options{})
		if err != nil {
			break
		}
		w, err := strictjson.Parse(y, strictjson.Options{})
		if err != nil {
			return err.Error()
		}
		d := strictjson.Diff(&v, &w, nil, 1)
		if len(d) == 0 {
			return ""
		}
		return d[0].Path + " is " + d[0].B.Brief() + ", the baseline has " + d[0].A.Brief()
	}
	return "not the baseline's, byte for byte"
}
