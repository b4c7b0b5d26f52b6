package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"quern/formats/hf"
	"quern/formats/tokenizer"
	"quern/internal/invalid"
	"quern/internal/ui"
	"quern/runner"
)

func runCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "continue a text with the model, also with multi-token prediction",
		ArgsUsage: "[flags] CKPT",
		Description: "To look at a checkpoint, not to serve it: one text at a time, in float32, on the CPU. The\n" +
			"prompt is continued as it is, or with --chat answered: the tokenizer's chat template is put\n" +
			"around it. Without --prompt it is read from standard input, with --chat at a terminal line\n" +
			"by line, as a conversation. With --speculative the multi-token-prediction layer drafts, and\n" +
			"the text stays the same. The text ends at an end-of-sequence token, at a --stop string or\n" +
			"at Ctrl-C.\n\n" +
			"Example:\n   quern run --prompt 'func main() {' --speculative --stats ./my-model-fp8",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "prompt", Usage: "`TEXT`the beginning of the text"},
			&cli.BoolFlag{Name: "chat", Usage: "answer the prompt as a message, by the tokenizer's chat template"},
			&cli.StringFlag{Name: "system", Usage: "`TEXT`a message of the system before the first; needs --chat"},
			&cli.StringSliceFlag{Name: "stop", Usage: "`TEXT`end before this text; may be repeated"},
			&cli.IntFlag{Name: "max-tokens", Usage: "`N`end after so many tokens", Value: 128},
			&cli.Float64Flag{Name: "temperature", Usage: "`T`0 takes the likeliest token, larger numbers leave more to chance"},
			&cli.Float64Flag{Name: "top-p", Usage: "`P`draw from the likeliest tokens that have this probability together", Value: 1},
			&cli.Uint64Flag{Name: "seed", Usage: "`N`the same seed gives the same text"},
			&cli.BoolFlag{Name: "speculative", Usage: "draft with the multi-token-prediction layer"},
			&cli.StringFlag{Name: "draft", Usage: "`K|auto`tokens that are drafted ahead, 1 to 7; auto: as many as pay, or none", Value: "1"},
			&cli.BoolFlag{Name: "stats", Usage: "tell how it went: acceptance, tokens a pass, speed with and without drafting"},
			&cli.StringFlag{Name: "expert-cache", Usage: "`SIZE`bound on the routed experts in memory, less than --memory leaves"},
			workersFlag,
			&cli.StringFlag{Name: "memory", Usage: "`SIZE`bound on what the whole process takes; three quarters of what is free unless given"},
			quietFlag, jsonFlag,
		},
		Action: func(c *cli.Context) error {
			args, err := positional(c, 1, 1)
			if err != nil {
				return err
			}
			o, err := generateOptions(c)
			if err != nil {
				return err
			}
			ck, err := t.open(args[0])
			if err != nil {
				return err
			}
			return t.generate(c, ck, o)
		},
	}
}

// generateOptions reads the flags of run.
func generateOptions(c *cli.Context) (runner.GenerateOptions, error) {
	var o runner.GenerateOptions
	var err error
	if o.Workers, err = workers(c); err != nil {
		return o, err
	}
	o.MaxTokens, o.Temperature, o.Seed, o.TopP = c.Int("max-tokens"), c.Float64("temperature"), c.Uint64("seed"), c.Float64("top-p")
	k := 1
	if o.Auto = c.String("draft") == "auto"; !o.Auto {
		k, err = strconv.Atoi(c.String("draft"))
	}
	switch {
	case o.MaxTokens < 1:
		return o, usagef("--max-tokens %d: at least 1", o.MaxTokens)
	case !(o.Temperature >= 0) || o.Temperature > 1e6:
		return o, usagef("--temperature %v: not a temperature", o.Temperature)
	case !(o.TopP > 0 && o.TopP <= 1):
		return o, usagef("--top-p %v: more than 0, at most 1", o.TopP)
	case c.IsSet("top-p") && o.Temperature == 0:
		return o, usagef("--top-p needs --temperature: without it the likeliest token is taken")
	case c.IsSet("system") && !c.Bool("chat"):
		return o, usagef("--system needs --chat")
	case slices.Contains(c.StringSlice("stop"), ""):
		return o, usagef("--stop is empty")
	case err != nil || k < 1 || k >= runner.MaxStep:
		return o, usagef("--draft %s: 1 to %d, or auto", c.String("draft"), runner.MaxStep-1)
	case c.IsSet("draft") && !c.Bool("speculative"):
		return o, usagef("--draft needs --speculative")
	case o.Auto && o.Temperature != 0:
		return o, usagef("--draft auto goes by time, and so would text that is drawn with --temperature: give a number")
	case c.Bool("speculative"):
		o.Draft = k
	}
	bound := free() / 4 * 3
	if c.IsSet("memory") {
		if bound, err = memory(c); err != nil {
			return o, err
		}
	}
	debug.SetMemoryLimit(bound)
	bound -= networked(c, bound)
	o.Memory = bound / 4 * 3 // beside weights there are caches of attention and scratch
	if c.IsSet("expert-cache") {
		o.ExpertCache, err = size(c, "expert-cache")
	}
	return o, err
}

// free is the memory that the machine can spare, or a modest guess.
func free() int64 {
	const guess = 8 << 30
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return guess
	}
	for line := range strings.Lines(string(raw)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); n == 1 && kib > 0 {
			return kib << 10
		}
	}
	return guess
}

