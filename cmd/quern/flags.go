package main

import (
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"quern/calibrate/file"
	"quern/convert"
	layout "quern/convert/container"
	"quern/fp8"
	"quern/group"
	"quern/internal/ui"
	"quern/scheme"
	"quern/task"
)

var (
	quietFlag     = &cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print nothing when all is well"}
	progressFlag  = &cli.StringFlag{Name: "progress", Usage: "`auto|bar|lines|json|none`how progress is shown; auto is a bar on a terminal, lines elsewhere", Value: "auto"}
	verboseFlag   = &cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "say what is done, and what it takes"}
	jsonFlag      = &cli.BoolFlag{Name: "json", Usage: "print the result as JSON"}
	tensorsFlag   = &cli.BoolFlag{Name: "tensors", Usage: "one line for each tensor"}
	overwriteFlag = &cli.BoolFlag{Name: "overwrite", Usage: "remove an earlier output of quern in OUT first, and nothing else"}
	taskFlag      = &cli.StringFlag{Name: "task", Usage: "`i/n|auto`make the files of task i of n only, in a folder that all share; auto asks the scheduler; quern merge does the rest"}
	workersFlag   = &cli.IntFlag{Name: "workers", Usage: "`N`threads that compute, one for each processor unless given"}
	memoryFlag    = &cli.StringFlag{Name: "memory", Usage: "`SIZE`bound on what the whole process takes", Value: "512MiB"}
	shardFlag     = &cli.StringFlag{Name: "shard-size", Usage: "`SIZE`start a new file after so much data", Value: "5GB"}
)

// positional returns the arguments of a command, between min and max.
func positional(c *cli.Context, min, max int) ([]string, error) {
	args := c.Args().Slice()
	if len(args) < min || len(args) > max {
		return nil, usagef("%s: %s given; usage: quern %s %s", c.Command.Name, count(len(args), "argument"), c.Command.Name, c.Command.ArgsUsage)
	}
	return args, nil
}

// progressForm reads --progress.
func progressForm(c *cli.Context) (string, error) {
	if c.String("progress") == "" { // of commands that have none
		return "", nil
	}
	return choice(c, "progress", "auto", "bar", "lines", "json", "none")
}

// runOptions reads the flags that say how to run.
func runOptions(c *cli.Context) (convert.RunOptions, error) {
	o := convert.RunOptions{Overwrite: c.Bool("overwrite")}
	var err error
	if o.Workers, err = workers(c); err != nil {
		return o, err
	}
	if o.Memory, err = size(c, "memory"); err != nil {
		return o, err
	}
	if c.IsSet("task") {
		if o.Task, err = task.Parse(c.String("task"), os.Getenv); err != nil {
			return o, usagef("--task %v", err)
		}
		if o.Overwrite {
			return o, usagef("%s: --overwrite and --task exclude each other: tasks would remove what others have made; remove the folder first", c.Command.Name)
		}
	}
	// The collector keeps to the bound too: it works harder rather than let
	// garbage pile up between slabs.
	o.Network = networked(c, o.Memory)
	debug.SetMemoryLimit(o.Memory * 3 / 4)
	if !c.IsSet("memory") {
		o.Memory = 0 // what nobody asked for is no reason to refuse a large plan
	}
	return o, nil
}

// workers reads --workers; 0 is one for each processor.
func workers(c *cli.Context) (int, error) {
	n := c.Int("workers")
	if n < 0 {
		return 0, usagef("--workers %d: not a number of threads", n)
	}
	return n, nil
}

// size reads a flag that holds a number of bytes.
func size(c *cli.Context, flag string) (int64, error) {
	n, err := ui.ParseBytes(c.String(flag))
	if err != nil {
		return 0, usagef("--%s: %v", flag, err)
	}
	if n <= 0 {
		return 0, usagef("--%s %s: not a size", flag, c.String(flag))
	}
	return n, nil
}

// leastMemory is less than any run of a model takes: a bound below it is a slip.
const leastMemory = 16 << 20

