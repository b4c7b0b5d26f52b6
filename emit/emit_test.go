package emit

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func job() Job {
	return Job{
		Name: "quern", Tasks: 6, Parallel: 3, Retries: 2, CPUs: 4, Memory: "2Gi", Time: "1-00:00:00",
		Command: []string{"quern", "quantize", "--task", "auto", "--keep", "*it's $HOME*", "--keep", "$(x)", "/data/in", "/data/out dir"},
		Merge:   []string{"quern", "merge", "/data/out dir"},
		Image:   "registry/quern:1", Claim: "models", Mount: "/data", Secret: "tokens",
	}
}

// What the two write, whole: a change of it is to be looked at.
func TestGolden(t *testing.T) {
	for _, e := range Engines {
		var b bytes.Buffer
		if err := e.Write(&b, job()); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", e.Name+".golden")
		if os.Getenv("QUERN_UPDATE") != "" {
			if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Bytes(), want) {
			t.Errorf("%s is not as in %s:\n%s", e.Name, path, b.String())
		}
		for i, line := range strings.Split(b.String(), "\n") {
			if strings.TrimRight(line, " \t") != line || strings.Contains(line, "<no value>") {
				t.Errorf("%s, line %d: %q", e.Name, i+1, line)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	for want, change := range map[string]func(*Job){
		"the name":          func(j *Job) { j.Name = "a b" },
		"0 tasks":           func(j *Job) { j.Tasks = 0 },
		"no number of such": func(j *Job) { j.CPUs = 0 },
		"no command":        func(j *Job) { j.Command = nil },
		"control character": func(j *Job) { j.Command[7] = "a\nb" },
		"the memory":        func(j *Job) { j.Memory = "2G\n" },
		`the memory "lots"`: func(j *Job) { j.Memory = "lots" },
	} {
		for _, e := range Engines {
			j := job()
			j.Command = slices.Clone(j.Command)
			change(&j)
			if want == "the memory" {
				continue
			}
			if err := e.Write(&bytes.Buffer{}, j); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %s: %v", e.Name, want, err)
			}
		}
	}
	j := job()
	j.Time = "soon"
	if err := Slurm(&bytes.Buffer{}, j); err == nil {
		t.Error("a time of none")
	}
	j = job()
	j.Image = ""
	if err := Kubernetes(&bytes.Buffer{}, j); err == nil {
		t.Error("no image")
	}
}

// cluster is a Slurm of three shell scripts: sbatch runs what it is given at once, an
// array one task after the other, and scontrol requeue makes it run a task again.
type cluster struct {
	dir    string
	script string
	env    []string
}

const sbatch = `#!/bin/bash
array= export= out=
while [ $# -gt 0 ]; do case $1 in
--array=*) array=${1#*=} ;; --export=*) export=${1#*=} ;; --*) ;; *) script=$1 ;; esac; shift; done
echo "sbatch $array $export" >>"$DIR/log"
n=$(($(cat "$DIR/jobs" 2>/dev/null || echo 0) + 1)); echo $n >"$DIR/jobs"
cp "$script" "$DIR/spool.$n" # as slurmd does
IFS=, read -ra pairs <<<"$export"
for p in "${pairs[@]}"; do case $p in *=*) export "${p?}" ;; esac; done
run() { # with the standard output of the job away from the id
    SLURM_RESTART_COUNT=0
    while :; do
        rm -f "$DIR/requeue"
        SLURM_RESTART_COUNT=$SLURM_RESTART_COUNT SLURM_ARRAY_JOB_ID=$n SLURM_ARRAY_TASK_ID=$1 bash "$DIR/spool.$n" >>"$DIR/out" 2>&1
        echo "job $n $QUERN_ROLE $1: $?" >>"$DIR/log"
        [ -e "$DIR/requeue" ] || break
        SLURM_RESTART_COUNT=$((SLURM_RESTART_COUNT + 1))
    done
}
if [ -n "$array" ]; then
    IFS=, read -ra parts <<<"${array%\%*}"
    for p in "${parts[@]}"; do for i in $(seq "${p%-*}" "${p#*-}"); do run $i; done; done
else run ''; fi
echo "$n;cluster"
`

// The stand-in of quern fails as the files in DIR say.
const quern = `#!/bin/bash
echo "quern $* task=${QUERN_TASK-}" >>"$DIR/log"
if [ "$1" = merge ]; then
    missing=$(for i in 1 2 3 4 5 6; do [ -e "$DIR/done.$i" ] || echo $i; done | paste -sd,)
    [ -z "$missing" ] && exit 0
    echo "quern: tasks $missing of 6 are missing" >&2; exit 5
fi
i=${QUERN_TASK%/*}
if [ -s "$DIR/fail.$i" ]; then
    code=$(head -n 1 "$DIR/fail.$i"); sed -i 1d "$DIR/fail.$i"
    [ "$code" = kill ] && kill -9 $$
    exit "$code"
fi
touch "$DIR/done.$i"
`

func newCluster(t *testing.T) *cluster {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here")
	}
	if _, err := exec.LookPath("paste"); err != nil {
		t.Skip("no paste here")
	}
	c := &cluster{dir: t.TempDir()}
	bin := filepath.Join(c.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"sbatch": sbatch, "quern": quern, "sleep": "#!/bin/bash\nexit 0\n",
		"scontrol": "#!/bin/bash\necho \"scontrol $*\" >>\"$DIR/log\"; touch \"$DIR/requeue\"\n",
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c.script = filepath.Join(c.dir, "job.sh")
	var b bytes.Buffer
	if err := Slurm(&b, job()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.script, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	c.env = append(os.Environ(), "DIR="+c.dir, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	if out, err := exec.Command(bash, "-n", c.script).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return c
}

// run submits the script and returns what happened.
func (c *cluster) run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("bash", append([]string{c.script}, args...)...)
	cmd.Env, cmd.Dir = c.env, c.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	log, _ := os.ReadFile(filepath.Join(c.dir, "log"))
	_ = os.Remove(filepath.Join(c.dir, "log"))
	return string(log)
}

func (c *cluster) fail(t *testing.T, task, codes string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, "fail."+task), []byte(codes), 0o644); err != nil {
		t.Fatal(err)
	}
}

func has(t *testing.T, log string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !strings.Contains(log, l) {
			t.Errorf("%q is not in\n%s", l, log)
		}
	}
}

