# Makes scheme/testdata/mlx.safetensors: one matrix in each mode of MLX, and what MLX says
# that means in float32. Run by hand: pip install "mlx[cpu]==0.32.4" numpy
import sys

import mlx.core as mx
import numpy as np

rng = np.random.default_rng(7)
w = (rng.standard_normal((32, 128)) * 0.02).astype(np.float32)
w[3, :32] = 0
w[5, 7] = 1.5
w[6] *= 1e-3
w = mx.array(w).astype(mx.bfloat16)
forms = [("affine", 2, 32), ("affine", 3, 64), ("affine", 4, 64), ("affine", 5, 32), ("affine", 6, 64),
         ("affine", 8, 128), ("mxfp4", 4, 32), ("mxfp8", 8, 32), ("nvfp4", 4, 16)]
out = {}
for mode, bits, group in forms:
    q = list(mx.quantize(w, group_size=group, bits=bits, mode=mode))
    name = f"{mode}{bits}g{group}"
    for part, x in zip(("weight", "scales", "biases"), q):
        out[f"{name}.{part}"] = x
    if mode == "affine":  # in float32, as scales and biases of float32 are
        q[1:] = [x.astype(mx.float32) for x in q[1:]]
        out[name + ".expected"] = mx.dequantize(*q, group_size=group, bits=bits)
    else:
        out[name + ".expected"] = mx.dequantize(*q, group_size=group, bits=bits, mode=mode, dtype=mx.float32)
mx.save_safetensors(sys.argv[1], out, metadata={"format": "mlx"})
