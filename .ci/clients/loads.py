"""Loads quern's outputs in transformers and compares logits with those of the float32
values that the codes stand for.

usage: loads.py QUERN SCRATCH CHECKPOINT…
"""
import os
import shutil
import subprocess
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
import transformers
from transformers import AutoModelForCausalLM

transformers.logging.set_verbosity_error()
ids = torch.arange(1, 65)[None]


def logits(folder, **how):
    m, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, output_loading_info=True, local_files_only=True, **how)
    lost = [k for key in ("missing_keys", "mismatched_keys") for k in info.get(key) or []]
    if lost:
        raise ValueError(f"{len(lost)} weights not loaded, {lost[0]} first")
    with torch.no_grad():
        return m.eval()(ids, use_cache=False).logits[0].float()


def ways(folder):
    """compressed-tensors decompresses by itself; FP8 has to be told."""
    import json

    method = json.load(open(os.path.join(folder, "config.json")))["quantization_config"]["quant_method"]
    if method == "fp8":
        return {"quantization_config": transformers.FineGrainedFP8Config(dequantize=True)}
    if method == "compressed-tensors":
        return {"quantization_config": transformers.CompressedTensorsConfig(run_compressed=False)}
    return {}


bad = 0
for folder in sys.argv[3:]:
    plain = os.path.join(sys.argv[2], "bf16")
    shutil.rmtree(plain, ignore_errors=True)
    subprocess.run([sys.argv[1], "convert", "--quiet", "--to", "bf16", folder, plain], check=True)
    try:
        a, b = logits(folder, **ways(folder)), logits(plain)
        text = f"largest difference of logits {(a - b).abs().max():.3g}"
        bad += not torch.equal(a, b)
    except Exception as e:  # a refusal is a result
        text, bad = f"{type(e).__name__}: {str(e).splitlines()[0][:200]}", bad + 1
    print(f"{os.path.basename(folder):34} {text}")
    shutil.rmtree(plain)
print(f"transformers {transformers.__version__}: {len(sys.argv) - 3} checkpoints, {bad} refused or other")
sys.exit(bad > 0)
