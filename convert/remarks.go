package convert

import (
	"fmt"
	"slices"
	"strings"

	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/model"
)

// remarks is the stage that says what is odd about the input and does not
// forbid converting it: people convert parts, and models that quern does not
// know.
func remarks(c *hf.Checkpoint) plan.Stage {
	return func(p *plan.Plan) error {
		p.Notes = append(p.Notes, c.Warnings...)
		a := c.Arch()
		if !a.Known() {
			what := "a single file has no config"
			if c.HasConfig {
				what = fmt.Sprintf("the architecture %q is not in the table", strings.Join(append([]string{c.Config.ModelType}, c.Config.Architectures...), " "))
			}
			p.Notes = append(p.Notes, what+": generic rules decide by common names")
		}
		var unplaced, misshapen []string
		for ref, m := range c.Classified() {
			if m.Role == model.Unknown {
				unplaced = append(unplaced, ref.Tensor.Name)
			}
			if want, ok := a.ExpectedShape(m); ok && !slices.Equal(want, ref.Tensor.Shape) {
				misshapen = append(misshapen, fmt.Sprintf("%s is %v, the config says %v", ref.Tensor.Name, ref.Tensor.Shape, want))
			}
		}
		some := func(list []string, one, many string) {
			switch {
			case len(list) == 1:
				p.Notes = append(p.Notes, fmt.Sprintf(one, list[0]))
			case len(list) > 1:
				p.Notes = append(p.Notes, fmt.Sprintf(many, len(list), strings.Join(list[:min(3, len(list))], "; ")))
			}
		}
		some(unplaced, "no rule places %s: it is kept as it is", "no rule places %d tensors, which are kept as they are: %s")
		some(misshapen, "another shape than the config's: %s", "%d tensors have another shape than the config's: %s")
		if lack := a.Missing(c.Has); lack.Count > 0 {
			p.Notes = append(p.Notes, fmt.Sprintf("of the config's tensors %d are not there: %s", lack.Count, lack))
		}
		some(c.Ignored, "not part of the checkpoint, not copied: %s", "%d files are not part of the checkpoint and not copied: %s")
		return nil
	}
}
