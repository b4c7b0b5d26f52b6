package engine

import (
	"context"
	"slices"

	"quern/convert/card"
	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/store"
)

// readme is README.md of the output: with a card where the plan says so, else Text as it
// is. Nil is none.
type readme struct {
	Card *card.Draft `json:"card,omitempty"`
	Text []byte      `json:"text,omitempty"`
}

// readme reads the source's. A checkpoint that is no longer what quern's earlier card
// says goes without that. What is too large for a card is a side file like others.
func (e *engine) readme(ctx context.Context) (*readme, error) {
	i := slices.IndexFunc(e.plan.Input.Side, func(f plan.SideFile) bool { return f.Name == card.Name })
	if i >= 0 && e.plan.Input.Side[i].Size > card.Most {
		return nil, nil
	}
	var raw []byte
	if i >= 0 {
		f := e.plan.Input.Side[i]
		var err error
		if raw, err = store.ReadFile(ctx, e.opts.In, f.Name, card.Most); err != nil {
			return nil, err
		}
		if int64(len(raw)) != f.Size {
			return nil, changed(store.Path(e.opts.In, f.Name))
		}
	}
	switch {
	case e.plan.Card:
		return &readme{Card: card.New(e.plan, raw)}, nil
	case i < 0:
		return nil, nil
	case e.plan.Command == "convert":
		raw = card.Without(raw)
	}
	return &readme{Text: raw}, nil
}

// carded reports whether a side file is not copied but written as a readme.
func carded(f plan.SideFile) bool { return f.Name == card.Name && f.Size <= card.Most }

// publish writes it.
func (r *readme) publish(ctx context.Context, out store.Sink, m *manifest.Manifest) error {
	if r == nil {
		return nil
	}
	raw := r.Text
	if r.Card != nil {
		raw = r.Card.Render(m)
	}
	return store.WriteFile(ctx, out, card.Name, raw)
}
