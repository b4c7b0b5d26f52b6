package ptx

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

// kernel makes a module of a body with registers to spare.
func kernel(t *testing.T, body string) *Entry {
	t.Helper()
	m, err := Parse(`.version 6.0
.target sm_60
.address_size 64
.const .align 4 .b8 table[8] = {1, 0, 0, 0,
	2, 0, 0, 0};
.visible .entry k(
	.param .u64 k_param_0,
	.param .u32 k_param_1
)
.maxntid 64, 1, 1
{
	.reg .pred 	%p<4>;
	.reg .f32 	%f<8>;
	.reg .b32 	%r<8>;
	.reg .b64 	%rd<8>;
	.shared .align 4 .b8 room[256];
	ld.param.u64 	%rd1, [k_param_0];
	ld.param.u32 	%r1, [k_param_1];
	cvta.to.global.u64 	%rd2, %rd1;
	mov.u32 	%r2, %tid.x;
	mul.wide.u32 	%rd3, %r2, 4;
	add.s64 	%rd4, %rd2, %rd3;
` + body + `
	ret;
}
`)
	if err != nil {
		t.Fatal(err)
	}
	return m.Entries["k"]
}

// run runs it with 64 threads and a word for each.
func run(t *testing.T, body string, arg uint64) ([]uint32, error) {
	t.Helper()
	var mem Memory
	at := mem.Alloc(256)
	err := kernel(t, body).Run(&mem, 1, 64, []uint64{at, arg})
	out := make([]uint32, 64)
	for i := range out {
		out[i] = binary.LittleEndian.Uint32(mem.Bytes(at+uint64(4*i), 4))
	}
	return out, err
}

// Threads part and meet again, exchange numbers past a barrier, and read constants.
func TestRun(t *testing.T) {
	out, err := run(t, `
	mov.u64 	%rd5, room;
	add.s64 	%rd5, %rd5, %rd3;
	and.b32 	%r3, %r2, 1;
	setp.eq.s32 	%p1, %r3, 0;
	@%p1 bra 	$EVEN;
	mul.lo.s32 	%r4, %r2, 10;
	bra.uni 	$BOTH;
$EVEN:
	ld.const.u32 	%r4, [table+4];
$BOTH:
	st.shared.u32 	[%rd5], %r4;
	bar.sync 	0;
	xor.b32 	%r5, %r2, 1;
	mul.wide.u32 	%rd6, %r5, 4;
	mov.u64 	%rd7, room;
	add.s64 	%rd7, %rd7, %rd6;
	ld.shared.u32 	%r6, [%rd7];
	add.s32 	%r6, %r6, %r1;
	@!%p1 add.s32 	%r6, %r6, 1000;
	st.global.u32 	[%rd4], %r6;`, 5)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range out {
		want := uint32((i+1)*10 + 5)
		if i%2 == 1 {
			want = 2 + 5 + 1000
		}
		if got != want {
			t.Errorf("thread %d: %d, want %d", i, got, want)
		}
	}
}

func TestFaults(t *testing.T) {
	const own = `
	mov.u64 	%rd5, room;
	add.s64 	%rd5, %rd5, %rd3;
	st.shared.u32 	[%rd5], %r2;
`
	for _, c := range []struct{ body, want string }{
		{"st.global.u32 [%rd4+4], %r2;", "thread 63: 4 bytes at"},
		{"st.global.u32 [%rd4+2], %r2;", "no multiple of 4"},
		{"st.global.v2.u32 [%rd4], {%r2, %r2};", "no multiple of 8"},
		{"ld.shared.u32 %r3, [room];", "nobody has written"},
		{own + "ld.shared.u32 %r3, [room];", "threads 0 and 1 touch 0 with no barrier between"},
		{"st.shared.u32 [room], %r2;", "threads 0 and 1 touch 0"},
		{own + "bar.sync 0; \n ld.shared.u32 %r3, [room];\n st.shared.u32 [%rd5], %r2;", "thread 0 writes 0, which -1 read with no barrier between"},
		{"st.shared.u32 [room+256], %r2;", "shared memory: 4 bytes at 256 of 256"},
		{"ld.const.u32 %r3, [table+8];", "constant at 8"},
		{"add.f32 %f1, %f1, %f2;", "unknown instruction"},
		{"mul.ftz.f32 %f1, %f1, %f2;", "unknown instruction"},
		{"mov.u32 %r9, %r1;", `unknown operand "%r9"`},
		{"bra $NOWHERE;", "no such label"},
	} {
		if _, err := run(t, c.body, 0); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.body, err, c.want)
		}
	}
	if err := kernel(t, "").Run(new(Memory), 1, 65, []uint64{0, 0}); err == nil || !strings.Contains(err.Error(), "at most 64") {
		t.Error(err)
	}
}

// fma rounds once, as big.Float does.
func TestFMA(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 200000 {
		a, b := math.Float32frombits(r.Uint32()), math.Float32frombits(r.Uint32())
		c := float32(-float64(a) * float64(b)) // where most cancels
		switch i % 3 {
		case 0:
			c = math.Float32frombits(math.Float32bits(c) + r.Uint32N(64) - 32)
		case 1:
			c *= r.Float32() * 0x1p-20
		}
		if bad(a) || bad(b) || bad(c) {
			continue
		}
		exact := new(big.Float).SetPrec(600).SetFloat64(float64(a))
		exact.Mul(exact, new(big.Float).SetPrec(600).SetFloat64(float64(b)))
		exact.Add(exact, new(big.Float).SetPrec(600).SetFloat64(float64(c)))
		want, _ := exact.Float32()
		if got := fma(a, b, c); got != want {
			t.Fatalf("%g*%g+%g: %g, want %g", a, b, c, got, want)
		}
	}
}

func bad(x float32) bool { return math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) }
