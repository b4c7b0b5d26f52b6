package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"quern/internal/tinyseek"
)

// Pages show commands in three ways. Lines of a block of sh are run, one behind the
// other, in a folder of the page's own with the embedded model where a reader has his;
// what lies in a hub is that model too. Lines that are set in by four spaces, and words
// between backquotes, are forms with places to fill in: their commands and flags exist.
// Lines of a block of sh that cannot be run end with "# elsewhere".

// docPage is a file of documentation.
type docPage struct {
	name  string
	runs  []string          // lines of blocks of sh that begin with quern or jq
	shown []string          // command lines to look at
	flags []string          // flags between backquotes by themselves
	texts map[string]string // of programs, by language
}

var (
	spans    = regexp.MustCompile("`([^`\n]+)`")
	aFlag    = regexp.MustCompile(`(?:^|[\s\[|(])(--?[a-z][a-z0-9-]*)`)
	inHub    = regexp.MustCompile(`hf://[A-Za-z0-9-]+/[A-Za-z0-9.-]+`)
	separate = regexp.MustCompile(`;\s+|&&|\s\|\s+|\$\(`)
)

func docPages(t *testing.T) []docPage {
	t.Helper()
	var names []string
	for _, pattern := range []string{"../../README.md", "../../docs/*.md", "../../docs/engines/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	if len(names) == 0 {
		t.Skip("no documentation here")
	}
	var pages []docPage
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, readPage(filepath.ToSlash(strings.TrimPrefix(name, filepath.Join("..", "..")+string(filepath.Separator))), string(raw)))
	}
	return pages
}

func readPage(name, text string) docPage {
	p := docPage{name: name, texts: map[string]string{}}
	fence, whole := "", ""
	for l := range strings.SplitSeq(text, "\n") {
		if lang, ok := strings.CutPrefix(l, "```"); ok {
			if fence == "" {
				fence = "``` " + lang
			} else {
				fence = ""
			}
			continue
		}
		switch {
		case fence == "``` sh" || fence == "``` ":
			if before, ok := strings.CutSuffix(l, `\`); ok {
				whole += before
				continue
			}
			if line := strings.TrimSpace(whole + l); strings.HasPrefix(line, "quern ") || strings.HasPrefix(line, "jq ") {
				p.shown = append(p.shown, line)
				if fence == "``` sh" && !strings.HasSuffix(line, "# elsewhere") {
					p.runs = append(p.runs, line)
				}
			}
			whole = ""
		case fence != "":
			p.texts[strings.TrimPrefix(fence, "``` ")] += l + "\n"
		case strings.HasPrefix(l, "    "):
			p.shown = append(p.shown, strings.TrimSpace(l))
		default:
			for _, m := range spans.FindAllStringSubmatch(l, -1) {
				if strings.HasPrefix(m[1], "-") {
					p.flags = append(p.flags, m[1])
				} else {
					p.shown = append(p.shown, m[1])
				}
			}
		}
	}
	return p
}

// commandLines are the parts of a line that call quern.
func commandLines(line string) [][]string {
	var out [][]string
	line, _, _ = strings.Cut(line, " #")
	for _, part := range separate.Split(line, -1) {
		words := strings.Fields(part)
		at := slices.IndexFunc(words, func(w string) bool { return w == "quern" || strings.HasSuffix(w, "/quern") })
		if at >= 0 && at+1 < len(words) && (at == 0 || words[0] == "go" && words[1] == "run" || words[0] == "podman" || words[0] == "docker" || strings.Contains(words[0], "=")) {
			out = append(out, words[at:])
		}
	}
	return out
}

// TestDocumentedFlags holds that commands and flags that pages speak of exist.
func TestDocumentedFlags(t *testing.T) {
	app := newApp(newTerminal(os.Stdout, os.Stderr))
	every := slices.Concat(app.Flags, []cli.Flag{cli.HelpFlag, cli.VersionFlag}, allFlags(app.Commands))
	lines, flags := 0, 0
	for _, p := range docPages(t) {
		for _, l := range p.shown {
			for _, words := range commandLines(l) {
				lines++
				checkCommand(t, app, p.name, words)
			}
		}
		for _, text := range p.flags {
			if strings.Contains(p.name, "engines/") {
				continue // most are the engine's
			}
			for _, m := range aFlag.FindAllStringSubmatch(text, -1) {
				flags++
				if name := strings.TrimLeft(m[1], "-"); flagNamed(every, name) == nil && !slices.Contains(notOurs, name) {
					t.Errorf("%s speaks of %s, which no command has", p.name, m[1])
				}
			}
		}
	}
	if lines < 50 || flags < 100 {
		t.Errorf("only %d command lines and %d flags were found", lines, flags)
	}
}

