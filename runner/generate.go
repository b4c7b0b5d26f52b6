package runner

import (
	"context"
	"errors"
	"slices"
	"time"

	"quern/internal/invalid"
)

// GenerateOptions say what to generate.
type GenerateOptions struct {
	GeneratorOptions

	MaxTokens   int // at least 1
	Temperature float64
	TopP        float64 // see sampler.nucleus; 0 or 1: every token may come
	Seed        uint64
	Stop        []int // token ids that end the text
	// Draft is how many tokens multi-token prediction guesses ahead, 0 to MaxStep−1.
	Draft int
	// Auto makes drafts longer and shorter as it turns out to pay, by the time that they
	// take, and ends drafting where it does not: only of greedy text, which does not depend
	// on it.
	Auto bool
}

// Statistics tell how a text was generated.
type Statistics struct {
	PromptTokens int     `json:"prompt_tokens"`
	Tokens       int     `json:"tokens"`         // generated, the one that ended the text included
	Passes       int     `json:"passes"`         // of the main model, the prompt's excluded
	PromptTime   float64 `json:"prompt_seconds"` // until the first token
	Time         float64 `json:"seconds"`        // from the first token to the last
	Stopped      bool    `json:"stopped"`        // by a token of Stop

	Drafts   int   `json:"drafts,omitempty"`   // times that was guessed
	Drafted  int   `json:"drafted,omitempty"`  // tokens
	Accepted []int `json:"accepted,omitempty"` // by position of the guess: how often it and all before it were kept
	// Cost is what was measured of passes, of which some are plain while greedy text is
	// drafted.
	Cost *Cost `json:"cost,omitempty"`
	// Draft is the length of the last drafts, and Ended the number of tokens after which drafting was ended, see Auto; 0: it was not.
	Draft int `json:"draft,omitempty"`
	Ended int `json:"drafting_ended,omitempty"`

	CacheHits    int   `json:"cache_hits"` // experts found in memory
	CacheMisses  int   `json:"cache_misses"`
	BytesRead    int64 `json:"bytes_read"` // of weights, from files, behind the prompt
	BytesUsed    int64 `json:"bytes_used"` // of weights, from memory or files, behind the prompt
	ResidentSize int64 `json:"resident_bytes"`
}

// Speed is tokens per second behind the first.
func (s *Statistics) Speed() float64 {
	if s.Time <= 0 {
		return 0
	}
	return float64(max(s.Tokens-1, 0)) / s.Time
}

// Acceptance is the share of drafted tokens that were kept.
func (s *Statistics) Acceptance() float64 {
	n := 0
	for _, a := range s.Accepted {
		n += a
	}
	return float64(n) / float64(max(s.Drafted, 1))
}

// Length is the mean number of tokens that a pass with a draft yields: what was kept
// and the one that the main model adds.
func (s *Statistics) Length() float64 {
	n := 0
	for _, a := range s.Accepted {
		n += a
	}
	return 1 + float64(n)/float64(max(s.Drafts, 1))
}

// SpeedUp is the speed of passes with drafts in terms of that of plain ones, as measured in
// one text; 0 when there were too few.
func (s *Statistics) SpeedUp() float64 {
	if !s.Cost.Known() {
		return 0
	}
	pass, draft := s.Cost.Of(Seconds)
	return s.Cost.Length / (pass + draft)
}

