# Makes scheme/testdata/packed.safetensors: one small matrix as AutoAWQ, AutoGPTQ and
# GPTQModel pack it, and what each says that means, by its own code on the processor.
# Run by hand: .ci/clients/run forms FILE (it installs autoawq 0.2.9, auto-gptq 0.7.1 and
# gptqmodel 7.7.0; neither needs its kernels for this).
import sys

import missing

for client in ("awq", "auto_gptq", "gptqmodel"):
    missing.stand_in(client, "bitblas", "marlin", "triton", "intel_extension_for_pytorch")
import torch
from safetensors.torch import save_file

# AutoGPTQ and AutoAWQ ended before this transformers: their models do not load with it
missing.bare("auto_gptq", "auto_gptq.nn_modules", "auto_gptq.nn_modules.qlinear", "awq", "awq.modules", "awq.modules.linear")
from auto_gptq.nn_modules.qlinear.qlinear_cuda import QuantLinear
from auto_gptq.nn_modules.qlinear.qlinear_cuda_old import QuantLinear as OldQuantLinear
from awq.modules.linear.gemm import WQLinear_GEMM
from awq.utils.packing_utils import dequantize_gemm
from gptqmodel.nn_modules.qlinear.torch import TorchLinear
from gptqmodel.quantization import FORMAT

ROWS, COLS, GROUP = 32, 32, 16
torch.manual_seed(7)
weight = torch.randn(ROWS, COLS) * 0.02
weight[3, :16] = 0
weight[5, 7] = 1.5
weight[6] *= 1e-3


def linear(bits, s, z, order):
    """The matrix on the grid, as these packages' quantizers leave it to be packed."""
    s, z = s[:, order], z[:, order]
    m = torch.nn.Linear(COLS, ROWS, bias=False)
    m.weight.data = s * ((weight / s + z).round().clamp(0, 2**bits - 1) - z)
    return m


def settings(bits, order):
    """Scales and zero points [out, groups] of float16, by the least and largest weight of
    the inputs that each group has."""
    scales, zeros = [], []
    for g in range(COLS // GROUP):
        w = weight[:, order == g]
        low, high = w.amin(1).clamp(max=-1e-4), w.amax(1).clamp(min=1e-4)
        s = ((high - low) / (2**bits - 1)).half().float()
        scales.append(s)
        zeros.append((-low / s).round().clamp(1, 2**bits - 1))
    return torch.stack(scales, 1), torch.stack(zeros, 1)


plain = torch.arange(COLS) // GROUP
mixed = plain[torch.randperm(COLS)]
out = {}


def put(name, module, expected, *parts):
    for part in parts:
        out[f"{name}.{part}"] = getattr(module, part).detach().clone().contiguous()
    out[f"{name}.scales"] = out[f"{name}.scales"].half()
    out[f"{name}.expected"] = expected.float().t().contiguous()  # [out, in]


s, z = settings(4, plain)
m = WQLinear_GEMM.from_linear(linear(4, s, z, plain), 4, GROUP, scales=s.t().contiguous(), zeros=z.t().contiguous())
put("awq4", m, dequantize_gemm(m.qweight, m.qzeros, m.scales.float(), 4, GROUP), "qweight", "qzeros", "scales")

for bits in (4, 8):
    for name, order in (("", plain), ("order", mixed)):
        s, z = settings(bits, order)
        kind = QuantLinear if name else OldQuantLinear
        m = kind(bits, GROUP, COLS, ROWS, False, weight_dtype=torch.float32)
        m.pack(linear(bits, s, z, order), s.clone(), z.clone(), order.to(torch.int32))
        put(f"gptq{bits}{name}", m, m(torch.eye(COLS)), "qweight", "qzeros", "scales", "g_idx")

for bits in (2, 4, 8):
    s, z = settings(bits, mixed)
    m = TorchLinear(bits=bits, group_size=GROUP, sym=False, desc_act=True, in_features=COLS, out_features=ROWS,
                    pack_dtype=torch.int32, format=FORMAT.GPTQ_V2)
    m.pack(linear(bits, s, z, mixed), s.clone(), z.clone(), mixed.to(torch.int32))
    m.scales = m.scales.float()
    put(f"gptqv2{bits}order", m, m.eval().dequantize_weight(), "qweight", "qzeros", "scales", "g_idx")

for k, v in out.items():
    if k.endswith("expected"):  # they did pack this matrix
        name = k.split(".")[0]
        step = out[name + ".scales"].float().amax()
        assert (v - weight).abs().amax() <= step, (k, (v - weight).abs().amax(), step)
save_file(out, sys.argv[1], metadata={"format": "pt"})
