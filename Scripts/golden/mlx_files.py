#!/usr/bin/env python3
"""Golden MLX checkpoints, quantized and saved by mlx-lm.

Writes Tests/HalftoneCheckpointsTests/Golden/mlx: one tiny Llama with random weights in every mode, with
the weights that mlx dequantizes and the logits that transformers gets with these in float32.

    pip install 'mlx[cpu]==0.32.4' mlx-lm==0.32.2 torch transformers safetensors
    python mlx_files.py [CASE ...]
"""
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

# tokenizers.py in this script's own folder would shadow the package.
OWN = Path(__file__).resolve().parent
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != OWN]

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import torch
from mlx_lm.utils import load_model, quantize_model, save_config, save_model
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

GOLDEN = Path(__file__).resolve().parents[2] / "Tests/HalftoneCheckpointsTests/Golden/mlx"
LAYER = "model.layers.0."
SHOWN = ["model.embed_tokens", LAYER + "self_attn.k_proj", LAYER + "mlp.down_proj"]


@dataclass
class Case:
    """`intermediate` 84 leaves down_proj unquantized, whose rows no group divides."""

    mode: str = "affine"
    bits: int | None = None
    group: int | None = None
    dtype: torch.dtype = torch.float32
    intermediate: int = 96
    overrides: dict = field(default_factory=dict)


CASES = {
    "affine-w2-group32": Case(bits=2, group=32),
    "affine-w3-group32-bf16": Case(bits=3, group=32, dtype=torch.bfloat16),
    "affine-w4-group64-f16": Case(bits=4, group=64, dtype=torch.float16, intermediate=128),
    "affine-w4-group32-partly": Case(bits=4, group=32, intermediate=84),
    "affine-w5-group32": Case(bits=5, group=32),
    "affine-w6-group32": Case(bits=6, group=32),
    "affine-w8-group32": Case(bits=8, group=32),
    "mxfp4": Case(mode="mxfp4"),
    "mxfp8": Case(mode="mxfp8"),
    "nvfp4": Case(mode="nvfp4"),
    "mixed": Case(bits=4, group=32, overrides={
        "mlp.down_proj": {"group_size": 32, "bits": 8, "mode": "affine"},
        "self_attn.k_proj": {"group_size": 32, "bits": 4, "mode": "mxfp4"},
        "self_attn.o_proj": False,
    }),
}


def random_model(case: Case) -> LlamaForCausalLM:
    model = LlamaForCausalLM(LlamaConfig(
        hidden_size=64, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=case.intermediate, vocab_size=32, max_position_embeddings=64,
        rms_norm_eps=1e-5, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2,
        rope_parameters=dict(rope_type="default", rope_theta=10000.0)))
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = 0.2 * torch.randn(parameter.shape, generator=generator)
            # Not model.to(dtype), which would round the rotary frequencies, too.
            parameter.copy_((1 + noise if "norm" in name else noise).to(case.dtype))
    return model.eval()


def ids() -> torch.Tensor:
    return torch.randint(0, 32, (2, 12), generator=torch.Generator().manual_seed(8))


def dequantized(module) -> np.ndarray:
    """In float32, also where scales are halves."""
    biases = module.get("biases")
    return np.array(mx.dequantize(
        module.weight, module.scales.astype(mx.float32) if biases is not None else module.scales,
        biases.astype(mx.float32) if biases is not None else None, module.group_size, module.bits,
        mode=module.mode, dtype=mx.float32))


@torch.no_grad()
def write_case(name: str, case: Case) -> None:
    torch_model = random_model(case)
    folder = GOLDEN / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as original:
        random_model(case).to(case.dtype).save_pretrained(original)
        model, config = load_model(Path(original))

    def predicate(path, module):
        for suffix, entry in case.overrides.items():
            if path.endswith(suffix):
                return entry
        return True

    model, config = quantize_model(
        model, config, case.group, case.bits, mode=case.mode,
        quant_predicate=predicate if case.overrides else None)
    save_model(folder, model)
    (folder / "model.safetensors.index.json").unlink(missing_ok=True)
    save_config(config, folder / "config.json")

    found = {}
    quantized = (nn.QuantizedLinear, nn.QuantizedEmbedding)
    for path, module in model.named_modules():
        if isinstance(module, quantized):
            weight = torch.from_numpy(dequantized(module))
            torch_model.get_submodule(path).weight.data = weight
            if path in SHOWN:
                found[path + ".weight"] = weight.clone()
    torch_model.tie_weights()
    found["ids"] = ids().int()
    found["logits"] = torch_model(ids()).logits.contiguous()
    save_file(found, folder / "golden.safetensors")
    if case.dtype == torch.float32:
        own = np.array(model(mx.array(ids().numpy())).astype(mx.float32))
        change = np.abs(own - found["logits"].numpy()).max()
        print(name, f"mlx's own logits differ by {change:.1e}", end="; ")
    print(name, (folder / "model.safetensors").stat().st_size, "bytes")


if __name__ == "__main__":
    torch.set_num_threads(1)
    mx.set_default_device(mx.cpu)
    for case_name in sys.argv[1:] or CASES:
        write_case(case_name, CASES[case_name])
