package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The arrows of docs/architecture.md: who may import whom inside the module,
// and what must stay out of the formats and the arithmetic. Cycles are the compiler's to
// refuse; with this no arrow leads upwards either.
func TestImports(t *testing.T) {
	raw, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \",\"}}", "quern/...").Output()
	if err != nil {
		t.Skip("no go command here:", err)
	}
	// By longest prefix: the packages of the module that a package may import.
	allowed := map[string][]string{
		"quern/cmd":               {"quern/"},
		"quern/convert":           {"quern/convert", "quern/task", "quern/scheme", "quern/source", "quern/gpu", "quern/fp8", "quern/group", "quern/formats", "quern/store", "quern/internal"},
		"quern/convert/card":      {"quern/scheme", "quern/convert/plan", "quern/convert/manifest", "quern/formats", "quern/internal"},
		"quern/convert/engine":    {"quern/task", "quern/scheme", "quern/convert/card", "quern/convert/plan", "quern/convert/manifest", "quern/gpu", "quern/fp8", "quern/formats", "quern/store", "quern/internal"},
		"quern/convert/manifest":  {"quern/convert/plan", "quern/formats", "quern/internal"},
		"quern/convert/plan":      {"quern/scheme", "quern/fp8", "quern/formats", "quern/store", "quern/internal"},
		"quern/convert/container": {"quern/scheme", "quern/convert/modules", "quern/convert/plan", "quern/formats", "quern/internal"},
		"quern/convert/modules":   {"quern/convert/plan", "quern/formats", "quern/internal"},
		"quern/convert/serving":   {"quern/scheme", "quern/convert/modules", "quern/convert/plan", "quern/fp8", "quern/formats", "quern/internal"},
		"quern/verify":            {"quern/verify", "quern/task", "quern/corpus", "quern/source", "quern/scheme", "quern/group", "quern/convert/container", "quern/convert/modules", "quern/convert/plan", "quern/convert/serving", "quern/convert/manifest", "quern/gpu", "quern/fp8", "quern/formats", "quern/store", "quern/internal"},
		"quern/verify/evaluation": {"quern/verify/record", "quern/verify/metrics", "quern/verify/outputs", "quern/corpus", "quern/runner", "quern/scheme/rounding", "quern/gpu", "quern/formats", "quern/internal"},
		"quern/verify/metrics":    {"quern/internal"},
		"quern/verify/record":     {"quern/task", "quern/store", "quern/internal"},
		"quern/verify/outputs":    {"quern/verify/metrics", "quern/formats", "quern/store", "quern/internal"},
		"quern/runner":            {"quern/runner", "quern/scheme", "quern/source", "quern/convert/plan", "quern/gemm", "quern/gpu", "quern/fp8", "quern/formats", "quern/store", "quern/internal"},
		"quern/source":            {"quern/scheme", "quern/convert/plan", "quern/fp8", "quern/formats", "quern/store", "quern/internal"},
		"quern/corpus":            {"quern/formats", "quern/store", "quern/internal"},
		"quern/calibrate":         {"quern/calibrate", "quern/corpus", "quern/runner", "quern/formats", "quern/store", "quern/internal"},
		"quern/shard":             {"quern/shard", "quern/convert", "quern/calibrate/file", "quern/formats", "quern/store", "quern/internal"},
		"quern/gpu":               {"quern/gpu", "quern/gemm", "quern/fp8", "quern/internal"},
		"quern/gemm":              {"quern/fp8", "quern/internal"},
		"quern/fp8":               {"quern/internal/cpu"},
		"quern/group":             {"quern/fp8", "quern/internal/cpu"},
		"quern/packed":            {"quern/fp8", "quern/internal/cpu"},
		"quern/scheme":            {"quern/scheme/rounding", "quern/fp8", "quern/group", "quern/packed", "quern/formats", "quern/internal"},
		"quern/scheme/rounding":   {"quern/group", "quern/internal"},
		"quern/formats":           {"quern/formats", "quern/internal"},
		"quern/formats/chat":      {"quern/store", "quern/internal"},
		"quern/formats/hf":        {"quern/formats", "quern/store", "quern/internal"},
		"quern/formats/tokenizer": {"quern/store", "quern/internal"},
		"quern/store":             {"quern/store", "quern/internal"},
		"quern/difference":        {"quern/verify", "quern/convert/manifest", "quern/convert/plan", "quern/formats/safetensors", "quern/store", "quern/internal"},
		"quern/internal/blake3":   {"quern/internal/cpu"},
		"quern/task":              {},
		"quern/emit":              {},
		"quern/internal":          {"quern/internal"},
		"quern/runner/golden":     {"quern/formats"},
		"quern/runner/recur":      {"quern/gemm", "quern/internal"},
		"quern/runner/sparse":     {"quern/gemm", "quern/internal"},
	}
	// Borders that a rule by package would not show (design of the second round, §10).
	never := map[string][]string{
		"quern/calibrate": {"quern/verify"},
		"quern/runner":    {"quern/verify", "quern/calibrate", "quern/cmd"},
		"quern/corpus":    {"quern/verify", "quern/runner"},
		"quern/source":    {"quern/verify", "quern/runner"},
		"quern/formats":   {"quern/convert", "quern/gpu", "quern/fp8"},
	}
	foreign := []string{"purego", "net/http", "cloud", "aws", "minio"}
	for line := range strings.Lines(string(raw)) {
		pkg, imports, _ := strings.Cut(strings.TrimSpace(line), " ")
		var rule []string
		for p := pkg; rule == nil && strings.Contains(p, "/"); p = p[:strings.LastIndexByte(p, '/')] {
			rule = allowed[p]
		}
		if rule == nil {
			t.Errorf("%s: no rule says what it may import", pkg)
			continue
		}
		for imp := range strings.SplitSeq(imports, ",") {
			if strings.HasPrefix(imp, "quern/") && !hasAnyPrefix(imp, rule) {
				t.Errorf("%s imports %s", pkg, imp)
			}
			for below, above := range never {
				if hasAnyPrefix(pkg, []string{below}) && hasAnyPrefix(imp, above) {
					t.Errorf("%s imports %s, which stands above it", pkg, imp)
				}
			}
			for _, f := range foreign {
				if strings.Contains(imp, f) && hasAnyPrefix(pkg, []string{"quern/formats", "quern/fp8", "quern/group", "quern/packed"}) {
					t.Errorf("%s imports %s", pkg, imp)
				}
			}
		}
	}
}

// docs/architecture.md says of each module that is required why it is.
func TestDependenciesSaid(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mod)) {
		path, rest, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "require ")), " v")
		if !ok || strings.Contains(rest, "// indirect") {
			continue
		}
		if i := strings.LastIndex(path, "/v"); i > 0 && strings.Trim(path[i+2:], "0123456789") == "" {
			path = path[:i]
		}
		if !strings.Contains(string(doc), "| `"+path+"` | ") {
			t.Errorf("docs/architecture.md does not say why %s is required", path)
		}
	}
}

func hasAnyPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
