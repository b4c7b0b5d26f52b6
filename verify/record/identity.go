package record

import "fmt"

// Identity is what figures depend on, in a fixed order.
type Identity []Field

// Field is one thing: an option, a file, a text.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Add adds a field.
func (id *Identity) Add(name, value string) { *id = append(*id, Field{name, value}) }

// Difference says in what other differs from id, the first thing of it; "" if in nothing.
func (id Identity) Difference(other Identity) string {
	its := map[string][]string{} // two texts may have one name, and lie in different folders
	for _, f := range other {
		its[f.Name] = append(its[f.Name], f.Value)
	}
	for _, f := range id {
		v := its[f.Name]
		switch {
		case len(v) == 0:
			return fmt.Sprintf("it has no %s", f.Name)
		case v[0] != f.Value:
			return difference(f.Name, f.Value, v[0])
		}
		its[f.Name] = v[1:]
	}
	for _, f := range other {
		if len(its[f.Name]) > 0 {
			return fmt.Sprintf("it has %s", f.Name)
		}
	}
	return ""
}

// longest is a value that is shown; digests say nothing to people.
const longest = 24

func difference(name, mine, its string) string {
	if len(mine) > longest || len(its) > longest {
		return name + " is another one"
	}
	return fmt.Sprintf("%s is %q instead of %q", name, its, mine)
}
