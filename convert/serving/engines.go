package serving

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"quern/internal/ui"
)

// Engine is a program that serves checkpoints, as --engine names it.
type Engine string

const (
	VLLM         Engine = "vllm"
	SGLang       Engine = "sglang"
	TensorRT     Engine = "tensorrt-llm"
	Transformers Engine = "transformers"
	MLX          Engine = "mlx"
	LlamaCPP     Engine = "llama.cpp"
	DeepSeek     Engine = "deepseek"
)

// engines are all of them with the names that people know them by.
var engines = []struct {
	Engine
	title string
}{
	{VLLM, "vLLM"},
	{SGLang, "SGLang"},
	{TensorRT, "TensorRT-LLM"},
	{Transformers, "transformers"},
	{MLX, "MLX"},
	{LlamaCPP, "llama.cpp"},
	{DeepSeek, "DeepSeek's own code"},
}

// EngineNames lists the engines.
func EngineNames() []string {
	var names []string
	for _, e := range engines {
		names = append(names, string(e.Engine))
	}
	return names
}

func (e Engine) title() string {
	for _, x := range engines {
		if x.Engine == e {
			return x.title
		}
	}
	return string(e)
}

// Target is an engine that a checkpoint is meant for.
type Target struct {
	Engine
	TensorParallel int // ranks that share each matrix; 1: none
}

// String is t as ParseTargets reads it.
func (t Target) String() string {
	if t.TensorParallel > 1 {
		return fmt.Sprintf("%s:tp=%d", t.Engine, t.TensorParallel)
	}
	return string(t.Engine)
}

// ParseTargets reads NAME[:tp=N][,…].
func ParseTargets(s string) ([]Target, error) {
	var out []Target
	for one := range strings.SplitSeq(s, ",") {
		name, option, has := strings.Cut(strings.TrimSpace(one), ":")
		t := Target{Engine(strings.ToLower(name)), 1}
		if !slices.Contains(EngineNames(), string(t.Engine)) {
			return nil, fmt.Errorf("%q is no engine that is known here; known are %s", name, strings.Join(EngineNames(), ", "))
		}
		if has {
			n, ok := strings.CutPrefix(option, "tp=")
			x, err := strconv.Atoi(n)
			if !ok || err != nil || x < 1 || x > 4096 {
				return nil, fmt.Errorf("%q: after the name of an engine stands tp=N, the number of ranks that share each matrix", one)
			}
			t.TensorParallel = x
		}
		out = append(out, t)
	}
	return out, nil
}

// Against are the notes that speak against serving f with t: what it refuses, what it
// misreads, and ranks that its matrices cannot be divided among.
func (f *Folder) Against(t Target) []Note {
	var out []Note
	for _, n := range f.Notes() {
		if !slices.Contains(n.Names, t.Engine) {
			continue
		}
		switch {
		case n.Severity == Refuses || n.Severity == Misreads:
			n.Engine = t.title()
			out = append(out, n)
		case n.Severity == Limits && t.TensorParallel > 1:
			if m := f.indivisible(int64(t.TensorParallel)); m != nil {
				n.Engine, n.Severity, n.Example = t.title(), Refuses, m.String()
				n.Text = fmt.Sprintf("among %d ranks the share of a rank is no multiple of 128", t.TensorParallel)
				out = append(out, n)
			}
		}
	}
	return out
}

// String is n in a line, without the engine's name.
func (n *Note) String() string {
	text := n.Text
	switch {
	case n.Tensors > 1:
		text += fmt.Sprintf(" (%d tensors, %s first)", n.Tensors, n.Example)
	case n.Example != "":
		text += fmt.Sprintf(" (%s)", n.Example)
	}
	if n.Remedy != "" {
		text += "; " + n.Remedy
		if n.Cost > 0 {
			text += fmt.Sprintf(" (+%s)", ui.Bytes(n.Cost))
		}
	}
	return text
}
