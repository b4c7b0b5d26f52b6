package hub_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"quern/convert"
	"quern/formats/hf"
	"quern/internal/tinyseek"
	"quern/store"
	"quern/store/hub"
	"quern/store/hub/hubtest"
	"quern/store/remote"
)

// client asks for a repository as people's programs do, and prints where it lies then.
const client = `
import json, sys
from huggingface_hub import HfApi, __version__, get_safetensors_metadata, snapshot_download
api, repo = HfApi(), "me/small"
assert api.model_info(repo).sha and api.file_exists(repo, "config.json") and not api.file_exists(repo, "none.json")
m = get_safetensors_metadata(repo)
index = json.load(open(snapshot_download(repo, allow_patterns=["*.index.json"]) + "/model.safetensors.index.json"))
assert m.sharded and m.weight_map == index["weight_map"], "another index"
assert sum(len(f.tensors) for f in m.files_metadata.values()) == len(index["weight_map"]), "headers of other tensors"
print("huggingface_hub", __version__, len(m.weight_map), "tensors", file=sys.stderr)
print(snapshot_download(repo))
`

// The client that people have reads what quern makes from the hub that quern is tested
// with, and what it leaves in its cache is read by quern without the hub.
func TestClient(t *testing.T) {
	python := os.Getenv("QUERN_HUB_CLIENT")
	if python == "" {
		t.Skip("QUERN_HUB_CLIENT=PYTHON, a python with huggingface_hub, runs it")
	}
	dir := t.TempDir()
	if err := tinyseek.Extract(filepath.Join(dir, "in")); err != nil {
		t.Fatal(err)
	}
	ck, err := hf.Open(filepath.Join(dir, "in"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := convert.PlanQuantize(ck, convert.QuantizeOptions{ShardSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	if _, err := convert.Run(t.Context(), ck, p, out, convert.RunOptions{}); err != nil {
		t.Fatal(err)
	}
	s := &hubtest.Server{Repo: "me/small", Revisions: []string{"main"}, Token: "hf_x", ByName: true, Files: map[string][]byte{}}
	list, err := os.ReadDir(out)
	for _, e := range list {
		raw, rerr := os.ReadFile(filepath.Join(out, e.Name()))
		s.Files[e.Name()], err = raw, errors.Join(err, rerr)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Start(t)
	home := filepath.Join(dir, "home")
	for k, v := range map[string]string{"HF_ENDPOINT": s.Hub.URL, "HF_HOME": home, "HF_TOKEN": "hf_x", "HF_HUB_CACHE": "", "HF_HUB_OFFLINE": "", "HF_TOKEN_PATH": ""} {
		t.Setenv(k, v)
		if v == "" {
			_ = os.Unsetenv(k) // the client takes an empty one as a path
		}
	}
	t.Setenv("HF_HUB_DISABLE_TELEMETRY", "1")
	t.Setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
	cmd := exec.Command(python, "-c", client)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	said, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, stderr.String(), strings.Join(s.Log(), "\n"))
	}
	t.Log(strings.TrimSpace(stderr.String()))
	for name, want := range s.Files {
		if raw, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(said)), name)); err != nil || string(raw) != string(want) {
			t.Errorf("%s: other bytes (%v)", name, err)
		}
	}
	s.Hub.Close() // what it has downloaded is there without it
	folder, name, err := hub.Kind(remote.NewReader(0)).Open(t.Context(), "hf://me/small")
	if err != nil || name != "" {
		t.Fatal(err)
	}
	for name, want := range s.Files {
		raw, err := store.ReadFile(t.Context(), folder, name, 1<<30)
		if err != nil || string(raw) != string(want) {
			t.Errorf("%s: other bytes in the cache (%v)", name, err)
		}
	}
	if _, err := fs.Stat(os.DirFS(home), "hub/models--me--small/snapshots/"+hubtest.Commit); err != nil {
		t.Error(err)
	}
}
