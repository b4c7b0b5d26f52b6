package task

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	none := func(string) string { return "" }
	for s, want := range map[string]Task{"1/1": {1, 1}, "3/16": {3, 16}, "16/16": {16, 16}, "0003/4": {3, 4}} {
		if got, err := Parse(s, none); err != nil || got != want {
			t.Errorf("%s: %v %v", s, got, err)
		}
	}
	for s, want := range map[string]string{
		"": "form i/n", "3": "form i/n", "a/b": "form i/n", "1/2/3": "form i/n", "-1/4": "form i/n", "+1/4": "form i/n", "1.5/4": "form i/n", " 1/4": "form i/n",
		"0/4": "none of 4", "5/4": "task 5 is none of 4", "1/0": "0 tasks", "1/99999999": "tasks", "1/99999999999999999999": "form i/n",
		"auto": "QUERN_TASK, SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX",
	} {
		if got, err := Parse(s, none); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v %v", s, got, err)
		}
	}
	if s := (Task{3, 16}).String(); s != "3/16" || (Task{3, 16}).Whole() || !(Task{}).Whole() {
		t.Error(s)
	}
}

func TestFromEnv(t *testing.T) {
	for _, c := range []struct{ env, want string }{
		{"QUERN_TASK=3/4", "3/4"},
		{"QUERN_TASK=3/4 SLURM_ARRAY_TASK_ID=9", "3/4"},
		{"SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_COUNT=4", "2/4"},
		{"SLURM_ARRAY_TASK_ID=0 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=3 SLURM_ARRAY_TASK_COUNT=4", "1/4"},
		{"SLURM_ARRAY_TASK_ID=103 SLURM_ARRAY_TASK_MIN=100 SLURM_ARRAY_TASK_MAX=103 SLURM_ARRAY_TASK_COUNT=4", "4/4"},
		{"SLURM_ARRAY_TASK_ID=0 SLURM_ARRAY_TASK_COUNT=4", "1/4"},
		{"SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_COUNT=4 RANK=0 WORLD_SIZE=2", "2/4"},
		{"JOB_COMPLETION_INDEX=3 QUERN_TASKS=4", "4/4"},
		{"AWS_BATCH_JOB_ARRAY_INDEX=0 QUERN_TASKS=2", "1/2"},
		{"AWS_BATCH_JOB_ARRAY_INDEX=2 AWS_BATCH_JOB_ARRAY_SIZE=3", "3/3"},
		{"BATCH_TASK_INDEX=5 BATCH_TASK_COUNT=6", "6/6"},
		{"RANK=7 WORLD_SIZE=8", "8/8"},
		// Refused, with what is wrong.
		{"QUERN_TASK=5/4", "! QUERN_TASK 5/4"},
		{"QUERN_TASK=x", "! QUERN_TASK"},
		{"SLURM_ARRAY_TASK_ID=7 SLURM_ARRAY_TASK_MIN=3 SLURM_ARRAY_TASK_MAX=9 SLURM_ARRAY_TASK_COUNT=4", "! QUERN_TASK to i/n"},
		{"SLURM_ARRAY_TASK_ID=7", "! SLURM_ARRAY_TASK_COUNT"},
		{"SLURM_ARRAY_TASK_ID=7 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_COUNT=4", "! task 7 is none of 4"},
		{"SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_MIN=2 SLURM_ARRAY_TASK_COUNT=4", "! task 0 is none of 4"},
		{"JOB_COMPLETION_INDEX=3", "! QUERN_TASKS is not"},
		{"JOB_COMPLETION_INDEX=4 QUERN_TASKS=4", "! task 5 is none of 4"},
		{"JOB_COMPLETION_INDEX=x QUERN_TASKS=4", `! JOB_COMPLETION_INDEX "x" is no number`},
		{"JOB_COMPLETION_INDEX=-1 QUERN_TASKS=4", "! is no number"},
		{"RANK=0 WORLD_SIZE=0", "! 0 tasks"},
		{"RANK=0 WORLD_SIZE=many", "! is no number"},
		{"SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_MIN=x SLURM_ARRAY_TASK_COUNT=4", "! is no number"},
		{"SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=x SLURM_ARRAY_TASK_COUNT=4", "! is no number"},
	} {
		got, err := Parse("auto", func(k string) string {
			for _, pair := range strings.Fields(c.env) {
				if v, ok := strings.CutPrefix(pair, k+"="); ok {
					return v
				}
			}
			return ""
		})
		want, bad := strings.CutPrefix(c.want, "! ")
		if bad && (err == nil || !strings.Contains(err.Error(), want)) || !bad && (err != nil || got.String() != want) {
			t.Errorf("%s: %v %v", c.env, got, err)
		}
	}
}

