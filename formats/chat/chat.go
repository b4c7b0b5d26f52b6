// Package chat puts messages into the form that a model was taught: by the chat template
// of its tokenizer, chat_template.jinja or chat_template in tokenizer_config.json (see
// "Chat templates" of transformers' documentation), rendered by quern/internal/jinja.
package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"quern/internal/invalid"
	"quern/internal/jinja"
	"quern/store"
)

// The names of the files that are read.
const (
	FileName   = "chat_template.jinja"
	configName = "tokenizer_config.json"

	maxFile = 16 << 20
)

// Message is something that somebody says.
type Message struct {
	Role    string `json:"role"` // system, user or assistant
	Content string `json:"content"`
}

// Template is a chat template with the special tokens that it may write.
type Template struct {
	from   string // the file
	body   *jinja.Template
	tokens map[string]string
}

// specials are the fields of tokenizer_config.json that templates see by their names.
var specials = []string{"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}

// Open reads the template of a folder. Errors that blame the files match invalid.Input.
func Open(ctx context.Context, folder store.Folder) (*Template, error) {
	t := &Template{from: FileName, tokens: map[string]string{}}
	source, err := store.ReadFile(ctx, folder, FileName, maxFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading %q: %w", FileName, err)
	}
	there := err == nil
	raw, err := store.ReadFile(ctx, folder, configName, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		raw = []byte("{}")
	case err != nil:
		return nil, fmt.Errorf("reading %q: %w", configName, err)
	}
	var config map[string]json.RawMessage
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, invalid.Errorf("reading %q: %v", configName, err)
	}
	for _, name := range specials {
		if s, ok := special(config[name]); ok {
			t.tokens[name] = s
		}
	}
	if !there {
		t.from = configName
		if source, err = inConfig(config["chat_template"]); err != nil {
			return nil, invalid.Errorf("reading %q: %v", configName, err)
		}
		if source == nil {
			return nil, invalid.Errorf("there is no chat template: no %s, and no chat_template in %s; without --chat the prompt is continued as it is", FileName, configName)
		}
	}
	if t.body, err = jinja.Parse(string(source)); err != nil {
		return nil, t.blame(err)
	}
	return t, nil
}

func (t *Template) blame(err error) error {
	return invalid.Errorf("reading %q: chat template: %v", t.from, err)
}

// special is the text of a special token: a string, or an object with its content.
func special(raw json.RawMessage) (string, bool) {
	var s *string
	if json.Unmarshal(raw, &s) == nil && s != nil {
		return *s, true
	}
	var o struct{ Content *string }
	if json.Unmarshal(raw, &o) == nil && o.Content != nil {
		return *o.Content, true
	}
	return "", false
}

// inConfig is chat_template: one, or a list of named ones, of which "default" is taken;
// nil where there is none.
func inConfig(raw json.RawMessage) ([]byte, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []byte(one), nil
	}
	var many []struct{ Name, Template string }
	if err := json.Unmarshal(raw, &many); err != nil {
		return nil, errors.New("chat_template is neither a string nor a list of named ones")
	}
	for _, x := range many {
		if x.Name == "default" {
			return []byte(x.Template), nil
		}
	}
	return nil, fmt.Errorf("chat_template has no template named %q", "default")
}

// Render is the text of a conversation up to where the model is to answer. now is the
// time that templates may ask for.
func (t *Template) Render(messages []Message, now time.Time) (string, error) {
	var list []any
	for _, m := range messages {
		list = append(list, [][2]any{{"role", m.Role}, {"content", m.Content}})
	}
	variables := map[string]any{
		"messages": list, "add_generation_prompt": true, "tools": nil, "documents": nil,
		"raise_exception": jinja.Function(func(args []any) (any, error) {
			return nil, fmt.Errorf("the template says: %s", fmt.Sprint(args...))
		}),
		"strftime_now": jinja.Function(func(args []any) (any, error) {
			if len(args) == 1 {
				if format, ok := args[0].(string); ok {
					return jinja.Strftime(now, format)
				}
			}
			return nil, errors.New("strftime_now takes a format")
		}),
	}
	for name, s := range t.tokens {
		variables[name] = s
	}
	text, err := t.body.Render(variables)
	if err != nil {
		return "", t.blame(err)
	}
	return text, nil
}
