// Makev3 writes a DeepSeek-V3-shaped BF16 checkpoint to measure with.
//
//	go run ./formats/synth/makev3 -layers 4 -experts 40 DIR    2.8 GB
//	go run ./formats/synth/makev3 -released DIR                671B as holes
package main

import (
	"flag"
	"fmt"
	"os"

	"quern/formats/synth"
)

func main() {
	v := synth.V3{Hidden: 2048, Dense: 1, Inter: 5632, MoEInter: 1024, Vocab: 32000, Heads: 16, QLora: 768, KVLora: 256, ShardBytes: 900 << 20}
	flag.IntVar(&v.Layers, "layers", 4, "decoder layers before the MTP layer")
	flag.IntVar(&v.Experts, "experts", 40, "routed experts of a layer")
	shard := flag.Int64("shard", v.ShardBytes>>20, "MiB of a file")
	released := flag.Bool("released", false, "the shape of the released 671B model, with holes for data")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	v.ShardBytes = *shard << 20
	if *released {
		v = synth.Released()
	}
	if err := v.Write(flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "makev3:", err)
		os.Exit(1)
	}
}
