"""Decodes quern's outputs by other people's code and compares with quern convert --to bf16.

usage: values.py QUERN SCRATCH CHECKPOINT…

  compressed-tensors  its own decompressors, by the config's group, and which modules it
                      takes for quantized by that config (match_quantizable_tensors)
  modelopt            ModelOpt's QTensor classes, by hf_quant_config.json
  fp8, mxfp8          compressed-tensors' FP8BlockDequantizer; ModelOpt's MXFP8QTensor
"""
import glob
import json
import os
import shutil
import subprocess
import sys

import missing
import torch
from safetensors.torch import load_file


def tensors(folder):
    out = {}
    for f in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
        out |= load_file(f)
    return out


def compressed_tensors(folder, t, q):
    from compressed_tensors.entrypoints.convert import CompressedTensorsDequantizer

    # 0.20.1 takes NVFP4's dynamic: "local" for inputs without a stored scale, and then finds
    # the scale that its own compressor writes too much.
    t = {k: v for k, v in t.items() if not k.endswith(".input_global_scale")}
    d = CompressedTensorsDequantizer(folder, dtype=torch.float32)
    return d.validate(t)


def modelopt(folder, t, q):
    missing.stand_in("modelopt", "transformer_engine", "megatron", "apex", "deepspeed", "peft", "diffusers", "tensorrt", "onnx")
    from modelopt.torch.quantization.qtensor import FP8QTensor, MXFP8QTensor, NVFP4QTensor

    h = json.load(open(os.path.join(folder, "hf_quant_config.json")))["quantization"]
    listed = h.get("quantized_layers")

    def algorithm(module):
        if listed is None:
            return None if module in h["exclude_modules"] else h["quant_algo"]
        bank = module.rpartition(".experts.")[0] + ".experts"
        return (listed.get(module) or listed.get(bank) or {}).get("quant_algo")

    out = {}
    for name in [n for n in t if n.endswith(".weight")]:
        module, w = name.removesuffix(".weight"), t.pop(name)
        algo = algorithm(module) if w.dim() == 2 else None
        if algo is None:
            out[name] = w
        elif algo == "NVFP4":
            shape = torch.Size([w.shape[0], 2 * w.shape[1]])
            out[name] = NVFP4QTensor(shape, torch.float32, w).dequantize(
                scale=t.pop(module + ".weight_scale"), double_scale=t.pop(module + ".weight_scale_2"), block_sizes={-1: 16})
        elif algo == "MXFP8":
            out[name] = MXFP8QTensor(w.shape, torch.float32, w).dequantize(scale=t.pop(module + ".weight_scale"))
        elif algo == "FP8":
            out[name] = FP8QTensor(w.shape, torch.float32, w).dequantize(scale=t.pop(module + ".weight_scale"))
        elif algo == "FP8_PB_WO":
            s = t.pop(module + ".weight_scale")
            padded = torch.nn.functional.pad(w.view(torch.uint8), (0, -w.shape[1] % 128, 0, -w.shape[0] % 128)).view(w.dtype)
            out[name] = FP8QTensor(w.shape, torch.float32, padded).dequantize(scale=s[:, 0, :, 0], block_sizes={0: 128, 1: 128})
        else:
            raise ValueError(f"{module}: {algo}")
        t.pop(module + ".input_scale", None)
    return out | t


def deepseek(folder, t, q):
    from compressed_tensors.entrypoints.convert import FP8BlockDequantizer

    spared = [m for m in q["modules_to_not_convert"]]
    d = FP8BlockDequantizer(ignore=spared, targets=["Linear"], weight_block_size=tuple(q["weight_block_size"]), dtype=torch.float32)
    return d.process({k: v for k, v in t.items() if not k.endswith("input_scale")})


def mxfp8(folder, t, q):
    missing.stand_in("modelopt", "transformer_engine", "megatron", "apex", "deepspeed", "peft", "diffusers", "tensorrt", "onnx")
    from modelopt.torch.quantization.qtensor import MXFP8QTensor

    out = {}
    for name in [n for n in t if n.endswith(".weight")]:
        module, w = name.removesuffix(".weight"), t.pop(name)
        if w.dim() == 2 and module not in q["modules_to_not_convert"]:
            w = MXFP8QTensor(w.shape, torch.float32, w).dequantize(scale=t.pop(module + ".weight_scale_inv"))
        out[name] = w
    return out | t


readers = {"compressed-tensors": compressed_tensors, "modelopt": modelopt, "modelopt_mixed": modelopt, "fp8": deepseek, "mxfp8": mxfp8}


def check(quern, scratch, folder):
    q = json.load(open(os.path.join(folder, "config.json")))["quantization_config"]
    plain = os.path.join(scratch, "bf16")
    shutil.rmtree(plain, ignore_errors=True)
    subprocess.run([quern, "convert", "--quiet", "--to", "bf16", folder, plain], check=True)
    want, stored = tensors(plain), tensors(folder)
    codes = sum(1 for k, v in stored.items() if k.endswith(("weight", "weight_packed")) and (v.element_size() == 1 or k.endswith("_packed")))
    got = readers[q["quant_method"]](folder, dict(stored), q)
    wrong = sorted((set(got) ^ set(want)) - {k for k in want if k.endswith(("input_scale", "input_global_scale"))})
    decoded = 0
    for k in set(got) & set(want):
        a = got[k].to(torch.bfloat16) if got[k].dtype == torch.float32 and want[k].dtype == torch.bfloat16 else got[k]
        if k in stored and torch.equal(stored[k].float(), want[k].float()) and stored[k].dtype == got[k].dtype:
            pass
        else:
            decoded += 1
        if a.dtype != want[k].dtype or a.shape != want[k].shape or not torch.equal(a, want[k]):
            wrong.append(f"{k}: {tuple(a.shape)} {a.dtype}, {int((a.float() != want[k].float()).sum()) if a.shape == want[k].shape else '?'} values differ")
    shutil.rmtree(plain)
    return codes, decoded, wrong


def main():
    quern, scratch, bad = sys.argv[1], sys.argv[2], 0
    for folder in sys.argv[3:]:
        name = os.path.basename(folder)
        try:
            codes, decoded, wrong = check(quern, scratch, folder)
        except Exception as e:  # a refusal of the client is a result
            codes = decoded = 0
            wrong = [f"{type(e).__name__}: {str(e)[:300]}"]
        print(f"{name:34} {codes} weights with codes, {decoded} decoded" + (", all values equal" if not wrong and codes == decoded else ""))
        for w in wrong[:4]:
            print("    ", w)
        bad += bool(wrong) or codes != decoded
    print(f"values: {len(sys.argv) - 3} checkpoints, {bad} refused or other")
    sys.exit(bad > 0)


main()
