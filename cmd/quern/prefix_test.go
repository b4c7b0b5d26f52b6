package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/corpus"
	"quern/formats/hf"
	"quern/formats/tokenizer"
	"quern/internal/tinyseek"
)

// GLM's tokenizers put two tokens in front of a text ([gMASK]<sop>), by the template
// of tokenizer.json. A model that was trained with them gets them: in front of each
// chunk, none of them scored, and in front of a prompt. tokenize gives the text alone.
func TestPrefixOfTemplate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "m")
	if err := tinyseek.Extract(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, tokenizer.FileName)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	added := file["added_tokens"].([]any)
	name := func(i int) (string, any) {
		m := added[i].(map[string]any)
		return m["content"].(string), m["id"]
	}
	mask, maskID := name(1)
	sop, sopID := name(0)
	file["post_processor"] = map[string]any{
		"type": "TemplateProcessing",
		"single": []any{
			map[string]any{"SpecialToken": map[string]any{"id": mask}},
			map[string]any{"SpecialToken": map[string]any{"id": sop}},
			map[string]any{"Sequence": map[string]any{"id": "A"}},
		},
		"special_tokens": map[string]any{mask: map[string]any{"ids": []any{maskID}}, sop: map[string]any{"ids": []any{sopID}}},
	}
	if raw, err = json.Marshal(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, tokenizer.ConfigName)); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(t.TempDir(), "t.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("a text of several words; ", 20)), 0o644); err != nil {
		t.Fatal(err)
	}
	ck, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, j := &models{}, &verifying{texts: []string{text}, chunk: corpus.ChunkOptions{Context: 32, Score: corpus.ScoreAll}}
	if err := j.read(m, ck); err != nil {
		t.Fatal(err)
	}
	want := []int{1, 0}
	scored := 0
	for _, c := range m.chunks {
		if !slices.Equal(c.IDs[:2], want) || c.From != 1 || len(c.IDs) > 32 {
			t.Errorf("%+v", c)
		}
		scored += c.To - c.From
	}
	if n := len(m.texts[0].IDs); len(m.chunks) < 2 || scored != n || m.texts[0].IDs[0] == 1 {
		t.Errorf("%d chunks, %d of %d tokens scored", len(m.chunks), scored, n)
	}
	ids, err := promptIDs(m.tokens, "a text")
	if err != nil || !slices.Equal(ids[:2], want) || ids[2] != m.texts[0].IDs[0] {
		t.Errorf("%v %v", ids, err)
	}
	j.chunk.Context = 4
	if err := j.read(&models{}, ck); exitCode(err) != 2 || !strings.Contains(err.Error(), "--context 4") {
		t.Errorf("%v", err)
	}
}
