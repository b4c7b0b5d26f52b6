"""What .ci/bench holds quern against, as far as it is installed.

gemm      numpy's float32 product, GFLOP/s of one thread, best of many: its OpenBLAS
          or MKL. OPENBLAS_NUM_THREADS=1 and MKL_NUM_THREADS=1 are the caller's.
logits    transformers' forward pass with logits over 20 texts of 512 tokens of the
          model in a folder, float32, tokens/s, best of several
"""

import sys
import time


def best(run, work, least, seconds):
    rates, start = [], time.perf_counter()
    while len(rates) < least or time.perf_counter() - start < seconds:
        t = time.perf_counter()
        run()
        rates.append(work / (time.perf_counter() - t))
    return max(rates)


def gemm(rows, out, width):
    import numpy as np

    x = np.random.default_rng(1).standard_normal((rows, width), dtype=np.float32)
    w = np.random.default_rng(2).standard_normal((out, width), dtype=np.float32)
    y = np.empty((rows, out), dtype=np.float32)
    return best(lambda: np.matmul(x, w.T, out=y), 2e-9 * rows * out * width, 20, 2)


def logits(folder, threads):
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    texts = torch.randint(0, model.config.vocab_size, (20, 512))

    def run():
        with torch.no_grad():
            for text in texts:
                model(text[None], use_cache=False)

    return best(run, texts.numel(), 3, 5)


if sys.argv[1] == "gemm":
    print(f"{gemm(*map(int, sys.argv[2:5])):.1f}")
else:
    print(f"{logits(sys.argv[2], int(sys.argv[3])):.0f}")
