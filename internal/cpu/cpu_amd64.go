//go:build !noasm

package cpu

import (
	"github.com/klauspost/cpuid/v2"
	"golang.org/x/sys/cpu"
)

// What kernels in assembly may use. The levels are x86-64-v3 and v4 of the System V
// psABI, as far as vector code goes: processors have such a group whole or not at
// all, and one condition for all packages cannot differ between them.
var (
	// AVX2 says that AVX2, FMA, F16C, POPCNT and BMI2 are there.
	AVX2 = cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasF16C && cpu.X86.HasPOPCNT && cpu.X86.HasBMI2
	// AVX512 says that AVX2's group is there, and AVX-512 F, BW, DQ and VL.
	AVX512 = AVX2 && cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL
	// AVX512BF16 says that AVX512's group is there, and products of BF16 pairs.
	AVX512BF16 = AVX512 && cpu.X86.HasAVX512BF16
	// FastBF16 says that these are worth while: AMD's processors (Zen 4, family 25 model
	// 17, measured) multiply twice as many numbers with them as with float32, Intel's
	// (Emerald Rapids, measured) as many, for they issue them at half rate.
	FastBF16 = AVX512BF16 && cpuid.CPU.IsVendor(cpuid.AMD)
)
