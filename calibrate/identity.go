package calibrate

import (
	"bytes"
	"encoding/json"
	"fmt"

	"quern/calibrate/file"
	"quern/store"
)

// identity is what has to be the same for a run to go on.
type identity struct {
	Info      file.Info `json:"info"`
	Model     []stamp   `json:"model"`
	Sequences string    `json:"sequences"` // digest
	Trace     bool      `json:"trace"`
}

// stamp tells whether a file of the model is still the same.
type stamp struct {
	Name   string      `json:"name"`
	Header string      `json:"header"`
	Stamp  store.Stamp `json:"stamp"`
}

// difference says how runs differ, "" if they do not.
func (a *identity) difference(b *identity) string {
	same := func(x, y any) bool {
		p, _ := json.Marshal(x)
		q, _ := json.Marshal(y)
		return bytes.Equal(p, q)
	}
	switch {
	case a.Info.Tool != b.Info.Tool:
		return fmt.Sprintf("it was begun by %s, this is %s", a.Info.Tool, b.Info.Tool)
	case a.Info.Model != b.Info.Model:
		return fmt.Sprintf("it is of model %s, this is %s", a.Info.Model, b.Info.Model)
	case !same(a.Model, b.Model):
		return "the files of the model were written to since"
	case !same(a.Info.Options, b.Info.Options) || a.Trace != b.Trace:
		return "its options are others"
	case !same(a.Info.Texts, b.Info.Texts) || a.Sequences != b.Sequences:
		return "its texts are others, or cut in another way"
	case !same(a, b):
		return "it was begun otherwise"
	}
	return ""
}
