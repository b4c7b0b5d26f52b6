"""Asks the config classes of vLLM or SGLang, as they are in the wheels, how each module of
a checkpoint is written, and compares that with the tensors.

usage: engines.py vllm|sglang CHECKPOINT…

Both sources of the config are asked: quantization_config in config.json, and
hf_quant_config.json where there is one. Modules have the engines' names: experts of a
layer are one, and so are projections that they fuse. Kernels are not made: a method of
the engine stands for itself by its name.
"""
import glob
import json
import os
import sys

import torch
from safetensors import safe_open

import missing

engine = sys.argv[1]
# what an engine asks of these is whether they are there
missing.stand_in(engine, "flashinfer", "deep_gemm", "triton_kernels", "flash_attn", "torch_xla", "torch_npu", "torch_musa",
                 "intel_extension_for_pytorch", "pplx_kernels", "libtpu", "amdsmi", "zentorch", "habana_frameworks")


def named(name):
    """A class that is nothing but its name."""
    return type(name, (), {"__init__": lambda self, *a, **k: None, "scheme": name})


def bare_layer(kind, **fields):
    layer = kind.__new__(kind)
    torch.nn.Module.__init__(layer)
    for k, v in fields.items():
        object.__setattr__(layer, k, v)
    return layer


def replace(*modules):
    """Kernels' classes of modules by their names."""
    for m in modules:
        for k, v in list(vars(m).items()):
            if isinstance(v, type) and k.endswith(("Method", "FusedMoE")) and k not in ("FusedMoE", "CompressedTensorsMoEMethod"):
                setattr(m, k, named(k))
            elif isinstance(v, type) and isinstance(vars(v).get("FusedMoEMethodCls"), type):
                v.FusedMoEMethodCls = named(v.FusedMoEMethodCls.__name__)


if engine == "vllm":
    from vllm.model_executor.layers.linear import ReplicatedLinear
    from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS, fp8, get_quantization_config, modelopt, mxfp4
    from vllm.model_executor.layers.quantization.compressed_tensors import compressed_tensors as ct

    replace(fp8, modelopt, mxfp4)
    modelopt.build_linear_method = lambda config, algo, prefix: named(algo)()
    linear = lambda: bare_layer(ReplicatedLinear)
    experts = lambda: bare_layer(modelopt.RoutedExperts, moe_config=None, ckpt_gate_proj_name="gate_proj",
                                 ckpt_up_proj_name="up_proj", ckpt_down_proj_name="down_proj")
    fused = {"gate_up_proj": ["gate_proj", "up_proj"], "fused_qkv_a_proj": ["q_a_proj", "kv_a_proj_with_mqa"]}
    translated = lambda q: q
else:
    from sglang.srt.layers.linear import ReplicatedLinear
    from sglang.srt.layers.moe.fused_moe_triton import FusedMoE
    from sglang.srt.layers.quantization import QUANTIZATION_METHODS, fp8, get_quantization_config, modelopt_quant, mxfp4
    from sglang.srt.layers.quantization.compressed_tensors import compressed_tensors as ct

    replace(fp8, modelopt_quant, mxfp4)
    linear = lambda: bare_layer(ReplicatedLinear)
    experts = lambda: bare_layer(FusedMoE, use_triton_kernels=False, use_flashinfer_trtllm_moe=False)
    fused = {"gate_up_proj": ["gate_proj", "up_proj"], "fused_qkv_a_proj_with_mqa": ["q_a_proj", "kv_a_proj_with_mqa"]}
    from sglang.srt.configs.model_config import ModelConfig

    def translated(q):
        """What SGLang makes of ModelOpt's configs before it chooses."""
        return ModelConfig._parse_modelopt_quant_config(None, q) if q["quant_method"] == "modelopt" else q


def stored(folder):
    """By module, in which scheme its weight is."""
    t = {}
    for f in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
        with safe_open(f, "pt") as s:
            for k in s.keys():
                x = s.get_slice(k)
                t[k] = x.get_dtype(), x.get_shape()
    out = {}
    for k, (dtype, shape) in t.items():
        module, _, param = k.rpartition(".")
        if param == "weight_packed":
            out[module] = {"U8": "mxfp4" if module + ".weight_global_scale" not in t else "nvfp4", "I32": "int4"}[dtype]
        if param != "weight" or len(shape) != 2:
            continue
        scale = t.get(module + ".weight_scale_inv", t.get(module + ".weight_scale"))
        if scale is None:
            out[module] = "kept"
        elif module + ".weight_scale_2" in t:
            out[module] = "nvfp4"
        elif scale[0] == "U8":
            out[module] = "mxfp8"
        elif scale[1] in ([], [1]):
            out[module] = "fp8-tensor"
        elif scale[1] == [shape[0], 1]:
            out[module] = "fp8-channel"
        else:
            out[module] = "fp8"
    return out


