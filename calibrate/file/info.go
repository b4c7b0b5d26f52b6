package file

import (
	"encoding/json"
	"math"
	"strconv"

	"quern/internal/invalid"
)

// Info is what a file says about itself: its metadata.
type Info struct {
	Tool  string // name and version of what wrote it
	Model string // identity of the model, see Identify
	Texts []Text
	// Experts is the number of routed experts of a layer, 0 without.
	Experts int
	// MTPLayers are the numbers of the layers of multi-token prediction.
	MTPLayers []int
	Options   Options
}

// Options are what the numbers depend on besides model and texts.
type Options struct {
	// AllExperts: inputs of experts were measured with every token, not with those that
	// chose the expert.
	AllExperts bool `json:"all_experts"`
	// Sketches, Pairs and TextLoads say which of the optional tensors there are.
	Sketches  bool `json:"sketches"`
	Pairs     bool `json:"pairs"`
	TextLoads bool `json:"loads_by_text"`
	// Compute is the kind of device that the model ran on, "" for the processor.
	Compute string `json:"compute,omitempty"`
}

// Text is a text that was measured.
type Text struct {
	Name      string `json:"name"`      // of its file, without the folder
	Digest    string `json:"blake3"`    // of its sequences of token ids, see DigestIDs
	Tokens    int64  `json:"tokens"`    // that the model saw, those that begin a sequence included
	Sequences int64  `json:"sequences"` // that it was cut into; each begins anew
	Longest   int64  `json:"longest"`   // tokens of the longest sequence
}

// Tokens is the number of tokens of all texts.
func (i Info) Tokens() int64 {
	n := int64(0)
	for _, t := range i.Texts {
		n += t.Tokens
	}
	return n
}

// The keys of the metadata.
const (
	keyVersion = "quern_calibration"
	keyTool    = "tool"
	keyModel   = "model"
	keyTexts   = "texts"
	keyTokens  = "tokens"
	keyExperts = "experts"
	keyMTP     = "mtp_layers"
	keyOptions = "options"

	version = "1"
)

// Metadata is the form of i in a file.
func (i Info) Metadata() map[string]string {
	text := func(x any) string {
		b, err := json.Marshal(x)
		if err != nil {
			panic(err) // of plain structs
		}
		return string(b)
	}
	mtp := i.MTPLayers
	if mtp == nil {
		mtp = []int{}
	}
	return map[string]string{
		keyVersion: version, keyTool: i.Tool, keyModel: i.Model, keyTexts: text(i.Texts), keyTokens: strconv.FormatInt(i.Tokens(), 10),
		keyExperts: strconv.Itoa(i.Experts), keyMTP: text(mtp), keyOptions: text(i.Options),
	}
}

// maxExperts is beyond what models have, and keeps tables of pairs within memory.
const maxExperts = 1 << 12

// parseInfo reads metadata.
func parseInfo(m map[string]string) (Info, error) {
	if m[keyVersion] == "" {
		return Info{}, invalid.Errorf("this is no calibration file of quern: its metadata lacks %q", keyVersion)
	}
	if m[keyVersion] != version {
		return Info{}, invalid.Errorf("metadata %q: form %q of calibration files is not known, only %s; a newer quern may read it", keyVersion, m[keyVersion], version)
	}
	i := Info{Tool: m[keyTool], Model: m[keyModel]}
	if i.Model == "" {
		return i, invalid.Errorf("metadata %q: which model was measured is not said", keyModel)
	}
	for _, f := range []struct {
		key string
		to  any
	}{{keyTexts, &i.Texts}, {keyExperts, &i.Experts}, {keyMTP, &i.MTPLayers}, {keyOptions, &i.Options}} {
		if err := json.Unmarshal([]byte(m[f.key]), f.to); err != nil {
			return i, invalid.Errorf("metadata %q: %w", f.key, err)
		}
	}
	if len(i.MTPLayers) == 0 {
		i.MTPLayers = nil
	}
	if i.Experts < 0 || i.Experts > maxExperts {
		return i, invalid.Errorf("metadata %q: %d experts, where at most %d are possible", keyExperts, i.Experts, maxExperts)
	}
	total := int64(0)
	for n, t := range i.Texts {
		if t.Tokens <= 0 || t.Sequences <= 0 || t.Sequences > t.Tokens || t.Tokens > math.MaxInt64-total {
			return i, invalid.Errorf("metadata %q: text %d has %d tokens in %d sequences", keyTexts, n, t.Tokens, t.Sequences)
		}
		total += t.Tokens
	}
	if s := strconv.FormatInt(total, 10); total == 0 || s != m[keyTokens] {
		return i, invalid.Errorf("metadata %q: %q, but the texts have %d", keyTokens, m[keyTokens], total)
	}
	return i, nil
}
