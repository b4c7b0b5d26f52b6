// Makeqwen3 writes a checkpoint of the widths of Qwen3-30B-A3B with a few of its layers,
// to measure with.
//
//	go run ./formats/synth/makeqwen3 -layers 2 DIR            3.7 GB
//	go run ./formats/synth/makeqwen3 -layers 48 -holes DIR    all of it, as holes
package main

import (
	"flag"
	"fmt"
	"os"

	"quern/formats/synth"
)

func main() {
	q := synth.Qwen3A3B()
	flag.IntVar(&q.Layers, "layers", 2, "decoder layers; the model has 48")
	flag.BoolVar(&q.Sparse, "holes", false, "data are holes, which take no disk")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := q.Write(flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "makeqwen3:", err)
		os.Exit(1)
	}
}
