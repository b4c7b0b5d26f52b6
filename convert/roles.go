package convert

import (
	"fmt"
	"slices"
	"strings"

	"quern/convert/plan"
	"quern/formats/model"
	"quern/scheme"
)

// RoleScheme is how the linears of a role are written, whatever the others are: one
// --role ROLE=SCHEME|keep.
type RoleScheme struct {
	Role   string         // of roles
	Scheme *scheme.Scheme // nil: they stay as they are
}

// String is the value of the flag.
func (r RoleScheme) String() string {
	if r.Scheme == nil {
		return r.Role + "=keep"
	}
	return r.Role + "=" + r.Scheme.Name
}

// roles are what --role can name: parts of a model that releases write in schemes of
// their own (formats-2026.md §4.1). The first that a tensor belongs to and that was
// given counts.
var roles = []struct {
	name string
	has  func(*model.Tensor) bool
}{
	{"mtp", func(m *model.Tensor) bool { return m.MTP }},
	{"experts", func(m *model.Tensor) bool { return m.Role == model.RoutedExpert }},
	{"shared", func(m *model.Tensor) bool { return m.Role == model.SharedExpert }},
	{"attention", func(m *model.Tensor) bool {
		return m.Role == model.Attention || m.Role == model.Indexer || m.Role == model.LinearAttention
	}},
	{"dense", func(m *model.Tensor) bool { return m.Role == model.DenseMLP }},
}

// RoleNames are the roles that can have a scheme of their own.
func RoleNames() []string {
	names := make([]string, len(roles))
	for i := range roles {
		names[i] = roles[i].name
	}
	return names
}

// ParseRole reads the value of a --role.
func ParseRole(text string) (RoleScheme, error) {
	name, to, ok := strings.Cut(text, "=")
	r := RoleScheme{Role: name}
	if !ok || to == "" {
		return r, fmt.Errorf("--role %s: it is given as ROLE=SCHEME or ROLE=keep", text)
	}
	if !slices.Contains(RoleNames(), name) {
		return r, fmt.Errorf("--role %s: there is no role %q: known are %s", text, name, strings.Join(RoleNames(), ", "))
	}
	if to == "keep" {
		return r, nil
	}
	var err error
	if r.Scheme, err = scheme.Find(to); err != nil {
		return r, fmt.Errorf("--role %s: %w, and keep", text, err)
	}
	return r, nil
}

// role returns what was said of the role of a tensor.
func (o *QuantizeOptions) role(m *model.Tensor) (RoleScheme, bool) {
	for _, r := range roles {
		if !r.has(m) {
			continue
		}
		if i := slices.IndexFunc(o.Roles, func(x RoleScheme) bool { return x.Role == r.name }); i >= 0 {
			return o.Roles[i], true
		}
	}
	return RoleScheme{}, false
}

// schemeOf is how a tensor is written if nothing keeps it; nil where the schemes alone
// do not mean it, see spared.
func (o *QuantizeOptions) schemeOf(m *model.Tensor) *scheme.Scheme {
	if r, ok := o.role(m); ok {
		return r.Scheme
	}
	if s := o.scheme(); !s.Experts || m.Role == model.RoutedExpert {
		return s
	}
	return nil
}

// spared says why the schemes alone do not mean t; "" if they do.
func (o *QuantizeOptions) spared(t *plan.Tensor) string {
	switch r, ok := o.role(&t.Meta); {
	case ok && r.Scheme == nil:
		return "--role " + r.String()
	case o.schemeOf(&t.Meta) == nil:
		return "--to " + o.scheme().Name + " means the routed experts"
	}
	return ""
}

// Schemes are all that the options name, each once, the one of --to first.
func (o *QuantizeOptions) Schemes() []*scheme.Scheme {
	list := []*scheme.Scheme{o.scheme()}
	for _, r := range o.Roles {
		if r.Scheme != nil && !slices.Contains(list, r.Scheme) {
			list = append(list, r.Scheme)
		}
	}
	return list
}

// rolesMatch is the stage that refuses a role that no linear of the model has, and one
// that is given twice.
func (q *quantizer) rolesMatch(p *plan.Plan) error {
	for i, r := range q.Roles {
		if slices.ContainsFunc(q.Roles[:i], func(x RoleScheme) bool { return x.Role == r.Role }) {
			return &UsageError{fmt.Sprintf("--role %s: %s is given twice", r, r.Role)}
		}
		at := slices.Index(RoleNames(), r.Role)
		if at < 0 {
			return &UsageError{fmt.Sprintf("--role %s: there is no role %q: known are %s", r, r.Role, strings.Join(RoleNames(), ", "))}
		}
		if !slices.ContainsFunc(p.Tensors, func(t plan.Tensor) bool { return t.Meta.Role.Linear() && roles[at].has(&t.Meta) }) {
			return &UsageError{fmt.Sprintf("--role %s: %s has no linear of that role; quern inspect lists its roles", r, q.checkpoint.Path)}
		}
	}
	return nil
}