// memory reads --memory of commands that run models.
func memory(c *cli.Context) (int64, error) {
	n, err := size(c, "memory")
	if err == nil && n < leastMemory {
		return 0, usagef("--memory %s: too little for any model, at least 16MiB are needed", c.String("memory"))
	}
	return n, err
}

// choice reads a flag that has a fixed set of values.
func choice(c *cli.Context, flag string, values ...string) (string, error) {
	got := c.String(flag)
	for _, v := range values {
		if got == v {
			return v, nil
		}
	}
	list := values[len(values)-1]
	if len(values) > 1 {
		list = strings.Join(values[:len(values)-1], ", ") + " or " + list
	}
	if got == "" {
		return "", usagef("%s: --%s is not given; it can be %s", c.Command.Name, flag, list)
	}
	return "", usagef("--%s %q: it can be %s", flag, got, list)
}

// quantizeFlags are the choices that affect bytes.
func quantizeFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "to", Usage: "`" + strings.Join(scheme.Names(), "|") + "`how linears are written; " + expertSchemes() + " mean the routed experts", Value: scheme.BlockFP8.Name},
		&cli.StringSliceFlag{Name: "role", Usage: "`ROLE=SCHEME|keep`write the linears of a role in another way: " + strings.Join(convert.RoleNames(), ", ") + "; may be repeated"},
		&cli.StringFlag{Name: "container", Usage: "`" + strings.Join(layout.Names(), "|") + "`how tensors are called and config.json says so", DefaultText: "what suits --to"},
		&cli.StringFlag{Name: "scale-fmt", Usage: "`float|ue8m0`scales as they come out, or powers of two as DeepSeek-V3.1 has them and Blackwell wants them", Value: "float"},
		&cli.StringFlag{Name: "mx-scale", Usage: "`even|rceil|floor`mxfp4: the power of two of a group from its largest weight, as compressed-tensors, ModelOpt or OCP have it", Value: "even"},
		&cli.StringFlag{Name: "int4-range", Usage: "`7.5|7`int4: what the largest weight of a group becomes; with 7 a checkpoint that was INT4 comes back bit for bit", DefaultText: "7 for such a checkpoint, 7.5 for others"},
		&cli.StringFlag{Name: "search", Usage: "`none|mse|weighted`scales from the largest weight of each tile, or the ones near it with the least squared error, each square weighted by what its input channel carries", Value: "none", DefaultText: "none; with --calibration weighted"},
		&cli.StringFlag{Name: "calibration", Usage: "`FILE`activations of this model, as quern calibrate measures them"},
		&cli.StringFlag{Name: "act-scales", Usage: "`dynamic|static`activations are scaled as they come, or by what the calibration has met", Value: "dynamic"},
		&cli.BoolFlag{Name: "kv-scales", Usage: "write scales of keys and values, from the calibration, for caches in FP8"},
		&cli.StringSliceFlag{Name: "keep", Usage: "`GLOB`leave the modules whose paths match as they are; * crosses dots; may be repeated"},
		&cli.BoolFlag{Name: "allow-partial-experts", Usage: "let --keep name some experts of a layer only"},
		&cli.StringFlag{Name: "keep-dtype", Usage: "`source|bf16`whether F32, F16 and F64 matrices and norms that are not quantized become BF16", Value: "source"},
		&cli.StringFlag{Name: "mtp", Usage: "`quantize|keep`the linears of the multi-token prediction layer", Value: "quantize"},
		&cli.StringFlag{Name: "ragged", Usage: "`quantize|keep`matrices that tiles of 128×128 do not divide", Value: "quantize"},
		&cli.BoolFlag{Name: "requantize", Usage: "give FP8 input new scales, although that rounds a second time"},
		&cli.BoolFlag{Name: "lossless", Usage: "refuse whatever would change a value: codes are cast to others that stand for the same numbers, or not at all"},
		shardFlag,
	}, regroupFlags()...)
}