def engine_modules(of):
    """By the engine's name, whether it is a bank of experts, and the schemes of its parts."""
    out = {}
    for module, s in of.items():
        head, _, last = module.rpartition(".")
        if last in ("embed_tokens", "lm_head", "head", "gate", "eh_proj", "enorm", "hnorm"):
            continue  # engines make no linear of theirs by the config for these
        if ".experts." in module:
            out.setdefault(head.rpartition(".")[0], [True, set()])[1].add(s)
            continue
        for name, parts in fused.items():
            if last in parts:
                last = name
        out.setdefault(f"{head}.{last}", [False, set()])[1].add(s)
    return out


def args(scheme):
    """A scheme of compressed-tensors in our words."""
    w = scheme["weights"] if scheme else None
    if w is None:
        return "kept"
    text = lambda x: getattr(x, "value", x)
    return {("float", 8, "block", None): "fp8", ("float", 8, "channel", None): "fp8-channel", ("float", 8, "tensor", None): "fp8-tensor",
            ("float", 8, "group", 32): "mxfp8", ("float", 4, "group", 32): "mxfp4", ("int", 4, "group", 32): "int4",
            ("float", 4, "tensor_group", 16): "nvfp4"}.get((text(w.type), w.num_bits, text(w.strategy), w.group_size), str(w))


# the engines' methods, and what vLLM's linear method is built by
words = {"NVFP4": "nvfp4", "FP8": "fp8-tensor", "FP8_PB_WO": "fp8", "MXFP8": "mxfp8", "ModelOptFp8LinearMethod": "fp8-tensor", "ModelOptFp8MoEMethod": "fp8-tensor",
         "ModelOptNvFp4FusedMoE": "nvfp4", "ModelOptFp4LinearMethod": "nvfp4", "ModelOptNvFp4FusedMoEMethod": "nvfp4", "ModelOptMxFp8FusedMoE": "mxfp8",
         "NoneType": "kept"}


def verdict(config, name, bank):
    layer = experts() if bank else linear()
    if isinstance(config, ct.CompressedTensorsConfig):
        if not bank:
            return args(config.get_scheme_dict(layer, name))
        config._add_fused_moe_to_target_scheme_map()
        parts = {args(config.get_scheme_dict(layer, f"{name}.0.{p}")) for p in ("gate_proj", "up_proj", "down_proj")}
        return "/".join(sorted(parts))
    method = type(config.get_quant_method(layer, name)).__name__
    if method.startswith("Unquantized"):
        return "kept"
    if method in ("Fp8LinearMethod", "Fp8MoEMethod"):
        block = getattr(config, "weight_block_size", None) or [128, 128]  # of a mix: its own entry
        return "mxfp8" if list(block) == [1, 32] else "fp8"
    return words.get(method, method)


def chosen(q):
    """The method that the engine takes for a config."""
    q = translated(q) or q
    name = q["quant_method"]
    for n in QUANTIZATION_METHODS:
        try:
            cls = get_quantization_config(n)
            got = cls.override_quantization_method(q, None)
        except Exception:
            continue
        if got:
            return got
    return name


def check(folder):
    of = stored(folder)
    q = json.load(open(os.path.join(folder, "config.json")))["quantization_config"]
    sources = {"config.json": q}
    beside = os.path.join(folder, "hf_quant_config.json")
    if os.path.exists(beside):
        sources["hf_quant_config.json"] = json.load(open(beside))
    name, wrong = chosen(q), []
    for source, raw in sources.items():
        raw = json.loads(json.dumps(raw))
        raw["packed_modules_mapping"] = fused  # as SGLang's loader adds it
        try:
            config = get_quantization_config(name).from_config(raw)
        except Exception as e:
            wrong.append(f"{source}: {type(e).__name__}: {str(e)[:300]}")
            continue
        config.packed_modules_mapping = fused
        for module, (bank, schemes) in sorted(engine_modules(of).items()):
            try:
                got = verdict(config, module, bank)
            except Exception as e:
                got = f"{type(e).__name__}: {str(e)[:200]}"
            if schemes != {got}:
                wrong.append(f"{source}: {module} is {'/'.join(sorted(schemes))}, {engine} takes {got}")
    return name, len(engine_modules(of)), len(sources), wrong


bad = 0
for folder in sys.argv[2:]:
    name, n, sources, wrong = check(folder)
    print(f"{engine:6} {os.path.basename(folder):34} {name}: {n} modules, {sources} source{'s'[:sources - 1]}, {len(wrong)} other verdicts")
    for w in wrong[:4]:
        print("    ", w)
    bad += bool(wrong)
print(f"{engine}: {len(sys.argv) - 2} checkpoints, {bad} refused or other")
sys.exit(bad > 0)