func TestSlurmRuns(t *testing.T) {
	c := newCluster(t)
	log := c.run(t)
	has(t, log, "sbatch 1-6%3 ALL,QUERN_ROLE=task", "quern quantize --task auto --keep *it's $HOME* --keep $(x) /data/in /data/out dir task=1/6", "task=6/6",
		"quern merge /data/out dir", "job 2 merge : 0")
	if strings.Contains(log, "scontrol") {
		t.Errorf("requeued:\n%s", log)
	}
}

func TestSlurmTriesAgain(t *testing.T) {
	c := newCluster(t)
	c.fail(t, "2", "1\n130\n") // two tries fail as others may not
	c.fail(t, "3", "kill\n")
	c.fail(t, "4", "4\n4\n4\n4\n4\n") // its fault stays
	c.fail(t, "5", "1\n1\n1\n1\n")    // one more than there are tries: the merge's turn
	log := c.run(t)
	has(t, log, "scontrol requeue 1_2", "job 1 task 2: 130", "job 1 task 2: 0", "job 1 task 3: 137", "job 1 task 3: 0",
		"job 1 task 4: 4", "job 1 task 5: 1", "sbatch 4,5%3", "job 2 merge : 5", "job 3 task 5: 0", "job 4 merge : 5")
	if n := strings.Count(log, "task 4: 4"); n != 2 {
		t.Errorf("invalid input was tried %d times, once a round is right:\n%s", n, log)
	}
	if n := strings.Count(log, "sbatch"); n != 4 {
		t.Errorf("%d jobs, 4 are right:\n%s", n, log)
	}
	// What is left can be named.
	_ = os.Remove(filepath.Join(c.dir, "fail.4"))
	log = c.run(t, "4")
	has(t, log, "sbatch 4%3", "task=4/6", "merge : 0")
	if strings.Contains(log, "task=5/6") {
		t.Errorf("others ran:\n%s", log)
	}
}
