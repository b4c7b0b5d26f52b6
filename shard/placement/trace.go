package placement

import (
	"fmt"
	"strconv"

	"quern/formats/safetensors"
	"quern/internal/invalid"
)

// The tensors of a trace.
const (
	routerTensor  = "router.%d.indices" // I32 or I64 [tokens, k], for layer %d
	tokensTensor  = "input_ids"         // [tokens]
	offsetsTensor = "offsets"           // I32 or I64: where each text begins; the end of the last may follow
	expertsKey    = "experts"           // in the metadata: how many experts a layer has
)

// heldOutShare of a trace is left for measuring: the last fifth.
const heldOutShare = 5

// minTokens is the least that is divided into a part to place by and a part to
// measure on.
const minTokens = 10

// maxChoices bounds what is read of a layer: a GiB.
const maxChoices = 1 << 28

// Trace is the record of which experts a router chose for each token.
type Trace struct {
	Path   string
	Layers []int // their numbers, ascending
	MTP    []int // those of Layers that route fewer tokens than the text has, as only MTP layers do
	// Experts is how many experts a layer has; 0 where the file does not say.
	Experts int
	Split   Split

	texts   []int64 // where texts begin, 0 first; nil where the file does not say
	routers []*safetensors.Tensor
	file    *tensorFile
}

// Split says which part of a trace a placement is made from, and which it is
// measured on: the last fifth, from where a text begins if one begins near there.
type Split struct {
	Tokens   int64 `json:"tokens"`
	MadeFrom int64 `json:"made_from"`   // the first so many tokens
	Measured int64 `json:"measured_on"` // the others
	AtText   bool  `json:"at_text"`     // the border is the begin of a text
}

// OpenTrace reads the header of a trace and where its texts begin. The file stays
// open.
func OpenTrace(path string) (*Trace, error) {
	f, err := openTensors(path)
	if err != nil {
		return nil, err
	}
	t, err := readTrace(f)
	if err != nil {
		_ = f.close()
		return nil, err
	}
	return t, nil
}

func readTrace(f *tensorFile) (*Trace, error) {
	t := &Trace{Path: f.path, file: f}
	return t, t.readHeader()
}

// Close closes the file.
func (t *Trace) Close() error {
	if t == nil {
		return nil
	}
	return t.file.close()
}

func (t *Trace) readHeader() error {
	var err error
	if t.Layers, err = t.file.layers(routerTensor); err != nil {
		return err
	}
	if len(t.Layers) == 0 {
		return reading(t.Path, invalid.Errorf("no tensor %s: this is no routing trace", fmt.Sprintf(routerTensor, 0)))
	}
	for _, l := range t.Layers {
		x := t.file.lookup(fmt.Sprintf(routerTensor, l))
		if x.DType != safetensors.I32 && x.DType != safetensors.I64 || len(x.Shape) != 2 || x.Shape[1] < 1 || x.Shape[1] > maxExperts {
			return t.file.blame(x.Name, "%s %v, where I32 or I64 [tokens, experts of a token] is due", x.DType, x.Shape)
		}
		if n := x.Elements(); n > maxChoices {
			return t.file.blame(x.Name, "%d choices, the limit is %d: a shorter text tells as much", n, maxChoices)
		}
		t.routers = append(t.routers, x)
		t.Split.Tokens = max(t.Split.Tokens, x.Shape[0])
	}
	if x := t.file.lookup(tokensTensor); x != nil {
		n := x.Elements()
		if n < t.Split.Tokens {
			return t.file.blame(x.Name, "%d tokens, where a router chose for %d", n, t.Split.Tokens)
		}
		t.Split.Tokens = n
	}
	if t.Split.Tokens < minTokens {
		return reading(t.Path, invalid.Errorf("a trace of %d tokens: at least %d are needed to place by some and measure on others", t.Split.Tokens, minTokens))
	}
	for i, x := range t.routers {
		if n := x.Shape[0]; n < t.Split.Tokens {
			if n < minTokens {
				return t.file.blame(x.Name, "%d tokens of %d", n, t.Split.Tokens)
			}
			t.MTP = append(t.MTP, t.Layers[i])
		}
	}
	if s, ok := t.file.head.Metadata[expertsKey]; ok {
		if t.Experts, err = strconv.Atoi(s); err != nil || t.Experts < 1 || t.Experts > maxExperts {
			return reading(t.Path, invalid.Errorf("metadata %q: %q is no number of experts", expertsKey, s))
		}
	}
	if err := t.readTexts(); err != nil {
		return err
	}
	t.split()
	return nil
}

