package hub

import (
	"errors"
	"strings"
	"testing"

	"quern/internal/invalid"
)

// A file of a repository can be named; of what is none the error says what there is.
func TestFile(t *testing.T) {
	s := server(t)
	t.Setenv("HF_ENDPOINT", s.Hub.URL)
	t.Setenv("HF_HOME", t.TempDir())
	for _, k := range []string{"HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN_PATH"} {
		t.Setenv(k, "")
	}
	open := Kind(quick()).Open
	for _, l := range []string{"hf://me/small/" + big, "hf://me/small@refs/pr/1/" + big} {
		f, name, err := open(t.Context(), l)
		if err != nil || name != big || f.String()+"/"+name != l {
			t.Fatalf("%v, %q of %v", err, name, f)
		}
		o, err := f.Open(t.Context(), name)
		if err != nil || o.Size() != int64(len(s.Files[big])) {
			t.Error(err)
		}
	}
	for l, want := range map[string]string{
		"hf://me/small/no.safetensors": `hf://me/small: the repository has no file "no.safetensors"; its weights are ` + big,
		"hf://me/small/sub":            `hf://me/small: "sub" is a folder of the repository, and only whole repositories and files are read: name hf://me/small, or a file such as hf://me/small/sub/odd #1%.txt`,
		"hf://me/small/config":         `has no file "config"`,
		"hf://me/none/x.safetensors":   "no such repository",
	} {
		if _, _, err := open(t.Context(), l); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", l, err)
		}
	}
}
