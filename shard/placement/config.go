package placement

import (
	"fmt"
	"strconv"
	"strings"
)

// Algorithm is a way to place experts.
type Algorithm string

// The algorithms.
const (
	Contiguous Algorithm = "contiguous" // index order, as engines load a checkpoint
	EPLB       Algorithm = "eplb"       // DeepSeek's load balancer, exactly
	Quern      Algorithm = "quern"      // balanced, and what is chosen together lies together
)

// Algorithms lists them in the order in which they are compared.
var Algorithms = []Algorithm{Contiguous, EPLB, Quern}

// Config says what the experts are placed on.
type Config struct {
	Ranks     int // devices; each gets the same number of slots
	Nodes     int // hosts, each with as many ranks; 0 means 1
	Groups    int // of experts, that group-limited routing chooses from (n_group); 0 means 1
	Redundant int // slots beyond one for each expert
	Algorithm Algorithm
	// Tolerance is how much worse than EPLB's the balance of a layer may be, on the
	// loads that both were made from, for the sake of locality: 0.01 is one percent.
	// Only Quern looks at it. With 0 it is never worse.
	Tolerance float64
	// Workers is how many layers are placed at once; 0 means one for each
	// processor. It changes no result.
	Workers int
}

// UsageError is a configuration that cannot be, alone or for the experts at hand.
type UsageError struct{ message string }

func (e *UsageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &UsageError{fmt.Sprintf(format, args...)}
}

// geometry is a checked Config with the number of experts.
type geometry struct {
	experts, slots       int
	ranks, nodes, groups int
}

// maxSlots bounds the slots of a layer, far beyond what is built: work grows with
// their square.
const maxSlots = 1 << 14

// wholeGroups reports whether each node holds whole groups. Where the nodes do not
// divide the groups no placement can, and any expert may go anywhere.
func (g geometry) wholeGroups() bool { return g.groups%g.nodes == 0 }

// perRank is the number of slots of a rank.
func (g geometry) perRank() int { return g.slots / g.ranks }

// Check reports what is wrong with the configuration whatever the experts are; the
// error is a *UsageError.
func (c Config) Check() error {
	_, err := c.checked()
	return err
}

func (c Config) checked() (Config, error) {
	c.Nodes, c.Groups = max(c.Nodes, 1), max(c.Groups, 1)
	if c.Algorithm == "" {
		c.Algorithm = Quern
	}
	switch {
	case c.Ranks < 1:
		return c, usagef("--ranks %d: at least 1 is needed", c.Ranks)
	case c.Ranks > maxSlots:
		return c, usagef("--ranks %d: the limit is %d", c.Ranks, maxSlots)
	case c.Ranks%c.Nodes != 0:
		return c, usagef("--nodes %d: %d ranks do not divide by it; nodes that do: %s", c.Nodes, c.Ranks, divisors(c.Ranks))
	case c.Redundant < 0:
		return c, usagef("--redundant %d: a number of slots is not negative", c.Redundant)
	case !(c.Tolerance >= 0 && c.Tolerance <= 1):
		return c, usagef("--tolerance %v: it lies between 0 and 1", c.Tolerance)
	}
	for _, a := range Algorithms {
		if a == c.Algorithm {
			return c, nil
		}
	}
	return c, usagef("--algorithm %q: it can be contiguous, eplb or quern", c.Algorithm)
}

// geometry checks the configuration for a number of experts.
func (c Config) geometry(experts int) (geometry, error) {
	g := geometry{experts: experts, ranks: c.Ranks, nodes: c.Nodes, groups: c.Groups}
	if c.Redundant > maxSlots-experts {
		return g, usagef("--redundant %d: %d slots in all are more than the limit of %d", c.Redundant, experts+c.Redundant, maxSlots)
	}
	g.slots = experts + c.Redundant
	switch {
	case experts%g.groups != 0:
		return g, usagef("--groups %d: %d experts do not divide by it; groups that do: %s", g.groups, experts, divisors(experts))
	case g.slots%g.ranks != 0:
		message := fmt.Sprintf("--ranks %d: %s do not divide by it; ranks that do: %s", g.ranks, slotsText(experts, c.Redundant), divisors(g.slots))
		// The next number of slots that the ranks divide.
		if r := c.Redundant + g.ranks - g.slots%g.ranks; (experts+r)/g.ranks <= experts {
			message += fmt.Sprintf("; or --redundant %d", r)
		}
		return g, usagef("%s", message)
	case g.perRank() > experts:
		return g, usagef("--redundant %d: %s on %d ranks are %d a rank, more than there are experts; at most %d are of use",
			c.Redundant, slotsText(experts, c.Redundant), g.ranks, g.perRank(), experts*(g.ranks-1))
	}
	return g, nil
}

func slotsText(experts, redundant int) string {
	if redundant == 0 {
		return fmt.Sprintf("%d experts", experts)
	}
	return fmt.Sprintf("%d experts and %d redundant slots (%d)", experts, redundant, experts+redundant)
}

// divisors lists the divisors of n, as many as one wants to read.
func divisors(n int) string {
	const shown = 24
	var out []string
	for d := 1; d <= n && len(out) <= shown; d++ {
		if n%d == 0 {
			out = append(out, strconv.Itoa(d))
		}
	}
	if len(out) > shown {
		out[shown] = "…"
	}
	return strings.Join(out, ", ")
}