// notOurs are flags of others that pages name by themselves: of Slurm, docker, Go, SGLang, vLLM.
var notOurs = []string{"array", "requeue", "gpus", "runtime", "tags", "update", "init-expert-location", "enable-expert-parallel"}

func checkCommand(t *testing.T, app *cli.App, page string, words []string) {
	t.Helper()
	commands, flags := app.Commands, []cli.Flag{cli.HelpFlag, cli.VersionFlag}
	name := "quern"
	for _, w := range words[1:] {
		if w == "--" {
			return // behind it are arguments, which of emit are another command line
		}
		one, _, _ := strings.Cut(w, "|") // of several that are alike
		if at := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(one) }); at >= 0 {
			name += " " + w
			flags, commands = slices.Concat([]cli.Flag{cli.HelpFlag}, commands[at].Flags), commands[at].Subcommands
			continue
		}
		if len(commands) == len(app.Commands) && regexp.MustCompile(`^[a-z]+$`).MatchString(w) {
			t.Errorf("%s shows the command %q, which is none: %s", page, w, strings.Join(words, " "))
			return
		}
		for _, m := range aFlag.FindAllStringSubmatch(w, -1) {
			if flagNamed(flags, strings.TrimLeft(m[1], "-")) == nil {
				t.Errorf("%s shows %s with %s, which does not have it: %s", page, m[1], name, strings.Join(words, " "))
			}
		}
	}
}

// TestDocumentedCommands runs what blocks of sh show. Exit code 3 is a result too: the
// embedded model does not pass every gate that is shown.
func TestDocumentedCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the program some fifty times")
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh")
	}
	jq, _ := exec.LookPath("jq")
	ran := 0
	for _, p := range docPages(t) {
		if len(p.runs) == 0 {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := readersFolder(dir); err != nil {
				t.Fatal(err)
			}
			for _, line := range p.runs {
				if jq == "" && strings.Contains(line, "jq ") {
					t.Logf("no jq for: %s", line)
					continue
				}
				c := exec.CommandContext(context.WithoutCancel(t.Context()), sh, "-c", inHub.ReplaceAllString(line, "./my-model"))
				c.Dir = dir
				c.Env = append(os.Environ(), "QUERN_PROGRESS=none", "NO_COLOR=1")
				out, err := c.CombinedOutput()
				e, failed := errors.AsType[*exec.ExitError](err)
				if err != nil && (!failed || e.ExitCode() != 3) {
					t.Errorf("%s: %v\n%s", line, err, out)
				}
				ran++
			}
			for language, how := range map[string][]string{"go": {"main.go", "go", "run", "main.go"}, "python": {"main.py", "python3", "main.py"}} {
				if p.texts[language] != "" {
					program(t, dir, p.texts[language], how[0], how[1], how[2:]...)
				}
			}
		})
	}
	if ran < 20 {
		t.Errorf("only %d commands were found", ran)
	}
}

// program runs one that a page shows, where there is what runs it.
func program(t *testing.T, dir, text, name, with string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(with); err != nil {
		t.Logf("no %s for %s", with, name)
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(context.WithoutCancel(t.Context()), with, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GOWORK=off", "PYTHONUTF8=1")
	out, err := c.CombinedOutput()
	if err != nil || len(out) == 0 {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
}

// readersFolder is what a reader has: a model, and a text.
func readersFolder(dir string) error {
	if err := tinyseek.Extract(filepath.Join(dir, "my-model")); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(dir, "my-model", "verify.txt"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "my.txt"), text[:min(len(text), 4000)], 0o644)
}

// Every command and every flag stands on some page.
func TestEverythingIsDocumented(t *testing.T) {
	var all strings.Builder
	for _, pattern := range []string{"../../README.md", "../../docs/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(raw)
		}
	}
	text := all.String()
	if text == "" {
		t.Skip("no documentation here")
	}
	for _, c := range newApp(newTerminal(os.Stdout, os.Stderr)).Commands {
		if !regexp.MustCompile(`(?m)^    quern ` + c.Name + `\b`).MatchString(text) {
			t.Errorf("no page has a line for quern %s", c.Name)
		}
		for _, f := range c.Flags {
			if !slices.ContainsFunc(f.Names(), func(n string) bool { return regexp.MustCompile(`--?` + regexp.QuoteMeta(n) + `\b`).MatchString(text) }) {
				t.Errorf("no page speaks of --%s of quern %s", f.Names()[0], c.Name)
			}
		}
	}
}