func TestDivide(t *testing.T) {
	for _, c := range []struct {
		sizes []int64
		n     int
		ends  []int
	}{
		{nil, 3, []int{0, 0, 0}},
		{[]int64{5}, 1, []int{1}},
		{[]int64{1, 1, 1, 1}, 3, []int{2, 3, 4}},
		{[]int64{1, 1, 1, 1, 1, 1}, 3, []int{2, 4, 6}},
		{[]int64{9, 1, 1, 1}, 2, []int{1, 4}},
		{[]int64{1, 1, 1, 9}, 2, []int{3, 4}},
		{[]int64{0, 0, 0}, 3, []int{1, 2, 3}},
		{[]int64{5, 5, 5, 5, 2}, 2, []int{2, 5}},
	} {
		if got := Divide(c.sizes, c.n); !slices.Equal(got, c.ends) {
			t.Errorf("%v among %d: %v, %v is right", c.sizes, c.n, got, c.ends)
		}
	}
}

// best is the least largest share, by trying all divisions.
func best(sizes []int64, n int) int64 {
	var sum int64
	for _, s := range sizes {
		sum += s
	}
	if n == 1 {
		return sum
	}
	least, head := sum, int64(0)
	for i := range sizes {
		least = min(least, max(head, best(sizes[i:], n-1)))
		head += sizes[i]
	}
	return min(least, sum)
}

func TestDivideByChance(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		sizes := make([]int64, r.IntN(9))
		for i := range sizes {
			sizes[i] = r.Int64N(12)
		}
		n := 1 + r.IntN(6)
		ends := Divide(sizes, n)
		if !slices.IsSorted(ends) || len(ends) != n || ends[n-1] != len(sizes) {
			t.Fatalf("%v among %d: %v", sizes, n, ends)
		}
		var largest int64
		at := 0
		for i := 1; i <= n; i++ {
			first, last := (Task{i, n}).Of(sizes)
			if first != at || last != ends[i-1] {
				t.Fatalf("task %d/%d of %v: %d to %d, %d was reached", i, n, sizes, first, last, at)
			}
			if first == last && len(sizes) >= n {
				t.Fatalf("%v among %d: %v: task %d has none", sizes, n, ends, i)
			}
			var load int64
			for _, s := range sizes[first:last] {
				load += s
			}
			largest = max(largest, load)
			at = last
		}
		if want := best(sizes, n); largest != want {
			t.Fatalf("%v among %d: %v: the largest has %d, %d is possible", sizes, n, ends, largest, want)
		}
	}
	if first, last := (Task{}).Of(make([]int64, 5)); first != 0 || last != 5 {
		t.Error("the whole")
	}
}

func TestRanges(t *testing.T) {
	for want, numbers := range map[string][]int{"": nil, "3": {3}, "3,7-9": {3, 7, 8, 9}, "1-2,4": {1, 2, 4}, "2-4": {2, 3, 4}} {
		if got := Ranges(numbers); got != want {
			t.Errorf("%v: %s, %s is right", numbers, got, want)
		}
	}
}
