package main

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"quern/emit"
)

func emitCommand(t *terminal) *cli.Command {
	c := &cli.Command{
		Name:      "emit",
		Usage:     "write the file with which Slurm or Kubernetes run a command as many tasks",
		ArgsUsage: "slurm|kubernetes --tasks N [flags] -- COMMAND…",
		Description: "COMMAND is a command line of quern that makes a folder: quantize, convert or shard. Each\n" +
			"task makes its part of it, the merge checks all and writes index, config and manifest.\n" +
			"Or it is verify with --parts DIR: each task looks at its part of tensors and texts, and\n" +
			"the merge judges, with what the command says of reports, gates and engines.\n" +
			"The file is printed, and nothing is run. Tasks that fail are tried again where that may\n" +
			"help; the same task may run twice at once.\n\n" +
			"Example:\n   quern emit slurm --tasks 64 --time 4:00:00 -- quantize hf://OWNER/NAME /lustre/out > job.sh",
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usagef("emit: there is no scheduler %q; it can be slurm or kubernetes", c.Args().First())
			}
			return usagef("emit: no scheduler is named; usage: quern emit %s", c.Command.ArgsUsage)
		},
	}
	for _, e := range emit.Engines {
		c.Subcommands = append(c.Subcommands, engineCommand(t, e))
	}
	return c
}

func engineCommand(t *terminal, e emit.Engine) *cli.Command {
	flags := []cli.Flag{
		&cli.IntFlag{Name: "tasks", Usage: "`N`parts that the work is divided into, by output files"},
		&cli.IntFlag{Name: "parallel", Usage: "`N`tasks at once, all unless given"},
		&cli.StringFlag{Name: "name", Usage: "`NAME`of the job", Value: "quern"},
		&cli.IntFlag{Name: "retries", Usage: "`N`how often a task is tried again", Value: 3},
		&cli.IntFlag{Name: "cpus", Usage: "`N`processors of a task", Value: 8},
		&cli.StringFlag{Name: "task-memory", Usage: "`SIZE`memory of a task, above the --memory of the command: 2Gi, 1500Mi", Value: "2Gi"},
		&cli.StringFlag{Name: "program", Usage: "`PATH`quern on the machines that run the tasks", Value: "quern"},
	}
	example := "quern emit slurm --tasks 64 --time 4:00:00 -- quantize hf://OWNER/NAME /lustre/out > job.sh\n   bash job.sh"
	if e.Name == "kubernetes" {
		flags = append(
			flags,
			&cli.StringFlag{Name: "image", Usage: "`IMAGE`that has quern in it"},
			&cli.StringFlag{Name: "claim", Usage: "`NAME`the PersistentVolumeClaim with the folders of the command"},
			&cli.StringFlag{Name: "mount", Usage: "`PATH`where it is mounted", Value: "/data"},
			&cli.StringFlag{Name: "secret", Usage: "`NAME`a Secret whose keys become environment, as HF_TOKEN"},
		)
		example = "quern emit kubernetes --tasks 16 --image REGISTRY/quern --claim models -- quantize hf://OWNER/NAME /data/out > job.yaml\n   kubectl apply -f job.yaml"
	} else {
		flags = append(flags, &cli.StringFlag{Name: "time", Usage: "`TIME`that a task may take: HH:MM:SS, DAYS-HH:MM:SS"})
	}
	return &cli.Command{
		Name:         e.Name,
		Usage:        "print a job for " + map[string]string{"slurm": "Slurm", "kubernetes": "Kubernetes"}[e.Name],
		OnUsageError: onUsageError, // main sets it for the commands only
		ArgsUsage:    "--tasks N [flags] -- COMMAND…",
		Description:  "Example:\n   " + example,
		Flags:        flags,
		Action:       func(c *cli.Context) error { return t.emit(c, e) },
	}
}

