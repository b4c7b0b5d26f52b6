package convert

import (
	"fmt"
	"sort"

	"quern/convert/plan"
	"quern/formats/model"
	"quern/internal/invalid"
)

// something is the stage that refuses a quantization of nothing: whoever asked for
// one would get a copy and believe it to be FP8. Codes that the input has already
// are something; what becomes of them is said, see [Unchanged].
func (q *quantizer) something(p *plan.Plan) error {
	var largest *plan.Tensor // of the matrices that are kept, embedding and head aside
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if q.quantized[i] {
			return nil
		}
		aside := t.Meta.Role == model.Embedding || t.Meta.Role == model.Head || t.Meta.Role == model.Vision
		if len(t.Shape) >= 2 && !aside && (largest == nil || t.Bytes() > largest.Bytes()) {
			largest = t
		}
	}
	switch arch := q.checkpoint.Arch(); {
	case largest == nil:
		return invalid.Errorf("nothing to quantize: there is no linear layer among its %d tensors", len(p.Tensors))
	case largest.Meta.Role == model.Unknown:
		return invalid.Errorf("nothing to quantize: no rule places its matrices (architecture %q; %q %v is the largest)", arch.Name(), largest.Name, largest.Shape)
	default:
		return invalid.Errorf("nothing to quantize: every matrix is kept (%q: %s)", largest.Name, largest.Why)
	}
}

// Unchanged says in a line which bytes of the input an output keeps as they are, and
// why, when that is more than half of them; else it is "".
func Unchanged(p *plan.Plan) string {
	type part struct {
		why, name string
		bytes     int64
	}
	var total, kept, taken int64
	parts := map[string]*part{}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if t.Op == plan.ScaleOf || t.Op == plan.Constant {
			continue
		}
		n := t.Source.Bytes()
		if total += n; t.Op != plan.Copy {
			continue
		}
		kept += n
		if t.Coded() {
			taken += n
			continue
		}
		x := parts[t.Why]
		if x == nil {
			x = &part{why: t.Why, name: t.Name}
			parts[t.Why] = x
		}
		x.bytes += n
	}
	switch {
	case 2*kept <= total:
		return ""
	case 2*taken > total:
		return fmt.Sprintf("already block FP8: nothing to do for %s of the bytes, whose codes are copied", percent(taken, total))
	}
	list := make([]*part, 0, len(parts))
	for _, x := range parts {
		list = append(list, x)
	}
	sort.Slice(list, func(i, j int) bool {
		if list[i].bytes != list[j].bytes {
			return list[i].bytes > list[j].bytes
		}
		return list[i].why < list[j].why
	})
	text := fmt.Sprintf("%s of the bytes stay as they are", percent(kept, total))
	for i, x := range list[:min(3, len(list))] {
		text += fmt.Sprintf("%s %s %s (%s)", [...]string{":", ",", ","}[i], percent(x.bytes, total), x.why, x.name)
	}
	return text
}

func percent(part, whole int64) string {
	return fmt.Sprintf("%.0f %%", 100*float64(part)/float64(max(whole, 1)))
}
