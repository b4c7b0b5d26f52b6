package shard

import (
	"encoding/json"

	"quern/convert/plan"
	"quern/shard/placement"
)

// Description is what a regrouped plan says of itself, in the names of
// quern-placement.json.
type Description struct {
	Algorithm  placement.Algorithm `json:"algorithm"`
	Experts    int                 `json:"experts"`
	Nodes      int                 `json:"nodes"`
	Redundant  int                 `json:"redundant"`
	Baked      bool                `json:"baked"`
	Balance    *float64            `json:"balance"` // nil where nothing was counted
	Fanout     *float64            `json:"fanout"`  // nil without a trace
	NodeFanout *float64            `json:"node_fanout"`
	Mean       json.RawMessage     `json:"mean"` // the same by algorithm
	Reading
}

// Describe returns what Regroup has made of p, nil where it was not called.
func Describe(p *plan.Plan) *Description {
	for _, f := range p.Beside {
		if f.Name != placement.JSONName {
			continue
		}
		d := &Description{}
		if err := json.Unmarshal([]byte(f.Data), d); err != nil {
			return nil
		}
		return d
	}
	return nil
}