func (t *terminal) emit(c *cli.Context, e emit.Engine) error {
	if !c.IsSet("tasks") {
		return usagef("emit %s: --tasks is not given: how many parts?", e.Name)
	}
	words, merge, out, err := taskWords(t, c.Args().Slice())
	if err != nil {
		return err
	}
	program := c.String("program")
	j := emit.Job{
		Name: c.String("name"), Tasks: c.Int("tasks"), Parallel: c.Int("parallel"), Retries: c.Int("retries"),
		Command: append([]string{program}, words...), Merge: append([]string{program, "merge"}, append(merge, out)...),
		CPUs: c.Int("cpus"), Memory: c.String("task-memory"),
	}
	if e.Name == "kubernetes" {
		j.Image, j.Claim, j.Mount, j.Secret = c.String("image"), c.String("claim"), c.String("mount"), c.String("secret")
		if j.Claim == "" && !strings.Contains(out, "://") {
			return usagef("emit kubernetes: --claim is not given: which PersistentVolumeClaim is %q in?", out)
		}
	} else {
		j.Time = c.String("time")
	}
	var b bytes.Buffer // all or nothing
	if err := e.Write(&b, j); err != nil {
		return usagef("emit %s: %v", e.Name, err)
	}
	_, err = t.out.Write(b.Bytes())
	return err
}

// taskable are the commands that can be divided.
var taskable = []string{"quantize", "convert", "shard", "verify"}

// taskWords turns a command line of quern, with or without the program in front, into
// that of a task, the flags of its merge, and the folder that is merged.
func taskWords(t *terminal, words []string) (command, merge []string, out string, err error) {
	if len(words) > 0 && strings.TrimSuffix(filepath.Base(words[0]), ".exe") == "quern" {
		words = words[1:]
	}
	if len(words) == 0 {
		return nil, nil, "", usagef("emit: no command is given; it stands behind --, as in -- quantize IN OUT")
	}
	if !slices.Contains(taskable, words[0]) {
		return nil, nil, "", usagef("emit: %q is not divided into tasks; %s are", words[0], strings.Join(taskable, ", "))
	}
	list, err := parseWords(t, words)
	if err != nil {
		return nil, nil, "", err
	}
	command = []string{words[0], "--task", "auto"}
	var args []string
	for _, w := range list {
		switch {
		case w.flag == "":
			args = append(args, w.words...)
		case w.flag == "task":
			return nil, nil, "", usagef("emit: the command has a --task already; leave it out, each gets its own")
		case words[0] == "verify" && isJudging(w.flag):
			merge = append(merge, w.words...)
			continue
		case w.flag == "parts":
			out = w.value
		}
		command = append(command, w.words...)
	}
	switch {
	case words[0] != "verify" && len(args) != 2:
		return nil, nil, "", usagef("emit: the command has %s, and IN and OUT are needed: %s IN OUT", count(len(args), "folder"), words[0])
	case words[0] != "verify":
		out = args[1]
	case len(args) != 1:
		return nil, nil, "", usagef("emit: the command has %s, and one checkpoint is needed: verify --parts DIR CKPT", count(len(args), "argument"))
	case out == "":
		return nil, nil, "", usagef("emit: the command has no --parts: which folder do the tasks write into?")
	}
	return command, merge, out, nil
}

// isJudging reports whether a flag is one of judging's.
func isJudging(flag string) bool {
	return slices.ContainsFunc(judging(), func(f cli.Flag) bool { return f.Names()[0] == flag })
}

// given is an argument of a command line, or a flag with its value, as it was written.
type given struct {
	flag, value string // "" of an argument
	words       []string
}

// parseWords takes a command line apart.
func parseWords(t *terminal, words []string) (list []given, err error) {
	takes := map[string]bool{"task": true}
	for _, c := range newApp(t).Commands {
		if c.Name != words[0] {
			continue
		}
		for _, f := range c.Flags {
			d, ok := f.(cli.DocGenerationFlag)
			for _, name := range f.Names() {
				takes[name] = ok && d.TakesValue()
			}
		}
	}
	for i := 1; i < len(words); i++ {
		w := words[i]
		if w == "--" {
			for _, arg := range words[i+1:] {
				list = append(list, given{words: []string{arg}})
			}
			return list, nil
		}
		if !strings.HasPrefix(w, "-") || w == "-" {
			list = append(list, given{words: []string{w}})
			continue
		}
		name, value, has := strings.Cut(strings.TrimLeft(w, "-"), "=")
		wants, known := takes[name]
		if !known {
			return nil, usagef("emit: %s has no flag %s", words[0], w)
		}
		g := given{name, value, []string{w}}
		if wants && !has && i+1 < len(words) {
			i++
			g.value, g.words = words[i], []string{w, words[i]}
		}
		list = append(list, g)
	}
	return list, nil
}
