// Makev3 writes a DeepSeek-V3-shaped BF16 checkpoint to measure with.
//
//	go run ./formats/synth/makev3 -layers 4 -experts 40 DIR    2.8 GB
//	go run ./formats/synth/makev3 -released DIR                671B as holes
//	go run ./formats/synth/makev3 -deepen FOLDER -layers 32 DIR
//
// The last one copies a checkpoint and puts so many more layers into it, see synth.Deepen.
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
	flag.IntVar(&v.Vocab, "vocab", v.Vocab, "tokens of the vocabulary")
	shard := flag.Int64("shard", v.ShardBytes>>20, "MiB of a file")
	released := flag.Bool("released", false, "the shape of the released 671B model, with holes for data")
	deepen := flag.String("deepen", "", "a checkpoint that is to have -layers more layers, which add nothing to what it says")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	v.ShardBytes = *shard << 20
	if *released {
		v = synth.Released()
	}
	write := func() error { return v.Write(flag.Arg(0)) }
	if *deepen != "" {
		write = func() error { return synth.Deepen(flag.Arg(0), *deepen, v.Layers) }
	}
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "makev3:", err)
		os.Exit(1)
	}
}
