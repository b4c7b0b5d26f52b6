package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"quern/convert"
	"quern/internal/blockio"
	"quern/internal/invalid"
	"quern/internal/outfile"
	"quern/internal/page"
	"quern/internal/ui"
	"quern/shard/placement"
	"quern/shard/report"
)

func placeCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:      "place",
		Usage:     "say which rank should hold which experts, from loads or a routing trace",
		ArgsUsage: "--load F | --calibration F | --trace F  --ranks N [flags]",
		Description: "Needs no checkpoint. Compares three placements, layer by layer: contiguous (index order,\n" +
			"what engines do by default), eplb (DeepSeek's load balancer, exactly) and quern (as balanced\n" +
			"as that, with experts that are chosen together on one rank and node). -o writes the maps\n" +
			"of the one that --algorithm names. With a trace, balance (load of the fullest rank over the\n" +
			"mean) and fan-out (ranks that a token is sent to) are measured on its last fifth, which no\n" +
			"placement is made from.\n\n" +
			"Example:\n   quern place --trace ./trace.safetensors --ranks 32 --nodes 4 --groups 8 --redundant 32 -o ./maps",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "load", Usage: "`F`how often experts were chosen: a calibration file, or JSON {\"load\": [[…], …]} or {\"logical_count\": …} of SGLang"},
			&cli.StringFlag{Name: "calibration", Usage: "`F`the same from a calibration file, with co-activation if it has that"},
			&cli.StringFlag{Name: "trace", Usage: "`F`which experts each token chose; alone, or beside one of the above"},
			&cli.IntFlag{Name: "ranks", Usage: "`N`devices that share the experts"},
			&cli.IntFlag{Name: "nodes", Usage: "`N`hosts that the ranks lie in", Value: 1},
			&cli.IntFlag{Name: "groups", Usage: "`G`groups of experts that the router chooses from (n_group); a node holds whole groups where their number allows", Value: 1},
			&cli.IntFlag{Name: "redundant", Usage: "`R`slots for second copies of experts"},
			&cli.IntFlag{Name: "experts", Usage: "`E`experts of a layer, where a trace does not say"},
			&cli.StringFlag{Name: "algorithm", Usage: "`quern|eplb|contiguous`whose maps to write", Value: string(placement.Quern)},
			&cli.Float64Flag{Name: "tolerance", Usage: "`X`how much less balanced than eplb quern may be to bring experts together: 0.05 is 5 %", DefaultText: "0"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`DIR`write the maps there, also in the forms that SGLang and vllm-ascend read"},
			&cli.BoolFlag{Name: "overwrite", Usage: "replace maps that are in DIR"},
			&cli.StringFlag{Name: "report", Usage: "`FILE`write the comparison as one HTML file, with the load of every rank before and after"},
			workersFlag, quietFlag, jsonFlag,
		},
		Action: func(c *cli.Context) error {
			if _, err := positional(c, 0, 0); err != nil {
				return err
			}
			return asUsage(t.place(c))
		},
	}
}

// asUsage makes an error that blames the configuration one of usage.
func asUsage(err error) error {
	if u := (*placement.UsageError)(nil); errors.As(err, &u) {
		return usagef("place: %v", u)
	}
	return err
}

func (t *terminal) place(c *cli.Context) error {
	config, err := placeConfig(c)
	if err != nil {
		return err
	}
	dir, page := c.String("output"), outfile.File{Flag: "--report", Path: c.String("report"), Kind: outfile.Page}
	reads := outfile.Command{Reads: []string{c.String("load"), c.String("calibration"), c.String("trace")}, Makes: dir}
	if err := reads.Check(page); err != nil {
		return err
	}
	if err := vacant(dir, c.Bool("overwrite")); err != nil {
		return err
	}
	in, done, err := placeInput(c)
	if err != nil {
		return err
	}
	defer done()
	cmp, err := placement.Compare(c.Context, in, config)
	if err != nil {
		return err
	}
	var files []placement.File
	if dir != "" {
		list, notes, err := cmp.Files()
		if err != nil {
			return err
		}
		files = list
		cmp.Placement.Notes = append(cmp.Placement.Notes, notes...)
	}
	t.notes(c.Bool("quiet") || c.Bool("json"), cmp.Placement.Notes)
	told := !c.Bool("json") && (!c.Bool("quiet") || dir == "")
	switch {
	case c.Bool("json"):
		raw, err := cmp.JSON()
		if err != nil {
			return err
		}
		t.raw(raw)
	case told:
		printPlacement(t.out, cmp)
	}
	wrote := func(path string) {
		if told {
			fmt.Fprintf(t.out, "wrote %s\n", clean(path))
		}
	}
	if err := writeFiles(dir, files, wrote); err != nil || page.Path == "" {
		return err
	}
	if err := writePlacementReport(page, in, cmp); err != nil {
		return err
	}
	wrote(page.Path)
	return nil
}

