"""Loads a compressed-tensors checkpoint for inference in a floating-point type.

Through transformers where that works, because that is what users have. Version 5.23 cannot load
packed weights with zero points (it expects them unpacked and reports a shape mismatch), and runs
floats in groups in bfloat16 only; those are loaded with nothing but the decompressors of the
compressed-tensors library. Both ways quantize the inputs of a layer where the checkpoint says so.
The decompressors give floats in groups as bfloat16: exact where scales are powers of two, rounded
to 8 bits in NVFP4.
"""
import json
from pathlib import Path

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.compressors.format import infer_module_format
from compressed_tensors.quantization import (
    QuantizationConfig,
    QuantizationStatus,
    apply_quantization_config,
)
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM


def load(folder: Path, dtype: torch.dtype = torch.float32, attention: str = "eager"):
    """The model and the name of the way that loaded it."""
    in_bfloat16 = any(format.startswith(("nvfp", "mxfp")) for format in formats(folder))
    if has_packed_zero_points(folder) or in_bfloat16 and dtype != torch.bfloat16:
        return load_with_decompressors(folder, dtype, attention), "compressed-tensors"
    return load_with_transformers(folder, dtype, attention), "transformers"


def formats(folder: Path) -> list[str]:
    config = json.loads((folder / "config.json").read_text()).get("quantization_config", {})
    groups = config.get("config_groups", {}).values()
    return [group.get("format") or config.get("format") or "dense" for group in groups]


def has_packed_zero_points(folder: Path) -> bool:
    config = json.loads((folder / "config.json").read_text()).get("quantization_config", {})
    groups = config.get("config_groups", {}).values()
    return any(
        (group.get("format") or config.get("format")) == "pack-quantized"
        and not (group.get("weights") or {}).get("symmetric", True) for group in groups)


def load_with_transformers(folder: Path, dtype: torch.dtype, attention: str = "eager"):
    model, report = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation=attention, output_loading_info=True)
    problems = {key: found for key, found in report.items() if found}
    if problems:
        raise SystemExit(f"{folder} was not loaded completely: {problems}")
    return model.eval()


def load_with_decompressors(folder: Path, dtype: torch.dtype, attention: str = "eager"):
    config = AutoConfig.from_pretrained(folder)
    quantization = QuantizationConfig.model_validate(config.quantization_config)
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=attention)
    apply_quantization_config(model, quantization, show_progress=False)

    tensors = {name: tensor.to(dtype) if tensor.is_floating_point() and tensor.itemsize > 1
               else tensor for name, tensor in read_tensors(folder).items()}
    complete = set()
    with torch.no_grad():
        for path, module in model.named_modules():
            scheme = getattr(module, "quantization_scheme", None)
            if scheme is None or scheme.weights is None:
                continue
            stored = {name: tensors.pop(f"{path}.{name}") for name in
                      [n.removeprefix(f"{path}.") for n in tensors if n.startswith(f"{path}.")]}
            layout = scheme.format or quantization.format or infer_module_format(
                type(module), scheme)
            compressor = BaseCompressor.get_value_from_registry(getattr(layout, "value", layout))
            stored = compressor.decompress(stored, scheme)
            for name in ("weight", "bias", "input_scale", "input_zero_point", "input_global_scale"):
                if name in stored:
                    getattr(module, name).data = stored[name].to(dtype)
            module.quantization_status = QuantizationStatus.DECOMPRESSED
            complete.update(f"{path}.{name}" for name, _ in module.named_parameters())
        report = model.load_state_dict(tensors, strict=False)
    tied = set(model.all_tied_weights_keys) if model.config.tie_word_embeddings else set()
    missing = set(report.missing_keys) - complete - tied
    if missing or report.unexpected_keys:
        raise SystemExit(f"{folder}: missing {missing}, unexpected {report.unexpected_keys}")
    model.tie_weights()
    return model.eval()


def read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return load_file(folder / "model.safetensors")
    tensors = {}
    for shard in sorted(set(json.loads(index.read_text())["weight_map"].values())):
        tensors.update(load_file(folder / shard))
    return tensors
