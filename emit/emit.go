// Package emit writes the files with which schedulers run one command of quern as many
// tasks, and their merge when all are done: an array script of Slurm, an Indexed Job of
// Kubernetes. Schedulers act on exit codes: 0 done, 1 and those of signals try again,
// 2 and 4 do not, 5 (of merge) not all there yet.
package emit

import (
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

// A Job is what is to be run.
type Job struct {
	Name     string   // of the job: letters, digits and dashes
	Tasks    int      // how many
	Parallel int      // how many at once; 0 is all
	Command  []string // of a task: a program and its arguments, --task auto among them
	Merge    []string // when all are done
	Retries  int      // how often a task is tried again
	CPUs     int      // for a task
	Memory   string   // for a task, as Kubernetes writes it: 2Gi
	Time     string   // for a task, as Slurm writes it; "" is the cluster's default

	// Of Kubernetes.
	Image  string
	Claim  string // a PersistentVolumeClaim; "" is none
	Mount  string // where it is mounted
	Secret string // whose keys become environment: HF_TOKEN, AWS_…; "" is none
}

// An Engine is a scheduler that a job can be written for.
type Engine struct {
	Name  string
	Write func(io.Writer, Job) error
}

// Engines are those that there are.
var Engines = []Engine{
	{"slurm", Slurm},
	{"kubernetes", Kubernetes},
}

//go:embed templates
var files embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"sh":   shell,
	"yaml": yaml,
	"argv": argv,
	"mb":   megabytes,
}).ParseFS(files, "templates/*"))

// A name that both take: a label of DNS (RFC 1123).
var name = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?$`)

// check refuses what would not be what it looks like in a script.
func (j Job) check() error {
	switch {
	case !name.MatchString(j.Name):
		return fmt.Errorf("the name %q: small letters, digits and dashes are allowed, 53 at most", j.Name)
	case j.Tasks < 1:
		return fmt.Errorf("%d tasks: at least 1 is needed", j.Tasks)
	case j.Parallel < 0 || j.Retries < 0 || j.CPUs < 1:
		return fmt.Errorf("%d tasks at once, %d tries again, %d processors: one of them is no number of such", j.Parallel, j.Retries, j.CPUs)
	case len(j.Command) == 0 || len(j.Merge) == 0:
		return fmt.Errorf("there is no command")
	}
	for _, word := range slices.Concat(j.Command, j.Merge, []string{j.Memory, j.Time, j.Image, j.Claim, j.Mount, j.Secret}) {
		if strings.ContainsFunc(word, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("%q holds a control character", word)
		}
	}
	return nil
}

// Slurm writes a script for bash that submits an array of tasks and the merge that waits
// for them, and is what they run.
func Slurm(w io.Writer, j Job) error {
	if err := j.check(); err != nil {
		return err
	}
	if j.Time != "" && !slurmTime.MatchString(j.Time) {
		return fmt.Errorf("the time %q: Slurm writes HH:MM:SS or DAYS-HH:MM:SS", j.Time)
	}
	if _, err := megabytes(j.Memory); err != nil {
		return err
	}
	return templates.ExecuteTemplate(w, "slurm.sh", j)
}

var slurmTime = regexp.MustCompile(`^\d+(-\d+)?(:\d+){0,2}$`)

// Kubernetes writes an Indexed Job of tasks and a Job that merges when they are done.
func Kubernetes(w io.Writer, j Job) error {
	if err := j.check(); err != nil {
		return err
	}
	if j.Image == "" {
		return fmt.Errorf("no image is given that has quern in it")
	}
	if _, err := megabytes(j.Memory); err != nil {
		return err
	}
	if j.Parallel == 0 {
		j.Parallel = j.Tasks
	}
	return templates.ExecuteTemplate(w, "kubernetes.yaml", j)
}

// safe are words that mean themselves to a shell.
var safe = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// shell writes words for a POSIX shell.
func shell(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if quoted[i] = w; !safe.MatchString(w) {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

// yaml writes a value for YAML, of which JSON is a part.
func yaml(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSpace(b.String()), err
}

// argv writes a command for a container. Kubernetes puts variables in place of $(NAME)
// there, unless the dollar is doubled.
func argv(words []string) (string, error) {
	escaped := make([]string, len(words))
	for i, w := range words {
		escaped[i] = strings.ReplaceAll(w, "$(", "$$(")
	}
	return yaml(escaped)
}

var quantity = regexp.MustCompile(`^([1-9]\d{0,8})(Mi|Gi|Ti)$`)

// megabytes turns a size as Kubernetes writes it into Slurm's unit.
func megabytes(size string) (string, error) {
	m := quantity.FindStringSubmatch(size)
	if m == nil {
		return "", fmt.Errorf("the memory %q: a size such as 2Gi or 1500Mi is needed", size)
	}
	return m[1] + map[string]string{"Mi": "M", "Gi": "G", "Ti": "T"}[m[2]], nil
}