// placeConfig reads the flags that say what to place on.
func placeConfig(c *cli.Context) (placement.Config, error) {
	o := placement.Config{
		Ranks: c.Int("ranks"), Nodes: c.Int("nodes"), Groups: c.Int("groups"), Redundant: c.Int("redundant"),
		Algorithm: placement.Algorithm(c.String("algorithm")), Tolerance: c.Float64("tolerance"),
	}
	if !c.IsSet("ranks") {
		return o, usagef("place: --ranks is not given: how many devices share the experts?")
	}
	for _, flag := range []string{"nodes", "groups"} {
		if n := c.Int(flag); n < 1 {
			return o, usagef("place: --%s %d: at least 1 is needed", flag, n)
		}
	}
	if c.IsSet("experts") && c.Int("experts") < 1 {
		return o, usagef("place: --experts %d: at least 1 is needed", c.Int("experts"))
	}
	var err error
	if o.Workers, err = workers(c); err != nil {
		return o, err
	}
	return o, o.Check()
}

// placeInput opens the files that the flags name; done closes them.
func placeInput(c *cli.Context) (in *placement.Input, done func(), err error) {
	load, calibration, trace := c.String("load"), c.String("calibration"), c.String("trace")
	switch {
	case load != "" && calibration != "":
		return nil, nil, usagef("place: --load and --calibration both give loads: one of them is enough")
	case load == "" && calibration == "" && trace == "":
		return nil, nil, usagef("place: nothing to place by: --load, --calibration or --trace is needed")
	}
	var counts *placement.Counts
	var routing *placement.Trace
	done = func() {
		if counts != nil {
			_ = counts.Close()
		}
		_ = routing.Close()
	}
	switch {
	case load != "":
		counts, err = placement.OpenCounts(load)
	case calibration != "":
		counts, err = placement.OpenCalibration(calibration)
	}
	if err == nil && trace != "" {
		routing, err = placement.OpenTrace(trace)
	}
	if err == nil {
		in, err = placement.NewInput(counts, routing, c.Int("experts"))
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return in, done, nil
}

// vacant reports whether maps may be written to a folder: none is there, or with
// overwrite those that quern wrote.
func vacant(dir string, overwrite bool) error {
	if dir == "" {
		return nil
	}
	switch st, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !st.IsDir():
		return invalid.Errorf("-o %q: that is a file, and maps are written to a folder", dir)
	}
	for _, name := range placement.FileNames() {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if !overwrite {
			return fmt.Errorf("%q: there is a %s already; --overwrite replaces it", dir, name)
		}
		if !placement.Wrote(dir, name) {
			return invalid.Errorf("-o %q: quern has not written the %s that is there, or it was changed since, and --overwrite replaces no others; choose another folder, or move it away", dir, name)
		}
	}
	return outfile.Probe(dir)
}

// writeFiles writes files to a folder, each whole or not at all.
func writeFiles(dir string, files []placement.File, wrote func(path string)) error {
	if len(files) == 0 {
		return nil
	}
	if err := blockio.OS.MkdirAll(dir); err != nil {
		return fmt.Errorf("making %q: %w", dir, err)
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		if err := blockio.WriteFile(blockio.OS, path, f.Data); err != nil {
			return fmt.Errorf("writing %q: %w", path, err)
		}
		wrote(path)
	}
	return nil
}

