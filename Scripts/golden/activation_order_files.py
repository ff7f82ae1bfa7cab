#!/usr/bin/env python3
"""A golden compressed-tensors checkpoint whose groups are in activation order.

Releases of compressed-tensors before August 2026 wrote `actorder: group` with `weight_g_idx`; 0.20.0
refuses it, so this needs an older one. Writes
Tests/HalftoneCheckpointsTests/Golden/compressed-tensors/w4-group32-activation-order: a tiny Llama with
random weights in a random order of columns, packed and unpacked by the library, and the logits of
transformers with the unpacked weights.

    pip install -r requirements.txt
    pip install --target older --no-deps compressed-tensors==0.12.2
    PYTHONPATH=older python activation_order_files.py
"""
import json
import shutil
import sys
from pathlib import Path

# tokenizers.py in this script's own folder would shadow the package.
OWN = Path(__file__).resolve().parent
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != OWN]

import torch
from compressed_tensors import __version__
from compressed_tensors.compressors import PackedQuantizationCompressor
from compressed_tensors.quantization import (
    QuantizationArgs,
    QuantizationConfig,
    QuantizationScheme,
)
from compressed_tensors.quantization.lifecycle.forward import quantize
from compressed_tensors.quantization.utils import calculate_qparams
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

GOLDEN = (Path(__file__).resolve().parents[2]
          / "Tests/HalftoneCheckpointsTests/Golden/compressed-tensors")
NAME = "w4-group32-activation-order"
LAYER = "model.layers.0."
SHOWN = ["self_attn.k_proj", "mlp.down_proj"]


def random_model() -> LlamaForCausalLM:
    """That of compressed_tensors_files.py, with rows of whole groups and words."""
    model = LlamaForCausalLM(LlamaConfig(
        hidden_size=64, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=96, vocab_size=32, max_position_embeddings=64,
        rms_norm_eps=1e-5, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2,
        rope_parameters=dict(rope_type="default", rope_theta=10000.0)))
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = 0.2 * torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + noise if "norm" in name else noise)
    return model.eval()


@torch.no_grad()
def main() -> None:
    model = random_model()
    generator = torch.Generator().manual_seed(9)
    arguments = QuantizationArgs(
        num_bits=4, strategy="group", group_size=32, symmetric=True, actorder="group")
    scheme = QuantizationScheme(targets=["Linear"], weights=arguments, format="pack-quantized")
    compressor = PackedQuantizationCompressor()
    tensors, codes = {}, {}
    for path, module in model.named_modules():
        if not isinstance(module, torch.nn.Linear) or path == "lm_head":
            continue
        weight, columns = module.weight.data, module.in_features
        order = torch.arange(columns, dtype=torch.int32) // 32
        order = order[torch.randperm(columns, generator=generator)]
        sorted_weight = weight[:, torch.argsort(order, stable=True)].unflatten(-1, (-1, 32))
        scale, zero = calculate_qparams(*torch.aminmax(sorted_weight, dim=-1), arguments)
        # Halves, so that files of GPTQ hold them as they are.
        scale = scale.half().float()
        codes[path] = quantize(weight, scale, zero, arguments, dtype=torch.int8, g_idx=order)
        stored = compressor.compress_weight(
            weight=weight, scale=scale, zero_point=zero, g_idx=order, quantization_args=arguments)
        stored |= {"weight_scale": scale, "weight_g_idx": order}
        module.weight.data = compressor.decompress_weight(dict(stored), arguments)
        tensors |= {f"{path}.{key}": value.contiguous() for key, value in stored.items()}
    for key, value in model.state_dict().items():
        if key.removesuffix(".weight") not in codes and key != "lm_head.weight":
            tensors[key] = value

    folder = GOLDEN / NAME
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = QuantizationConfig(
        config_groups={"group_0": scheme}, ignore=["lm_head"], format="pack-quantized",
        quantization_status="compressed").to_dict()
    settings = model.config.to_dict() | {
        "dtype": "float32",
        "quantization_config": config | {"version": __version__}}
    (folder / "config.json").write_text(
        json.dumps(settings, indent=2, sort_keys=True, default=str) + "\n")
    ids = torch.randint(0, 32, (2, 12), generator=torch.Generator().manual_seed(8))
    found = {"ids": ids.int(), "logits": model(ids).logits.contiguous()}
    for layer in SHOWN:
        path = LAYER + layer
        found[f"{path}.weight"] = model.get_submodule(path).weight.clone()
        found[f"{path}.codes"] = (codes[path] + 8).to(torch.uint8)
    save_file(found, folder / "golden.safetensors")
    for key, value in sorted(tensors.items()):
        if SHOWN[0] in key:
            print(key, value.dtype, list(value.shape))
    print((folder / "model.safetensors").stat().st_size, "bytes, compressed-tensors", __version__)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