// Generate continues a prompt and calls emit with each token as soon as it is known,
// but for one of Stop. With Draft the text is the same: greedy text token by token,
// sampled text in its distribution. emit ends it by an error, which is returned. The
// statistics are valid also when ctx ends it.
func (m *Model) Generate(ctx context.Context, prompt []int, o GenerateOptions, emit func(id int) error) (Statistics, error) {
	var st Statistics
	switch {
	case o.MaxTokens < 1:
		return st, errors.New("runner: nothing to generate")
	case o.Draft < 0 || o.Draft > MaxStep-1:
		return st, errors.New("runner: a draft has at most seven tokens")
	case o.Draft > 0 && m.mtp == nil:
		return st, invalid.Errorf("%q: there is no layer of multi-token prediction to draft with", m.c.Path)
	case o.Auto && o.Temperature != 0:
		return st, errors.New("runner: sampled text would depend on the time that drafts take")
	}
	o.NoMTP = o.Draft == 0
	if o.DraftHead == 0 && o.Temperature > 0 {
		o.DraftHead = m.vocab // see docs/benchmarks.md
	}
	g, err := m.NewGenerator(ctx, o.GeneratorOptions)
	if err != nil {
		return st, err
	}
	w := &writer{g: g, o: o, st: &st, s: newSampler(o.Temperature, o.TopP, o.Seed), text: slices.Clone(prompt), emit: emit, meter: meter{w: g.w}}
	st.PromptTokens = len(prompt)
	start := time.Now()
	logits, err := g.Prefill(prompt)
	if err != nil {
		return st, err
	}
	token := w.s.pick(logits)
	st.PromptTime = time.Since(start).Seconds()
	read, used, hits, misses := g.w.read.Load(), g.w.served, g.w.hits, g.w.misses
	start = time.Now()
	err = w.push(token)
	for err == nil {
		switch {
		case o.Draft == 0 || st.Ended > 0:
			err = w.single()
		case o.Auto:
			if w.o.Draft = w.next(w.o.Draft); w.o.Draft == 0 {
				st.Ended = st.Tokens
				g.EndDrafts()
				continue
			}
			fallthrough
		default:
			err = w.speculate()
		}
	}
	st.Time = time.Since(start).Seconds()
	st.Cost, st.Draft = w.meter.cost(), w.o.Draft
	st.BytesRead, st.BytesUsed = g.w.read.Load()-read, g.w.served-used
	st.CacheHits, st.CacheMisses, st.ResidentSize = g.w.hits-hits, g.w.misses-misses, g.w.used
	if errors.Is(err, errDone) {
		err = nil
	}
	return st, err
}

// errDone ends a text that is complete.
var errDone = errors.New("done")

// writer is a text under way: all tokens of text but the last were run.
type writer struct {
	g    *Generator
	o    GenerateOptions
	s    *sampler
	st   *Statistics
	text []int
	emit func(id int) error
	meter
}

// push adds a token, and ends the text when it is complete.
func (w *writer) push(token int) error {
	w.text = append(w.text, token)
	w.st.Tokens++
	if slices.Contains(w.o.Stop, token) {
		w.st.Stopped = true
		return errDone
	}
	if err := w.emit(token); err != nil {
		return err
	}
	if w.st.Tokens == w.o.MaxTokens {
		return errDone
	}
	return w.g.walk.ctx.Err()
}

// single runs the last token.
func (w *writer) single() error {
	logits, err := w.step(&w.plain, nil)
	if err != nil {
		return err
	}
	return w.push(w.s.pick(logits))
}

// step runs the last token and a draft.
func (w *writer) step(s *samples, draft []int) (logits []float32, err error) {
	tokens := append(w.text[len(w.text)-1:len(w.text):len(w.text)], draft...)
	err = w.of(s, func() error {
		logits, err = w.g.Step(tokens)
		return err
	})
	if err == nil {
		w.st.Passes++
		w.passes++
	}
	return logits, err
}

// speculate drafts, runs the last token and the draft at once, and keeps what the
// main model would have written.
func (w *writer) speculate() error {
	g, vocab := w.g, w.g.m.vocab
	k := min(w.o.Draft, w.o.MaxTokens-w.st.Tokens-1)
	// Sampled text would be another one with the same seed.
	if k <= 0 || w.s.greedy() && w.meter.single() {
		return w.single()
	}
	var guesses [][]float32 // probabilities that drafts were drawn from
	var draft []int
	err := w.of(&w.draft, func() (err error) {
		draft, err = g.Draft(w.text, k, func(logits []float32) int {
			token := w.s.pick(logits) // makes probabilities of logits unless greedy
			guesses = append(guesses, logits)
			return token
		})
		return err
	})
	if err != nil {
		return err
	}
	logits, err := w.step(&w.pass, draft)
	if err != nil {
		return err
	}
	if len(draft) > 0 {
		w.st.Drafts++
	}
	w.st.Drafted += len(draft)
	for len(w.st.Accepted) < len(draft) {
		w.st.Accepted = append(w.st.Accepted, 0)
	}
	run := len(w.text) // tokens of text that were run: all before the draft
	defer func() { w.drafted(len(w.text) - run) }()
	for i := 0; ; i++ {
		row := logits[i*vocab:][:vocab]
		if i == len(draft) {
			return w.push(w.s.pick(row))
		}
		var token int
		var kept bool
		if w.s.greedy() {
			token = w.s.pick(row)
			kept = token == draft[i]
		} else {
			token, kept = w.s.judge(draft[i], w.s.probabilities(row), guesses[i])
		}
		if !kept {
			g.Truncate(run + i)
			return w.push(token)
		}
		w.st.Accepted[i]++
		if err := w.push(token); err != nil {
			return err
		}
	}
}
