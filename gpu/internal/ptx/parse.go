package ptx

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Module is a parsed PTX file.
type Module struct {
	Version, Target string
	Entries         map[string]*Entry

	constants []byte
	symbols   map[string]uint64 // of constants, by name
	lengths   map[string]int
}

// Constant returns the bytes of a constant, nil if there is none of that name.
func (m *Module) Constant(name string) []byte {
	return m.constants[m.symbols[name]:][:m.lengths[name]]
}

// Entry is a kernel.
type Entry struct {
	Name   string
	Params []int // bytes of each parameter
	Shared int   // bytes of shared memory

	params  map[string]int // index by name
	shared  map[string]uint64
	regs    map[string]int
	labels  map[string]int
	code    []instruction
	names   map[int]string // register names, for messages
	module  *Module
	threads int // the most that a group may have, 0 if not said
}

// instruction is one statement of a kernel's body.
type instruction struct {
	guard  string // register of the guard, or ""
	negate bool
	op     string   // with its modifiers
	args   []string // as they are written
	label  bool     // a label stands before it: others may arrive here
	line   int
}

// Parse reads a module.
func Parse(source string) (*Module, error) {
	m := &Module{Entries: map[string]*Entry{}, symbols: map[string]uint64{}, lengths: map[string]int{}}
	var e *Entry
	lines := strings.Split(source, "\n")
	pending, label := "", false
	for n := 0; n < len(lines); n++ {
		text, _, _ := strings.Cut(lines[n], "//")
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		fail := func(format string, args ...any) error {
			return fmt.Errorf("ptx line %d: %s", n+1, fmt.Sprintf(format, args...))
		}
		if pending != "" {
			text = pending + " " + text
			pending = ""
		}
		switch {
		case strings.HasPrefix(text, ".version "):
			m.Version = strings.TrimSpace(strings.TrimPrefix(text, ".version"))
		case strings.HasPrefix(text, ".target "):
			m.Target = strings.TrimSpace(strings.TrimPrefix(text, ".target"))
		case strings.HasPrefix(text, ".address_size"), strings.HasPrefix(text, ".minnctapersm"), strings.HasPrefix(text, ".pragma"):
		case strings.HasPrefix(text, ".maxntid"):
			x, _, _ := strings.Cut(strings.TrimPrefix(text, ".maxntid"), ",")
			e.threads, _ = strconv.Atoi(strings.TrimSpace(x))
		case strings.HasPrefix(text, ".const "):
			if !strings.HasSuffix(text, ";") {
				pending = text
				continue
			}
			if err := m.constant(text); err != nil {
				return nil, fail("%v", err)
			}
		case strings.HasPrefix(text, ".visible .entry"):
			if !strings.Contains(text, ")") {
				pending = text
				continue
			}
			var err error
			if e, err = m.entry(text); err != nil {
				return nil, fail("%v", err)
			}
		case text == "{":
		case text == "}":
			e = nil
		case e == nil:
			return nil, fail("%q outside of an entry", text)
		case strings.HasPrefix(text, ".reg "):
			if err := e.registers(text); err != nil {
				return nil, fail("%v", err)
			}
		case strings.HasPrefix(text, ".shared "):
			name, size, err := array(text)
			if err != nil {
				return nil, fail("%v", err)
			}
			e.Shared = (e.Shared + 15) &^ 15
			e.shared[name] = uint64(e.Shared)
			e.Shared += size
		case strings.HasSuffix(text, ":"):
			e.labels[strings.TrimSuffix(text, ":")] = len(e.code)
			label = true
		case strings.HasSuffix(text, ";"):
			in, err := statement(strings.TrimSuffix(text, ";"))
			if err != nil {
				return nil, fail("%v", err)
			}
			in.line, in.label = n+1, label
			label = false
			e.code = append(e.code, in)
		default:
			pending = text
		}
	}
	return m, nil
}

// array reads ".shared .align 4 .b8 name[16]".
func array(text string) (name string, size int, err error) {
	f := strings.Fields(strings.TrimSuffix(text, ";"))
	if len(f) < 5 || f[3] != ".b8" {
		return "", 0, fmt.Errorf("unknown declaration %q", text)
	}
	name, rest, _ := strings.Cut(f[4], "[")
	size, err = strconv.Atoi(strings.TrimSuffix(rest, "]"))
	return name, size, err
}

