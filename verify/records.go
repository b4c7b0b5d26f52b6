package verify

import (
	"encoding/binary"
	"math"

	"quern/fp8"
)

// What the checks of a tensor have found is a record: the values behind the pointers of
// check.found, one after the other, little-endian. Reports are made when all are there,
// whoever made them: this run, one before it that was cut, or the tasks of many.

// recordName is the name of a tensor's record.
func (o *Options) recordName(j *job) string { return "tensor " + o.Name + j.tensor.Name }

// encode writes what checks have found.
func encode(checks []check) []byte {
	var out []byte
	for _, c := range checks {
		for _, p := range c.found() {
			if db, ok := p.(**float64); ok { // a ratio that there may be none of
				has, v := *db != nil, 0.0
				if has {
					v = **db
				}
				out = binary.LittleEndian.AppendUint64(append(out, flag(has)), math.Float64bits(v))
				continue
			}
			var err error
			if out, err = binary.Append(out, binary.LittleEndian, p); err != nil {
				panic(err) // of a type that has no fixed size
			}
		}
	}
	return out
}

func flag(is bool) byte {
	if is {
		return 1
	}
	return 0
}

// decode gives checks what they had found. ok is false where data are of other checks;
// what they have then is of no use.
func decode(checks []check, data []byte) (ok bool) {
	for _, c := range checks {
		for _, p := range c.found() {
			if db, is := p.(**float64); is {
				if len(data) < 9 {
					return false
				}
				if data[0] == 1 {
					*db = new(math.Float64frombits(binary.LittleEndian.Uint64(data[1:])))
				}
				data = data[9:]
				continue
			}
			n, err := binary.Decode(data, binary.LittleEndian, p)
			if err != nil {
				return false
			}
			data = data[n:]
		}
	}
	return len(data) == 0
}

// recorded gives a job's checks what was found before, if that is known.
func (o *Options) recorded(j *job) bool {
	data, ok := o.Records.Get(o.recordName(j))
	return ok && len(data) == len(encode(j.checks)) && decode(j.checks, data)
}

// share are the jobs that are looked at: from first up to last, without last.
func (o *Options) share(jobs []*job) (first, last int) {
	sizes := make([]int64, len(jobs))
	for i, j := range jobs {
		sizes[i] = j.read(j.tensor.Source.Bytes())
	}
	return o.Task.Of(sizes)
}

func (e *energy) found() []any { return []any{&e.want, &e.got, &e.diff, &e.most} }

func (c *digestCheck) found() []any { return []any{&c.sum} }
func (c *finiteCheck) found() []any { return []any{&c.count, &c.first} }
func (c *scalarCheck) found() []any { return []any{&c.raw} }

func (c *scaleCheck) found() []any { return append(c.bad.found(), c.uneven.found()...) }
func (f *finding) found() []any    { return []any{&f.count, &f.first, &f.value} }

func (c *errorCheck) found() []any {
	n := &c.nearest
	out := append(c.sum.found(), &c.ideal, &n.count, &n.first, &n.got, &n.want, &n.weight, &n.scale)
	return append(out, c.fresh.found()...)
}

func (c *freshCheck) found() []any {
	if c == nil {
		return nil
	}
	return append([]any{&c.codes, &c.scales, &c.none}, statsFound(&c.stats)...)
}

func statsFound(s *fp8.Stats) []any {
	return []any{&s.SumSq, &s.SumErr, &s.MaxErr, &s.Saturated, &s.Subnormal, &s.Zero, &s.ZeroTiles, &s.Tiles}
}

func (c *writtenCheck) found() []any {
	out := append(c.sum.found(), &c.ideal, &c.wrong, &c.first, &c.got, &c.want, &c.of)
	return append(out, c.fresh.found()...)
}

func (c *equalCheck) found() []any {
	out := []any{&c.count, &c.first}
	if b := c.back; b != nil {
		out = append(append(append(out, b.sum.found()...), statsFound(&b.ideal)...), &b.beyond, &b.first)
	}
	return out
}

func (c *lowCheck) found() []any { return []any{&c.all, &c.low} }
