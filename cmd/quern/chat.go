package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"quern/formats/chat"
	"quern/formats/hf"
	"quern/internal/invalid"
	"quern/internal/page"
	"quern/internal/ui"
)

// chat answers the prompt, or at a terminal one line after the other.
func (x *generating) chat(ck *hf.Checkpoint) error {
	template, err := chat.Open(x.c.Context, ck.Folder)
	if err != nil {
		return err
	}
	talk := &conversation{x: x, template: template, now: page.Now()}
	if x.c.IsSet("system") {
		talk.messages = append(talk.messages, chat.Message{Role: "system", Content: x.c.String("system")})
	}
	if x.c.IsSet("prompt") || !ui.Terminal(os.Stdin) {
		prompt, err := x.t.promptText(x.c)
		if err != nil {
			return err
		}
		return talk.say(prompt)
	}
	return talk.lines(interruptible(x.c.Context, os.Stdin))
}

// conversation is a chat under way. Each answer reads all of it again: a template may
// write what was said before in another form once there is more.
type conversation struct {
	x        *generating
	template *chat.Template
	messages []chat.Message
	now      time.Time
}

// say puts a message in and writes the answer.
func (v *conversation) say(content string) error {
	v.messages = append(v.messages, chat.Message{Role: "user", Content: content})
	prompt, err := v.template.Render(v.messages, v.now)
	if err != nil {
		return err
	}
	// The template has written what the tokenizer would put in front.
	ids, err := v.x.tok.Encode(prompt)
	if err != nil {
		return fmt.Errorf("the prompt: %w", err)
	}
	if len(ids) == 0 {
		return invalid.Errorf("the chat template makes an empty prompt")
	}
	answer, err := v.x.answer(prompt, ids)
	v.messages = append(v.messages, chat.Message{Role: "assistant", Content: answer})
	return err
}

// lines answers lines until they end.
func (v *conversation) lines(in io.Reader) error {
	const sign = "> "
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxPrompt)
	fmt.Fprintln(v.x.t.err, "a line is a message; Ctrl-D ends")
	for {
		fmt.Fprint(v.x.t.err, sign)
		if !lines.Scan() {
			break
		}
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "":
			continue
		case !utf8.ValidString(line):
			return invalid.Errorf("the prompt is not UTF-8")
		}
		if err := v.say(line); err != nil {
			return err
		}
	}
	fmt.Fprintln(v.x.t.err)
	if err := lines.Err(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("reading the prompt: %w", err)
	}
	return v.x.c.Context.Err()
}
