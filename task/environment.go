package task

import (
	"errors"
	"fmt"
	"strings"
)

// A scheduler tells tasks apart by variables.
type scheduler struct {
	name  string
	index string   // the number of the task
	count []string // how many there are: the first that is set
	first string   // the variable with the number of the first task; "" where that is 0
	last  string   // the variable with the number of the last, where there is one
}

// schedulers in the order in which they are asked. QUERN_TASK (i/n) comes before them.
// Several can be set at once: a torchrun inside of a Slurm array is a task of the array.
var schedulers = []scheduler{
	// https://slurm.schedmd.com/job_array.html
	{"Slurm", "SLURM_ARRAY_TASK_ID", []string{"SLURM_ARRAY_TASK_COUNT"}, "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX"},
	// https://kubernetes.io/docs/tasks/job/indexed-parallel-processing-static: the number of completions is not told
	{"Kubernetes", "JOB_COMPLETION_INDEX", []string{"QUERN_TASKS"}, "", ""},
	// https://docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html
	{"AWS Batch", "AWS_BATCH_JOB_ARRAY_INDEX", []string{"AWS_BATCH_JOB_ARRAY_SIZE", "QUERN_TASKS"}, "", ""},
	// https://cloud.google.com/batch/docs/create-run-basic-job
	{"Google Batch", "BATCH_TASK_INDEX", []string{"BATCH_TASK_COUNT"}, "", ""},
	// https://docs.pytorch.org/docs/stable/elastic/run.html
	{"torchrun", "RANK", []string{"WORLD_SIZE"}, "", ""},
}

// FromEnv finds the task that the environment names.
func FromEnv(env func(string) string) (Task, error) {
	if v := env("QUERN_TASK"); v != "" {
		t, err := parse(v)
		if err != nil {
			return t, fmt.Errorf("QUERN_TASK %w", err)
		}
		return t, nil
	}
	for _, s := range schedulers {
		if env(s.index) != "" {
			return s.task(env)
		}
	}
	asked := []string{"QUERN_TASK"}
	for _, s := range schedulers {
		asked = append(asked, s.index)
	}
	return Task{}, fmt.Errorf("auto: no scheduler says which task this is: none of %s is set", strings.Join(asked, ", "))
}

func (s scheduler) task(env func(string) string) (Task, error) {
	read := func(name string) (int, error) {
		n, err := number(env(name))
		if err != nil {
			return 0, fmt.Errorf("%s %q is no number", name, env(name))
		}
		return n, nil
	}
	count := ""
	for _, name := range s.count {
		if count == "" && env(name) != "" {
			count = name
		}
	}
	if count == "" {
		return Task{}, fmt.Errorf("%s is set (%s), and %s is not: set it to the number of tasks", s.index, s.name, s.count[len(s.count)-1])
	}
	i, err := read(s.index)
	n, err2 := read(count)
	if err := errors.Join(err, err2); err != nil {
		return Task{}, err
	}
	first := 0
	if s.first != "" && env(s.first) != "" {
		if first, err = read(s.first); err != nil {
			return Task{}, err
		}
	}
	if s.last != "" && env(s.last) != "" {
		last, err := read(s.last)
		if err != nil {
			return Task{}, err
		}
		if last-first+1 != n { // the tasks 3,7-9 of an array: which of how many is not told
			return Task{}, fmt.Errorf("%s has tasks %d to %d and says that they are %d: where some are left out, set QUERN_TASK to i/n", s.name, first, last, n)
		}
	}
	return check(i-first+1, n, s.index)
}
