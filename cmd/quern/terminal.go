package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"quern/internal/ui"
)

// terminal is where a command writes: results, and everything else.
type terminal struct {
	out *results
	err *messages
	ctx context.Context // of the command: a signal ends it

	asJSON  bool
	verbose bool
	began   time.Time
}

func newTerminal(stdout, stderr *os.File) *terminal {
	ascii := asciiOnly(os.Getenv)
	return &terminal{
		ctx:   context.Background(),
		out:   &results{file: stdout, ascii: ascii, colour: coloured(stdout, os.Getenv)},
		err:   &messages{file: stderr, ascii: ascii, colour: coloured(stderr, os.Getenv)},
		began: time.Now(),
	}
}

// settle takes what the flags say about how to write.
func (t *terminal) settle(progress string, asJSON, verbose bool) {
	t.asJSON, t.verbose, t.err.form = asJSON, verbose, ui.ProgressForm(progress)
}

// json writes x for programs.
func (t *terminal) json(x any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(x); err != nil {
		return err
	}
	t.raw(b.Bytes())
	return nil
}

// raw writes JSON that is there. Where characters beyond ASCII cannot be shown they
// are escaped, which changes nothing for those who read it.
func (t *terminal) raw(text []byte) {
	if t.out.ascii {
		text = escapeJSON(text)
	}
	_, _ = t.out.Write(text)
}

// rawWriter is raw for those who write piece by piece.
type rawWriter struct{ t *terminal }

func (w rawWriter) Write(p []byte) (int, error) {
	w.t.raw(p)
	return len(p), nil
}

// failure is what --json tells of a command that ended without a result.
type failure struct {
	Error string `json:"error"`
	Exit  int    `json:"exit"`
}

// fail tells how the command ended: a line on standard error, and with --json an object
// on standard output, unless a result stands there.
func (t *terminal) fail(err error, code int) {
	said := oneLine(err)
	if t.asJSON && !t.out.begun {
		_ = t.json(failure{said, code})
	}
	if t.err.events() {
		t.err.event(struct {
			Event string `json:"event"`
			failure
		}{"error", failure{said, code}})
		return
	}
	fmt.Fprintf(t.err, "quern: %s\n", said)
}

// oneLine keeps an error on one line without control codes, whatever names it
// holds.
func oneLine(err error) string {
	return clean(strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), " "))
}

// notes writes remarks to standard error unless quiet.
func (t *terminal) notes(quiet bool, notes []string) {
	if quiet {
		return
	}
	const shown = 12
	for i, n := range notes {
		if i == shown && len(notes) > shown+1 && !t.err.events() {
			fmt.Fprintf(t.err, "note: and %d more like these; --json lists them all\n", len(notes)-shown)
			return
		}
		t.note(n)
	}
}

// note writes one remark.
func (t *terminal) note(text string) {
	const head = "note: "
	if t.err.events() {
		t.err.event(message{"note", clean(text)})
		return
	}
	fmt.Fprintf(t.err, "%s%s\n", head, ui.Wrap(clean(text), len(head), len(head)))
}

// log says with --verbose what is done, with the time since the start.
func (t *terminal) log(format string, args ...any) {
	if !t.verbose {
		return
	}
	text := clean(fmt.Sprintf(format, args...))
	if t.err.events() {
		t.err.event(message{"log", text})
		return
	}
	fmt.Fprintf(t.err, "%7.3fs %s\n", time.Since(t.began).Seconds(), text)
}

// progress shows how far something is, unless quiet; --progress json is for programs,
// and not silenced by what prints the result as JSON.
func (t *terminal) progress(what string, quiet bool) *ui.Progress {
	form := t.err.form
	if quiet && form != ui.ProgressJSON {
		form = ui.ProgressNone
	}
	return ui.NewProgress(t.err.file, what, form)
}

// messages is standard error: what is said besides results.
type messages struct {
	file          *os.File
	form          ui.ProgressForm
	ascii, colour bool
}

// events reports whether each message is an object on a line of its own.
func (m *messages) events() bool { return m.form == ui.ProgressJSON }

// message is one without figures.
type message struct {
	Event string `json:"event"`
	Text  string `json:"text"`
}

func (m *messages) event(x any) {
	raw, err := json.Marshal(x)
	if err != nil {
		return
	}
	_, _ = m.file.Write(append(escapeJSON(raw), '\n'))
}

// Write takes lines for people.
func (m *messages) Write(p []byte) (int, error) {
	if m.events() {
		for l := range strings.Lines(string(p)) {
			if l = strings.TrimSpace(l); l != "" {
				m.event(message{"text", l})
			}
		}
		return len(p), nil
	}
	text := p
	if m.ascii {
		text = ascii(text)
	}
	if m.colour {
		text = paint(text)
	}
	_, err := m.file.Write(text)
	return len(p), err
}
