package chat

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quern/internal/invalid"
	"quern/store"
)

func folder(t *testing.T, files map[string]string) store.Folder {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, _, err := store.Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var talk = []Message{{"system", "Be brief."}, {"user", "Hi"}}

func TestRender(t *testing.T) {
	now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	const loop = `{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}`
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"file":      {map[string]string{FileName: "{{ bos_token }}" + loop, configName: `{"bos_token":"<s>","eos_token":{"content":"</s>"},"chat_template":"not this"}`}, "<s><system>Be brief.</s><user>Hi</s><assistant>"},
		"config":    {map[string]string{configName: `{"chat_template":"{{ messages[-1].content }} {{ bos_token is defined }} {{ tools is none }}"}`}, "Hi False True"},
		"list":      {map[string]string{configName: `{"chat_template":[{"name":"tool_use","template":"t"},{"name":"default","template":"d"}]}`}, "d"},
		"date":      {map[string]string{FileName: "{{ strftime_now('%d %b %Y') }}"}, "29 Nov 2026"},
		"no config": {map[string]string{FileName: "x{{ pad_token }}"}, "x"},
	} {
		x, err := Open(context.Background(), folder(t, c.files))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := x.Render(talk, now); got != c.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		files map[string]string
		want  string
	}{
		{nil, "there is no chat template: no chat_template.jinja, and no chat_template in tokenizer_config.json"},
		{map[string]string{configName: "{"}, `reading "tokenizer_config.json": `},
		{map[string]string{configName: `{"chat_template":3}`}, "neither a string nor a list"},
		{map[string]string{configName: `{"chat_template":[]}`}, `no template named "default"`},
		{map[string]string{FileName: "a\n{% include 'x' %}"}, `reading "chat_template.jinja": chat template: line 2: the statement "include" is not known`},
		{map[string]string{FileName: "{{ raise_exception('no system') }}"}, `reading "chat_template.jinja": chat template: line 1: the template says: no system`},
		{map[string]string{FileName: "{{ strftime_now() }}"}, "strftime_now takes a format"},
	} {
		x, err := Open(context.Background(), folder(t, c.files))
		if err == nil {
			_, err = x.Render(talk, time.Time{})
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, invalid.Input) {
			t.Errorf("%v: %v, want %q", c.files, err, c.want)
		}
	}
}
