package convert

import (
	"quern/convert/plan"
	"quern/formats/hf"
)

// PlanCopy plans the copy of c that a command is to divide into files in a way of
// its own: every tensor as it is, without shards.
func PlanCopy(c *hf.Checkpoint, command string) (*plan.Plan, error) {
	p := plan.New(c)
	p.Tool, p.Command = tool, command
	return p, remarks(c)(p)
}
