package report

import (
	"cmp"
	"slices"

	"quern/internal/page"
	"quern/internal/svg"
	"quern/internal/ui"
	"quern/verify"
)

// totals are the bytes of the baseline and of the checkpoint.
func totals(sizes []verify.RoleSize) (before, after int64) {
	for _, s := range sizes {
		before, after = before+s.Baseline, after+s.Bytes
	}
	return before, after
}

// role is a cell that names one.
func role(name string) cell { return cell{Text: page.Visible(name), Class: "code short"} }

// sizes says what takes how much room.
func sizes(r *verify.Report) *section {
	before, after := totals(r.Sizes)
	if after == 0 {
		return nil
	}
	s := &section{ID: "sizes", Title: "Sizes", Sum: ui.Bytes(after)}
	if before > 0 {
		s.Sum += ", " + percent(float64(after)/float64(before)) + " of " + ui.Bytes(before)
	}
	roles := slices.Clone(r.Sizes)
	slices.SortStableFunc(roles, func(a, b verify.RoleSize) int {
		return cmp.Or(cmp.Compare(b.Baseline, a.Baseline), cmp.Compare(b.Bytes, a.Bytes))
	})
	if before == 0 {
		t := newTable("Bytes by role, scales with their weights", "role", ">size", ">share", "")
		total := verify.RoleSize{Role: "total", Bytes: after}
		for _, x := range append([]verify.RoleSize{total}, roles...) {
			part := float64(x.Bytes) / float64(after)
			t.row(role(x.Role), ui.Bytes(x.Bytes), percent(part), cell{Chart: bar(part), Class: "bar"}).Strong = x.Role == "total"
		}
		s.add(t.block())
		return s
	}
	t := newTable("Bytes by role, scales with their weights", "role", ">baseline", ">checkpoint", ">of baseline", "")
	t.Note = "Bars: baseline above in outline, checkpoint below filled."
	widest := max(before, after)
	sizeRow := func(x verify.RoleSize, strong bool, of int64) {
		ratio := none
		if x.Baseline > 0 {
			ratio = percent(float64(x.Bytes) / float64(x.Baseline))
		}
		b := svg.Bars{Bars: []svg.Bar{
			{Length: float64(x.Baseline) / float64(of), Kind: svg.Hollow},
			{Length: float64(x.Bytes) / float64(of), Kind: svg.Solid},
		}}
		t.row(role(x.Role), ui.Bytes(x.Baseline), ui.Bytes(x.Bytes), ratio, cell{Chart: b.HTML(), Class: "bar"}).Strong = strong
	}
	sizeRow(verify.RoleSize{Role: "total", Baseline: before, Bytes: after}, true, widest)
	for _, x := range roles {
		sizeRow(x, false, widest)
	}
	s.add(t.block())
	return s
}