// quantizeOptions reads quantizeFlags.
func quantizeOptions(c *cli.Context) (convert.QuantizeOptions, error) {
	o := convert.QuantizeOptions{
		Keep: c.StringSlice("keep"), PartialExpert: c.Bool("allow-partial-experts"), Requantize: c.Bool("requantize"),
		CacheScales: c.Bool("kv-scales"), Lossless: c.Bool("lossless"),
	}
	for _, f := range []struct {
		flag, off, on string
		to            *bool
	}{
		{"scale-fmt", "float", "ue8m0", &o.UE8M0},
		{"act-scales", "dynamic", "static", &o.StaticActivations},
		{"keep-dtype", "source", "bf16", &o.KeepBF16},
		{"mtp", "quantize", "keep", &o.KeepMTP},
		{"ragged", "quantize", "keep", &o.KeepRagged},
	} {
		v, err := choice(c, f.flag, f.off, f.on)
		if err != nil {
			return o, err
		}
		*f.to = v == f.on
	}
	to, err := choice(c, "to", scheme.Names()...)
	if err != nil {
		return o, err
	}
	if o.Scheme, err = scheme.Find(to); err != nil {
		return o, err
	}
	if o.Roles, err = rolesOf(c); err != nil {
		return o, err
	}
	if o.Container, err = layout.Named(c.String("container"), o.Schemes()...); err != nil {
		return o, usagef("--container %s: %v", c.String("container"), err)
	}
	if err := groupOptions(c, &o); err != nil {
		return o, err
	}
	search, err := choice(c, "search", "none", "mse", "weighted")
	if err != nil {
		return o, err
	}
	o.Search = map[string]fp8.Search{"mse": fp8.SearchMSE, "weighted": fp8.SearchWeighted}[search]
	if o.ShardSize, err = size(c, "shard-size"); err != nil {
		return o, err
	}
	return o, calibration(c, &o)
}

// expertSchemes are those that alone mean the routed experts.
func expertSchemes() string {
	var names []string
	for _, s := range scheme.All {
		if s.Experts {
			names = append(names, s.Name)
		}
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// groupOptions reads the flags of schemes with groups.
func groupOptions(c *cli.Context, o *convert.QuantizeOptions) error {
	rule, err := choice(c, "mx-scale", "even", "rceil", "floor")
	if err != nil {
		return err
	}
	o.MXScale = map[string]group.ScaleRule{"rceil": group.ScaleCeil, "floor": group.ScaleFloor}[rule]
	if !c.IsSet("int4-range") {
		return nil
	}
	span, err := choice(c, "int4-range", "7.5", "7")
	if err != nil {
		return err
	}
	if !slices.Contains(o.Schemes(), scheme.INT4) {
		return usagef("--int4-range %s: only int4 has it, and --to is %s", span, o.Scheme.Name)
	}
	o.Range = new(group.Range)
	if span == "7" {
		*o.Range = group.Range7
	}
	return nil
}

// rolesOf reads --role.
func rolesOf(c *cli.Context) (list []convert.RoleScheme, err error) {
	for _, text := range c.StringSlice("role") {
		r, err := convert.ParseRole(text)
		if err != nil {
			return nil, usagef("%v", err)
		}
		list = append(list, r)
	}
	return list, nil
}

// calibration opens the calibration file, if one is given.
func calibration(c *cli.Context, o *convert.QuantizeOptions) error {
	path := c.String("calibration")
	if path == "" {
		return nil
	}
	searches := o.Searches()
	if !c.IsSet("search") && searches {
		o.Search = fp8.SearchWeighted
	}
	if !o.ByCalibration() {
		what := "--search weighted, --act-scales static or --kv-scales"
		if !searches {
			what = "--act-scales static or --kv-scales"
		}
		return usagef("--calibration %s: nothing goes by it; give %s", path, what)
	}
	f, err := file.Open(path)
	if err != nil {
		return err
	}
	o.Calibration, o.Identify = f, file.Identify
	return nil
}