// readTexts reads where the texts begin.
func (t *Trace) readTexts() error {
	x := t.file.lookup(offsetsTensor)
	if x == nil {
		return nil
	}
	if x.DType != safetensors.I32 && x.DType != safetensors.I64 || len(x.Shape) != 1 || x.Elements() > t.Split.Tokens+1 {
		return t.file.blame(x.Name, "%s %v, where I32 or I64 [texts] is due, of %d tokens", x.DType, x.Shape, t.Split.Tokens)
	}
	return t.file.integers(x, 0, x.Elements(), func(i, v int64) error {
		switch n := len(t.texts); {
		case i == 0 && v != 0:
			return t.file.blame(x.Name, "the first text begins at token %d", v)
		case v < 0 || v > t.Split.Tokens || n > 0 && v < t.texts[n-1]:
			return t.file.blame(x.Name, "text %d begins at token %d of %d", i, v, t.Split.Tokens)
		case v == t.Split.Tokens || n > 0 && v == t.texts[n-1]: // the end, or an empty text
		default:
			t.texts = append(t.texts, v)
		}
		return nil
	})
}

// split finds the border between the part to place by and the part to measure on:
// the first text that begins in the last fifth and leaves a tenth, else the last
// that begins in the fifth before, else where the last fifth begins.
func (t *Trace) split() {
	n := t.Split.Tokens
	border, s := n-n/heldOutShare, &t.Split
	s.MadeFrom = border
	for _, b := range t.texts {
		if b < border-n/heldOutShare || b > n-n/10 {
			continue
		}
		s.MadeFrom, s.AtText = b, true
		if b >= border {
			break
		}
	}
	s.Measured = n - s.MadeFrom
}

// border is the row of a layer that belongs to the border of the split. A layer that
// routes fewer tokens, as an MTP layer does, is divided in proportion.
func (t *Trace) border(rows int64) int64 {
	return min(max(rows*t.Split.MadeFrom/t.Split.Tokens, 1), rows-1)
}

// routing is which experts were chosen for some tokens of a layer.
type routing struct {
	k       int
	choices []int32 // [tokens][k]
}

func (r routing) tokens() int { return len(r.choices) / max(r.k, 1) }

// token returns the experts of a token.
func (r routing) token(i int) []int32 { return r.choices[i*r.k : (i+1)*r.k] }

// read reads a layer, the part that placements are made from and the part that
// they are measured on, and checks it against the number of experts.
func (t *Trace) read(i, experts int) (made, measured routing, err error) {
	x := t.routers[i]
	rows, k := x.Shape[0], x.Shape[1]
	if k > int64(experts) {
		return made, measured, t.file.blame(x.Name, "%d experts a token, of %d", k, experts)
	}
	all := make([]int32, rows*k)
	last := make([]int64, experts) // the token that chose an expert last, from 1
	err = t.file.integers(x, 0, rows*k, func(j, e int64) error {
		token := j/k + 1
		switch {
		case e < 0 || e >= int64(experts):
			return t.file.blame(x.Name, "token %d chose expert %d of %d", token-1, e, experts)
		case last[e] == token:
			return t.file.blame(x.Name, "token %d chose expert %d twice", token-1, e)
		}
		last[e] = token
		all[j] = int32(e)
		return nil
	})
	cut := t.border(rows) * k
	return routing{int(k), all[:cut]}, routing{int(k), all[cut:]}, err
}

// highest is the highest number of an expert in the trace.
func (t *Trace) highest() (int, error) {
	high := int64(0)
	for _, x := range t.routers {
		err := t.file.integers(x, 0, x.Elements(), func(j, e int64) error {
			if e < 0 || e >= maxExperts {
				return t.file.blame(x.Name, "token %d chose expert %d", j/x.Shape[1], e)
			}
			high = max(high, e)
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return int(high), nil
}