// writePlacementReport writes the HTML form of a comparison.
func writePlacementReport(to outfile.File, in *placement.Input, cmp *placement.Comparison) error {
	load, err := report.Loads(in)
	if err != nil {
		return err
	}
	s := report.Setup{Version: convert.Version, Date: page.Now(), Command: os.Args[1:]}
	if in.Counts != nil {
		s.Sources = append(s.Sources, report.Source{Kind: "loads", Path: in.Counts.Path})
	}
	if in.Trace != nil {
		s.Sources = append(s.Sources, report.Source{Kind: "trace", Path: in.Trace.Path})
	}
	var b bytes.Buffer
	if err := report.HTML(&b, cmp, load, s); err != nil {
		return fmt.Errorf("making the report: %w", err)
	}
	return to.Write(b.Bytes())
}

// printPlacement writes a table: balance and fan-out of every layer by every
// algorithm, and their means.
func printPlacement(w io.Writer, c *placement.Comparison) {
	p := c.Placement
	title := fmt.Sprintf("%s in %s on %s", count(p.Shape.Experts, "expert"), count(p.Slots, "slot"), count(p.Config.Ranks, "rank"))
	if p.Config.Nodes > 1 {
		title += " of " + count(p.Config.Nodes, "node")
	}
	title += fmt.Sprintf(", %s; maps by %s", count(len(p.Layers), "layer"), p.Config.Algorithm)
	fmt.Fprintln(w, ui.Wrap(title, 0, 2))
	head := []string{">layer"}
	columns := []struct {
		name  string
		value func(placement.Metrics) string
	}{{"balance", func(m placement.Metrics) string { return figure(m.Balance) }}}
	if c.Split != nil {
		text := fmt.Sprintf("placed by the first %d tokens of the trace, measured on the other %d", c.Split.MadeFrom, c.Split.Measured)
		if c.Split.AtText {
			text += ", which begin with a text"
		}
		fmt.Fprintln(w, ui.Wrap(text, 0, 2))
		add := func(name string, of func(placement.Metrics) *float64) {
			columns = append(columns, struct {
				name  string
				value func(placement.Metrics) string
			}{name, func(m placement.Metrics) string {
				if x := of(m); x != nil {
					return figure(*x)
				}
				return "–"
			}})
		}
		add("ranks a token", func(m placement.Metrics) *float64 { return m.Fanout })
		if p.Config.Nodes > 1 {
			add("nodes a token", func(m placement.Metrics) *float64 { return m.NodeFanout })
		}
	}
	over := []string{""}
	for _, col := range columns {
		for i, a := range placement.Algorithms {
			head = append(head, ">"+string(a))
			over = append(over, "")
			if i == 0 {
				over[len(over)-1] = col.name
			}
		}
	}
	row := func(name string, m map[placement.Algorithm]placement.Metrics) []string {
		cells := []string{name}
		for _, col := range columns {
			for _, a := range placement.Algorithms {
				cells = append(cells, col.value(m[a]))
			}
		}
		return cells
	}
	rows := make([][]string, 0, len(p.Layers)+1)
	for i := range p.Layers {
		rows = append(rows, row(strconv.Itoa(p.Layers[i].Number), c.Metrics[i]))
	}
	rows = append(rows, row("mean", c.Mean))
	fmt.Fprintln(w)
	printGrouped(w, over, head, rows)
}

// printGrouped writes a table whose columns stand under common headings: over has
// one where a group of columns begins.
func printGrouped(w io.Writer, over, head []string, rows [][]string) {
	var b strings.Builder
	ui.Table(&b, head, rows)
	text := b.String()
	first, _, _ := strings.Cut(text, "\n")
	line, at := "", 0
	for i, name := range strings.Fields(first) {
		at += strings.Index(first[at:], name)
		if over[i] != "" {
			line += strings.Repeat(" ", at-len(line)) + over[i]
		}
		at += len(name)
	}
	fmt.Fprintf(w, "%s\n%s", line, text)
}

// figure writes a ratio as tables show it; one that is not known is a dash.
func figure(x float64) string {
	if x == 0 {
		return "–"
	}
	return strconv.FormatFloat(x, 'f', 3, 64)
}