// generation is what run tells in JSON.
type generation struct {
	Prompt  string             `json:"prompt"`
	Text    string             `json:"text"`
	Ended   string             `json:"stop_string,omitempty"` // that ended the text
	Tokens  []int              `json:"tokens"`
	Stats   runner.Statistics  `json:"stats"`
	SpeedUp float64            `json:"speed_up,omitempty"` // of passes with drafts over the plain ones among them
	Without *runner.Statistics `json:"without_drafting,omitempty"`
}

// generate continues the prompt and writes the text as it comes.
func (t *terminal) generate(c *cli.Context, ck *hf.Checkpoint, o runner.GenerateOptions) error {
	m, err := runner.Open(ck, nil)
	if err != nil {
		return err
	}
	defer m.Close()
	t.notes(c.Bool("quiet"), m.Remarks())
	tok, err := tokenizer.OpenIn(c.Context, ck.Folder, "")
	if err != nil {
		return err
	}
	if o.Stop, err = m.StopTokens(); err != nil {
		return err
	}
	g := &generating{t: t, c: c, m: m, tok: tok, o: o}
	if c.Bool("chat") {
		return g.chat(ck)
	}
	prompt, err := t.promptText(c)
	if err != nil {
		return err
	}
	ids, err := promptIDs(tok, prompt)
	if err != nil {
		return err
	}
	_, err = g.answer(prompt, ids)
	return err
}

// generating is what texts are made with.
type generating struct {
	t   *terminal
	c   *cli.Context
	m   *runner.Model
	tok *tokenizer.Tokenizer
	o   runner.GenerateOptions
}

// errStopString ends a text in which a stop string has come.
var errStopString = errors.New("a stop string")

// answer continues ids, which prompt was made of, writes the text as it comes, and
// returns it.
func (x *generating) answer(prompt string, ids []int) (string, error) {
	t, c, o := x.t, x.c, x.o
	if most := x.m.Config().MaxPositions; most > 0 && len(ids) >= most {
		return "", invalid.Errorf("the prompt has %d tokens, the model can see %d", len(ids), most)
	} else if most > 0 {
		o.MaxTokens = min(o.MaxTokens, most-len(ids))
	}
	asJSON := c.Bool("json")
	g := &generation{Prompt: prompt}
	stream, stop := x.tok.Stream(), stopper{strings: c.StringSlice("stop")}
	show := func(s string) {
		g.Text += s
		if !asJSON {
			t.out.text(s)
		}
	}
	var err error
	g.Stats, err = x.m.Generate(c.Context, ids, o, func(id int) error {
		g.Tokens = append(g.Tokens, id)
		show(stop.add(stream.Add(id)))
		if stop.found != "" {
			return errStopString
		}
		return t.out.err
	})
	g.SpeedUp = g.Stats.SpeedUp()
	show(stop.add(stream.Flush()))
	show(stop.flush())
	if g.Ended = stop.found; errors.Is(err, errStopString) {
		err = nil
	}
	if !asJSON && g.Stats.Tokens > 0 {
		fmt.Fprintln(t.out)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return g.Text, err
	}
	if stats := c.Bool("stats"); err == nil && stats && o.Draft > 0 {
		plain := o
		plain.Draft = 0
		plain.MaxTokens = max(g.Stats.Tokens, 1) // a stop string is not looked for
		st, err := x.m.Generate(c.Context, ids, plain, func(int) error { return nil })
		if err != nil {
			return g.Text, err
		}
		g.Without = &st
	}
	switch {
	case asJSON && err == nil:
		return g.Text, t.json(g)
	case !c.Bool("quiet"):
		t.tell(g, o, c.Bool("stats"))
	}
	return g.Text, err
}

// maxPrompt bounds a prompt on standard input.
const maxPrompt = 64 << 20

// promptText is the prompt of the flag or of standard input.
func (t *terminal) promptText(c *cli.Context) (string, error) {
	prompt := c.String("prompt")
	if !c.IsSet("prompt") {
		if ui.Terminal(os.Stdin) {
			fmt.Fprintln(t.err, "waiting for the prompt: type it and end with Ctrl-D on a line of its own (--prompt TEXT gives one at once)")
		}
		raw, err := io.ReadAll(io.LimitReader(interruptible(c.Context, os.Stdin), maxPrompt+1))
		switch {
		case err != nil:
			return "", fmt.Errorf("reading the prompt: %w", err)
		case len(raw) > maxPrompt:
			return "", invalid.Errorf("the prompt: more than %s", ui.Bytes(maxPrompt))
		}
		prompt = string(raw)
	}
	if !utf8.ValidString(prompt) {
		return "", invalid.Errorf("the prompt is not UTF-8")
	}
	return prompt, nil
}

// promptIDs is the prompt as tokens, with what the tokenizer puts in front.
func promptIDs(tok *tokenizer.Tokenizer, prompt string) ([]int, error) {
	ids, err := tok.Encode(prompt)
	if err != nil {
		return nil, fmt.Errorf("the prompt: %w", err)
	}
	before, _ := tok.Around()
	ids = slices.Concat(before, ids)
	if len(ids) == 0 {
		return nil, invalid.Errorf("the prompt is empty")
	}
	return ids, nil
}
