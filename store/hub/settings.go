package hub

import (
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"quern/internal/invalid"
)

// Settings are what the environment says, by the names that huggingface_hub reads.
type Settings struct {
	Endpoint *url.URL      // HF_ENDPOINT
	Token    Token         // HF_TOKEN, else the file HF_TOKEN_PATH
	Cache    string        // HF_HUB_CACHE; "" where there is no home
	Offline  bool          // HF_HUB_OFFLINE
	Idle     time.Duration // HF_HUB_DOWNLOAD_TIMEOUT; 0 is the reader's
}

// Token is a secret: it prints as none.
type Token string

// String and GoString keep a token out of what is printed.
func (Token) String() string   { return "(token)" }
func (Token) GoString() string { return "(token)" }

// FromEnv reads the settings from the environment.
func FromEnv() (Settings, error) { return settings(os.Getenv) }

func settings(env func(string) string) (Settings, error) {
	first := func(values ...string) string {
		for _, v := range values {
			if v != "" {
				return v
			}
		}
		return ""
	}
	under := func(dir string, parts ...string) string {
		if dir == "" {
			return ""
		}
		return filepath.Join(append([]string{dir}, parts...)...)
	}
	userHome, _ := os.UserHomeDir()
	home := first(env("HF_HOME"), under(env("XDG_CACHE_HOME"), "huggingface"), under(userHome, ".cache", "huggingface"))
	s := Settings{
		Cache:   first(env("HF_HUB_CACHE"), env("HUGGINGFACE_HUB_CACHE"), under(home, "hub")),
		Offline: yes(env("HF_HUB_OFFLINE")) || yes(env("TRANSFORMERS_OFFLINE")),
	}
	var err error
	endpoint := first(env("HF_ENDPOINT"), "https://huggingface.co")
	if s.Endpoint, err = url.Parse(strings.TrimRight(endpoint, "/")); err != nil || s.Endpoint.Host == "" || s.Endpoint.Scheme != "https" && s.Endpoint.Scheme != "http" {
		return s, invalid.Errorf("HF_ENDPOINT is no URL of the form https://HOST")
	}
	if v := env("HF_HUB_DOWNLOAD_TIMEOUT"); v != "" {
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil || n == 0 {
			return s, invalid.Errorf("HF_HUB_DOWNLOAD_TIMEOUT %q is no number of seconds", v)
		}
		s.Idle = time.Duration(n) * time.Second
	}
	token := first(env("HF_TOKEN"), env("HUGGING_FACE_HUB_TOKEN"))
	if token == "" && !yes(env("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
		if path := first(env("HF_TOKEN_PATH"), under(home, "token")); path != "" {
			raw, _ := os.ReadFile(path) // none is no error: most repositories are public
			token = string(raw)
		}
	}
	token = strings.TrimSpace(token)
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return s, invalid.Errorf("the token (HF_TOKEN, or the file that hf auth login wrote) holds characters that no token has")
	}
	s.Token = Token(token)
	return s, nil
}

// yes reports whether a variable says so, as huggingface_hub understands it.
func yes(v string) bool {
	switch strings.ToUpper(v) {
	case "1", "ON", "YES", "TRUE":
		return true
	}
	return false
}
