#!/usr/bin/env python3
"""Golden GPTQ and AWQ checkpoints, packed by GPTQModel's own layers.

Writes Tests/HalftoneCheckpointsTests/Golden/gptq and .../awq: one tiny Llama with random weights, rounded
to nearest here and packed by GPTQModel, with the weights that GPTQModel unpacks and the logits of
transformers with these weights.

    pip install gptqmodel==7.7.0 safetensors==0.8.0
    python gptq_awq_files.py [CASE ...]
"""
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
# tokenizers.py in this script's own folder would shadow the package.
OWN = Path(__file__).resolve().parent
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != OWN]

import torch
from gptqmodel.nn_modules.qlinear.torch_awq import AwqTorchLinear
from gptqmodel.nn_modules.qlinear.torch import TorchLinear
from gptqmodel.quantization.config import FORMAT, METHOD, QuantizeConfig
from gptqmodel.utils.model import convert_gptq_v2_to_v1_format_module
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

GOLDEN = Path(__file__).resolve().parents[2] / "Tests/HalftoneCheckpointsTests/Golden"
LAYER = "model.layers.0."
SHOWN = ["self_attn.k_proj", "mlp.down_proj"]


@dataclass
class Case:
    """`group` -1 is a whole row; `order` shuffles which columns share a group."""

    method: str
    bits: int = 4
    group: int = 32
    symmetric: bool = True
    order: bool = False
    version: int = 1
    dynamic: dict | None = None


CASES = {
    "gptq/v1-w4-group32-symmetric": Case("gptq"),
    "gptq/v1-w4-group32-asymmetric": Case("gptq", symmetric=False),
    "gptq/v2-w4-channel-symmetric": Case("gptq", group=-1, version=2),
    "gptq/v2-w4-group32-asymmetric": Case("gptq", symmetric=False, version=2),
    "gptq/v1-w4-activation-order": Case("gptq", order=True),
    "gptq/v1-w3-group32-asymmetric": Case("gptq", bits=3, symmetric=False),
    "gptq/v2-w3-group32-asymmetric": Case("gptq", bits=3, symmetric=False, version=2),
    "gptq/v1-w2-group32-asymmetric": Case("gptq", bits=2, symmetric=False),
    "gptq/v1-w8-channel-symmetric": Case("gptq", bits=8, group=-1),
    "gptq/v2-dynamic": Case("gptq", version=2, dynamic={
        r"+:.*\.mlp\..*": {"bits": 8, "group_size": -1},
        r"-:.*\.o_proj$": {},
    }),
    "awq/group32": Case("awq", symmetric=False),
    "awq/channel": Case("awq", group=-1, symmetric=False),
}


def random_model() -> LlamaForCausalLM:
    model = LlamaForCausalLM(LlamaConfig(
        hidden_size=64, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=96, vocab_size=32, max_position_embeddings=64,
        rms_norm_eps=1e-5, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2,
        rope_parameters=dict(rope_type="default", rope_theta=10000.0)))
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = 0.2 * torch.randn(parameter.shape, generator=generator)
            # Halves, as these files have, computed with in float32; not the rotary frequencies, which
            # model.half() would round, too.
            parameter.copy_((1 + noise if "norm" in name else noise).half())
    return model.eval()


def ids() -> torch.Tensor:
    return torch.randint(0, 32, (2, 12), generator=torch.Generator().manual_seed(8))


def grid(weight: torch.Tensor, bits: int, order: torch.Tensor, symmetric: bool):
    """Scales (halves) and zero points [out, groups] of the smallest range that holds each group."""
    scales, zeros = [], []
    top = 2 ** bits - 1
    for group in range(int(order.max()) + 1):
        part = weight[:, order == group]
        low, high = part.amin(1).clamp(max=0), part.amax(1).clamp(min=0)
        if symmetric:
            high = torch.maximum(-low, high)
            low = -high
        # No zero point of 0, which version 1 of GPTQ cannot hold.
        scale = ((high - low) / (top - (0 if symmetric else 1))).half().float()
        scales.append(scale)
        zeros.append(torch.full_like(scale, (top + 1) / 2) if symmetric
                     else (-low / scale).round().clamp(1, top))
    return torch.stack(scales, 1), torch.stack(zeros, 1)


