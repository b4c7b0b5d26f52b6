package main

import (
	"fmt"

	"quern/convert/plan"
	"quern/convert/serving"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/internal/invalid"
)

// inspectConfig tells what a checkpoint of a config would have. JSON that names no model
// is something else.
func inspectConfig(ck *hf.Checkpoint) (*inspection, error) {
	a := ck.Arch()
	if a.Config().ModelType == "" && ck.ConfigValue.Get("architectures") == nil {
		return nil, invalid.Errorf("%q is no config of a model: it has neither model_type nor architectures", ck.Path)
	}
	r := &inspection{
		Checkpoint: ck.Path, Architecture: a.Name(), Known: a.Known(), ConfigOnly: true, Forms: []plan.Form{},
		Sizes: []sizeRow{}, Engines: []serving.Note{}, Problems: append([]string{}, ck.Warnings...),
	}
	r.configured(ck)
	p, open, err := a.Sizes()
	r.Parameters = p
	for d := range a.Declared() {
		if d.Role == model.Embedding && !d.MTP && len(d.Shape) == 2 && p.Active > 0 && !ck.Config.TieEmbeddings {
			r.TableLess = p.Active - d.Shape[0]*d.Shape[1]
		}
	}
	if err != nil {
		r.Problems = append(r.Problems, "parameters: "+err.Error())
	}
	if len(open) > 0 {
		r.Problems = append(r.Problems, fmt.Sprintf("the config does not determine the shape of %s, %s first: not counted", count(len(open), "tensor"), open[0]))
	}
	for _, tower := range []string{"vision_config", "audio_config"} {
		if v := ck.ConfigValue.Get(tower); v != nil && len(v.Members) > 0 {
			r.Problems = append(r.Problems, fmt.Sprintf("%q: parameters are those of the text part", tower))
		}
	}
	return r, nil
}
