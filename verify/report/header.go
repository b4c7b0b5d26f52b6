package report

import (
	"fmt"
	"slices"
	"strings"

	"quern/convert/serving"
	"quern/internal/page"
	"quern/internal/ui"
	"quern/verify"
)

// badge is a word beside the verdict that says how far it goes.
type badge struct {
	Class string // "fail" or ""
	Text  string
}

// badges say what the verdict is worth: whether activations were rounded as engines do,
// and which engines would do what with the checkpoint.
func badges(r *verify.Report) []badge {
	var out []badge
	switch {
	case r.Metrics == nil && r.Single == nil || r.Setup == nil || r.Setup.Activations == "":
	case r.Deployment != nil || r.SingleDeployment != nil:
		out = append(out, badge{Text: "weights only, and as engines compute beside it"})
	case r.Setup.Activations == "bf16":
		out = append(out, badge{Text: "weights only"})
	default:
		out = append(out, badge{Text: "with emulated activations (" + page.Visible(r.Setup.Activations) + ")"})
	}
	if r.Fast != nil {
		out = append(out, badge{Text: "products in BF16"})
	}
	for _, s := range []serving.Severity{serving.Misreads, serving.Refuses, serving.Limits} {
		var who []string
		for i := range r.Engines {
			if n := &r.Engines[i]; n.Severity == s && !slices.Contains(who, n.Engine) {
				who = append(who, n.Engine)
			}
		}
		if len(who) == 0 {
			continue
		}
		b := badge{Text: severityWords[s] + " " + page.Visible(strings.Join(who, ", "))}
		if s != serving.Limits {
			b.Class = "fail"
		}
		out = append(out, b)
	}
	if len(r.Engines) > 0 && !slices.ContainsFunc(r.Engines, func(n serving.Note) bool { return n.Severity != serving.Informs }) {
		out = append(out, badge{Text: "no engine is known to refuse or misread it"})
	}
	return out
}

var severityWords = map[serving.Severity]string{
	serving.Misreads: "misread by", serving.Refuses: "refused by", serving.Limits: "limited in",
}

// facts say what was looked at.
func facts(r *verify.Report) []fact {
	out := []fact{{Term: "checkpoint", Text: page.Visible(r.Checkpoint)}}
	add := func(term, text string) { out = append(out, fact{Term: term, Text: text}) }
	if r.Baseline != "" {
		add("baseline", page.Visible(r.Baseline))
	}
	if s := r.Subject; s != nil {
		if s.Architecture != "" {
			add("architecture", page.Visible(s.Architecture))
		}
		if p := s.Parameters; p.Total > 0 {
			text := ui.Parameters(p.Total)
			if p.Active > 0 {
				text += ", " + ui.Parameters(p.Active) + " active for a token"
			}
			if p.MTP > 0 {
				text += ", and " + ui.Parameters(p.MTP) + " of MTP"
			}
			add("parameters", text)
		}
		if s.Calibration != "" {
			add("calibration", page.Visible(s.Calibration))
		}
	}
	if r.Setup != nil && len(r.Setup.Sources) > 0 {
		add("texts", textsRead(r.Setup.Sources))
	}
	if !r.Date.IsZero() {
		add("date", page.Date(r.Date))
	}
	return out
}

// textsRead names the texts and counts their tokens.
func textsRead(sources []verify.TextSource) string {
	const named = 3
	var names []string
	tokens := 0
	for i, x := range sources {
		tokens += x.Tokens
		if i < named {
			names = append(names, clip(page.Visible(x.Name), 40))
		}
	}
	text := strings.Join(names, ", ")
	if more := len(sources) - named; more > 0 {
		text += fmt.Sprintf(" and %s more", count(more))
	}
	return text + ": " + page.Plural(int64(tokens), "token", "tokens")
}
