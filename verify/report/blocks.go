package report

import (
	"quern/internal/page"
	"quern/verify"
)

// blocks says how many blocks of NVFP4 lie below what the scales of blocks hold.
func blocks(r *verify.Report) *section {
	x := r.LowBlocks
	if x == nil {
		return nil
	}
	s := &section{ID: "blocks", Title: "Blocks of NVFP4", Sum: percent(x.Share) + " below g/28672"}
	s.prose("The scale of a block is E4M3 times the scale of its tensor, which reaches g. Of a block whose largest weight lies more than 28,672 times below g it is subnormal: its weights have lost bits that another scale of the tensor would have kept. Blocks of nothing but zeros do not count.")
	t := newTable("", "", ">blocks", ">below g/28672", ">share")
	t.row("all", count(int(x.Blocks)), count(int(x.Low)), percent(x.Share))
	s.add(t.block())
	if x.Low > 0 {
		s.prose("Most are in " + page.Visible(x.Worst) + ", " + percent(x.WorstShare) + " of its blocks.")
	}
	return s
}
