package runner

import (
	"slices"
	"time"
)

// Cost is what drafting costs beside plain passes, of one text and one machine.
type Cost struct {
	Plain Work `json:"plain"` // a pass with one token
	Pass  Work `json:"pass"`  // one that judges a draft
	Draft Work `json:"draft"` // making a draft
	// Length is how many tokens passes with drafts yielded on average.
	Length float64 `json:"length"`
}

// Work is what passes of a kind took on average, of those that took neither least nor most
// time: the middle half.
type Work struct {
	Count   int     `json:"count"`
	Seconds float64 `json:"seconds"`
	Bytes   float64 `json:"bytes"` // of weights that were used; of all passes
}

// Of are a pass that judges a draft and the draft in units of a plain token, by a figure
// of Work: c and d of the break-even, for drafting pays where a pass yields more than c+d
// tokens.
func (c *Cost) Of(figure func(Work) float64) (pass, draft float64) {
	plain := figure(c.Plain)
	if plain <= 0 {
		return 0, 0
	}
	return figure(c.Pass) / plain, figure(c.Draft) / plain
}

// Seconds and Bytes are figures of Work.
func Seconds(w Work) float64 { return w.Seconds }

// Bytes are those of weights.
func Bytes(w Work) float64 { return w.Bytes }

// Known reports whether all kinds were measured.
func (c *Cost) Known() bool {
	return c != nil && min(c.Plain.Count, c.Pass.Count, c.Draft.Count) >= leastSamples
}

// Of the first passes of a text that is drafted every third is a plain one, later one of
// many, that there is something to compare with.
const (
	trial        = 24 // passes
	trialPeriod  = 3
	laterPeriod  = 48
	warming      = 6 // passes that are not measured: weights are being read
	leastSamples = 4
	mostSamples  = 256 // of a kind: the last ones
)

// meter measures the passes of a text.
type meter struct {
	w                  *resident
	passes             int
	plain, pass, draft samples
	yield, lately      yield // of drafts as long as now, and since the last verdict

	// What is known of lengths of drafts, see next.
	best    int
	gain    float64
	settled bool
}

// yield is what passes with drafts gave.
type yield struct{ tokens, drafts int }

func (y *yield) length() float64 { return float64(y.tokens) / float64(max(y.drafts, 1)) }

// drafted counts a pass with a draft that gave so many tokens.
func (m *meter) drafted(tokens int) {
	for _, y := range []*yield{&m.yield, &m.lately} {
		y.tokens += tokens
		y.drafts++
	}
}

// samples are of passes of one kind.
type samples struct {
	count          int
	seconds, bytes []float64
}

// of measures what do does.
func (m *meter) of(s *samples, do func() error) error {
	start, used := time.Now(), m.w.served
	if err := do(); err != nil || !m.counts() {
		return err
	}
	at := s.count % mostSamples
	if len(s.seconds) <= at {
		s.seconds, s.bytes = append(s.seconds, 0), append(s.bytes, 0)
	}
	s.seconds[at], s.bytes[at] = time.Since(start).Seconds(), float64(m.w.served-used)
	s.count++
	return nil
}

// place is that of the next pass among those of which the last one is plain.
func (m *meter) place() (at, period int) {
	if m.passes < trial {
		return m.passes % trialPeriod, trialPeriod
	}
	return (m.passes - trial) % laterPeriod, laterPeriod
}

// single reports whether the next pass is to be a plain one.
func (m *meter) single() bool {
	at, period := m.place()
	return at == period-1
}

// counts reports whether the next pass is measured: plain ones and those beside them, for
// weights and texts are others at the beginning than at the end.
func (m *meter) counts() bool {
	at, period := m.place()
	return m.passes >= warming && (at == 0 || at >= period-2)
}

// cost is what was measured; nil when nothing was drafted.
func (m *meter) cost() *Cost {
	if m.draft.count == 0 {
		return nil
	}
	return &Cost{Plain: m.plain.work(), Pass: m.pass.work(), Draft: m.draft.work(), Length: m.yield.length()}
}

func (s *samples) work() Work {
	sorted := slices.Sorted(slices.Values(s.seconds))
	n := len(sorted)
	return Work{Count: s.count, Seconds: mean(sorted[n/4 : n-n/4]), Bytes: mean(s.bytes)}
}

func mean(xs []float64) float64 {
	sum := 0.0
	for _, x := range xs {
		sum += x
	}
	return sum / float64(max(len(xs), 1))
}

// next is the length of the next draft, by what those of length k gave and cost lately: one
// more as long as that gains, one less where drafts do not pay, at last none.
func (m *meter) next(k int) int {
	if m.passes < trial || m.lately.drafts < trial/2 {
		return k
	}
	c, length := m.cost(), m.lately.length()
	m.lately = yield{}
	if !c.Known() {
		return k
	}
	pass, draft := c.Of(Seconds)
	gain, to := length/(pass+draft), k
	switch {
	case m.settled && gain > 1:
	case m.settled:
		to = k - 1
	case gain > m.gain && gain > 1 && k < MaxStep-1:
		m.best, m.gain, to = k, gain, k+1
	case gain > m.gain && gain > 1:
		m.settled = true
	default:
		m.settled, to = true, m.best
	}
	if to != k && to > 0 { // a trial of another length
		m.passes, m.pass, m.draft, m.yield = warming, samples{}, samples{}, yield{}
	}
	return to
}