def pack(case: Case, linear: torch.nn.Linear, bits: int, group: int, generator):
    columns = linear.in_features
    size = columns if group == -1 else group
    order = torch.arange(columns, dtype=torch.int32) // size
    if case.order:
        order = order[torch.randperm(columns, generator=generator)]
    scales, zeros = grid(linear.weight.data, bits, order, case.symmetric)
    wide = scales[:, order.long()], zeros[:, order.long()]
    codes = (linear.weight.data / wide[0] + wide[1]).round().clamp(0, 2 ** bits - 1)
    linear.weight.data = (codes - wide[1]) * wide[0]
    arguments = dict(bits=bits, group_size=group, sym=case.symmetric, desc_act=case.order,
                     in_features=columns, out_features=linear.out_features, bias=False)
    if case.method == "awq":
        packed = AwqTorchLinear(**arguments, pack_dtype=torch.int32, register_buffers=True)
        packed.pack(linear, scales.half(), zeros)
        names = ("qweight", "qzeros", "scales")
    else:
        packed = TorchLinear(**arguments, format=FORMAT.GPTQ_V2)
        packed.pack_original(linear, scales, zeros, order)
        names = ("qweight", "qzeros", "scales", "g_idx")
        if case.version == 1:
            convert_gptq_v2_to_v1_format_module(packed, QuantizeConfig(bits=bits, group_size=group))
    return {name: getattr(packed, name).contiguous().clone() for name in names}, codes


def quantize_config(case: Case) -> dict:
    if case.method == "awq":
        config = QuantizeConfig(bits=case.bits, group_size=case.group, sym=case.symmetric,
                                method=METHOD.AWQ, format=FORMAT.GEMM, desc_act=False)
    else:
        config = QuantizeConfig(
            bits=case.bits, group_size=case.group, sym=case.symmetric, desc_act=case.order,
            act_group_aware=False, dynamic=case.dynamic,
            format=FORMAT.GPTQ if case.version == 1 else FORMAT.GPTQ_V2)
    result = config.to_dict()
    result["quant_method"] = case.method
    result["meta"].pop("offload_to_disk_path", None)  # a path of this machine
    return json.loads(json.dumps(result, default=str))


@torch.no_grad()
def write_case(name: str, case: Case) -> None:
    model = random_model()
    generator = torch.Generator().manual_seed(9)
    config = quantize_config(case)
    rules = QuantizeConfig(bits=case.bits, group_size=case.group, dynamic=case.dynamic)
    tensors, codes = {}, {}
    for path, module in model.named_modules():
        if not isinstance(module, torch.nn.Linear) or path == "lm_head":
            continue
        if rules.dynamic_get(path) is False:
            continue
        bits = rules.dynamic_get(path, "bits", case.bits)
        group = rules.dynamic_get(path, "group_size", case.group)
        packed, codes[path] = pack(case, module, bits, group, generator)
        tensors.update({f"{path}.{key}": value for key, value in packed.items()})
    for key, value in model.state_dict().items():
        if key.removesuffix(".weight") not in codes and key != "lm_head.weight":
            tensors[key] = value.half()

    folder = GOLDEN / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    settings = model.config.to_dict()
    settings |= {"dtype": "float16", "quantization_config": config}
    (folder / "config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    found = {"ids": ids().int(), "logits": model(ids()).logits.contiguous()}
    for layer in SHOWN:
        path = LAYER + layer
        found[f"{path}.weight"] = model.get_submodule(path).weight.clone()
        found[f"{path}.codes"] = codes[path].to(torch.uint8)
    save_file(found, folder / "golden.safetensors")
    check(case, tensors, model, rules, codes)
    print(name, (folder / "model.safetensors").stat().st_size, "bytes")


def check(case: Case, tensors: dict, model, rules, codes) -> None:
    """What GPTQModel makes of the tensors is what was packed."""
    for path in codes:
        linear = model.get_submodule(path)
        arguments = dict(
            bits=rules.dynamic_get(path, "bits", case.bits),
            group_size=rules.dynamic_get(path, "group_size", case.group), sym=case.symmetric,
            desc_act=case.order, in_features=linear.in_features,
            out_features=linear.out_features, bias=False)
        if case.method == "awq":
            layer = AwqTorchLinear(**arguments, pack_dtype=torch.int32, register_buffers=True)
        else:
            layer = TorchLinear(**arguments, format=FORMAT.GPTQ_V2)
        for key in ("qweight", "qzeros", "scales", "g_idx"):
            if f"{path}.{key}" in tensors:
                layer.register_buffer(key, tensors[f"{path}.{key}"].clone())
        if case.method == "gptq" and case.version == 1:
            from gptqmodel.utils.model import convert_gptq_v1_to_v2_format_module
            convert_gptq_v1_to_v2_format_module(layer, arguments["bits"], torch.int32)
        layer.eval()
        if case.method == "gptq":
            found = layer.dequantize_weight().T
        else:
            found = layer(torch.eye(linear.in_features, dtype=torch.float16)).T
        assert torch.equal(found.half(), linear.weight.half()), path


if __name__ == "__main__":
    torch.set_num_threads(1)
    for case_name in sys.argv[1:] or CASES:
        write_case(case_name, CASES[case_name])