func (m *Module) constant(text string) error {
	head, values, found := strings.Cut(text, "=")
	name, size, err := array(strings.TrimSpace(head))
	if err != nil || !found {
		return fmt.Errorf("constant without values: %v", err)
	}
	for len(m.constants)%16 != 0 {
		m.constants = append(m.constants, 0)
	}
	m.symbols[name], m.lengths[name] = uint64(len(m.constants)), size
	values = strings.Trim(strings.TrimSpace(strings.TrimSuffix(values, ";")), "{}")
	n := 0
	for v := range strings.SplitSeq(values, ",") {
		b, err := strconv.ParseUint(strings.TrimSpace(v), 10, 8)
		if err != nil {
			return err
		}
		m.constants = append(m.constants, byte(b))
		n++
	}
	if n != size {
		return fmt.Errorf("constant %s has %d bytes instead of %d", name, n, size)
	}
	return nil
}

var sizes = map[string]int{
	".u8": 1, ".b8": 1, ".u16": 2, ".b16": 2, ".s16": 2, ".u32": 4, ".s32": 4, ".b32": 4, ".f32": 4,
	".u64": 8, ".s64": 8, ".b64": 8, ".f64": 8, ".pred": 1,
}

func (m *Module) entry(text string) (*Entry, error) {
	name, params, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(text, ".visible .entry")), "(")
	e := &Entry{
		Name: strings.TrimSpace(name), params: map[string]int{}, shared: map[string]uint64{}, regs: map[string]int{},
		labels: map[string]int{}, names: map[int]string{}, module: m,
	}
	params, _, _ = strings.Cut(params, ")")
	for p := range strings.SplitSeq(params, ",") {
		f := strings.Fields(p)
		if len(f) == 0 {
			continue
		}
		if len(f) != 3 || f[0] != ".param" || sizes[f[1]] == 0 {
			return nil, fmt.Errorf("entry %s: unknown parameter %q", e.Name, p)
		}
		e.params[f[2]] = len(e.Params)
		e.Params = append(e.Params, sizes[f[1]])
	}
	m.Entries[e.Name] = e
	return e, nil
}

// registers reads ".reg .b32 %r<10>;".
func (e *Entry) registers(text string) error {
	f := strings.Fields(strings.TrimSuffix(text, ";"))
	if len(f) != 3 || sizes[f[1]] == 0 {
		return fmt.Errorf("unknown registers %q", text)
	}
	prefix, count, _ := strings.Cut(strings.TrimSuffix(f[2], ">"), "<")
	n, err := strconv.Atoi(count)
	for i := range n {
		name := prefix + strconv.Itoa(i)
		e.names[len(e.regs)] = name
		e.regs[name] = len(e.regs)
	}
	return err
}

// statement reads an instruction with its guard.
func statement(text string) (in instruction, err error) {
	if rest, ok := strings.CutPrefix(text, "@"); ok {
		guard, after, _ := strings.Cut(rest, " ")
		in.guard, in.negate = strings.CutPrefix(guard, "!")
		if !in.negate {
			in.guard = guard
		} else {
			in.guard = strings.TrimPrefix(guard, "!")
		}
		text = strings.TrimSpace(after)
	}
	op, rest, _ := strings.Cut(strings.ReplaceAll(text, "\t", " "), " ")
	in.op = op
	depth, at := 0, 0
	rest = strings.TrimSpace(rest)
	for i, c := range rest {
		switch {
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ',' && depth == 0:
			in.args = append(in.args, strings.TrimSpace(rest[at:i]))
			at = i + 1
		}
	}
	if rest != "" {
		in.args = append(in.args, strings.TrimSpace(rest[at:]))
	}
	return in, nil
}

// immediate reads a number.
func immediate(s string) (uint64, bool) {
	if hex, ok := strings.CutPrefix(s, "0f"); ok {
		v, err := strconv.ParseUint(hex, 16, 32)
		return v, err == nil
	}
	if v, err := strconv.ParseInt(s, 0, 64); err == nil {
		return uint64(v), true
	}
	if v, err := strconv.ParseUint(s, 0, 64); err == nil {
		return v, true
	}
	return 0, false
}

func f32(x uint64) float32 { return math.Float32frombits(uint32(x)) }
