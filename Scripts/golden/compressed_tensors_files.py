#!/usr/bin/env python3
"""Golden compressed-tensors checkpoints, written by the compressed-tensors library itself.

Writes Tests/HalftoneCheckpointsTests/Golden/compressed-tensors: one tiny Llama with random
weights, quantized in every layout, with the weights and logits that transformers gets from it.

    pip install -r requirements.txt
    python compressed_tensors_files.py [CASE ...]
"""
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

# tokenizers.py in this script's own folder would shadow the package.
OWN = Path(__file__).resolve().parent
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != OWN]

import torch
from compressed_tensors.compressors import ModelCompressor
from compressed_tensors.quantization import (
    QuantizationArgs,
    QuantizationConfig,
    QuantizationScheme,
    apply_quantization_config,
)
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "interop"))
from quantized_checkpoint import load, load_with_decompressors  # noqa: E402

GOLDEN = (Path(__file__).resolve().parents[2]
          / "Tests/HalftoneCheckpointsTests/Golden/compressed-tensors")
LAYER = "model.layers.0."
SHOWN = ["self_attn.k_proj", "mlp.down_proj"]
EVERY_LINEAR = ["Linear"]


@dataclass
class Case:
    """Weight and input arguments by target; `intermediate` 84 leaves packed words unfilled; `cache` is for
    keys and values."""

    groups: list[tuple[list[str], QuantizationArgs, QuantizationArgs | None]]
    intermediate: int = 84
    dtype: torch.dtype = torch.float32
    cache: QuantizationArgs | None = None


def channel(bits: int, symmetric: bool = True) -> QuantizationArgs:
    return QuantizationArgs(num_bits=bits, strategy="channel", symmetric=symmetric)


def group(bits: int, symmetric: bool = True) -> QuantizationArgs:
    return QuantizationArgs(num_bits=bits, strategy="group", group_size=32, symmetric=symmetric)


def floats(bits: int, strategy: str, size: int | None = None,
           scales: torch.dtype | None = None, dynamic=False) -> QuantizationArgs:
    return QuantizationArgs(
        num_bits=bits, type="float", strategy=strategy, group_size=size, scale_dtype=scales,
        dynamic=dynamic)


def cases() -> dict[str, Case]:
    token = QuantizationArgs(num_bits=8, strategy="token", dynamic=True)
    token_asymmetric = QuantizationArgs(
        num_bits=8, strategy="token", dynamic=True, symmetric=False)
    static = QuantizationArgs(num_bits=8, strategy="tensor")
    static_asymmetric = QuantizationArgs(num_bits=8, strategy="tensor", symmetric=False)
    one = EVERY_LINEAR
    float_token = QuantizationArgs(num_bits=8, type="float", strategy="token", dynamic=True)
    float_static = QuantizationArgs(num_bits=8, type="float", strategy="tensor")
    return {
        "fp8-channel": Case([(one, floats(8, "channel"), None)]),
        "fp8-tensor-static": Case([(one, floats(8, "tensor"), float_static)]),
        "fp8-channel-token": Case([(one, floats(8, "channel"), float_token)]),
        "nvfp4": Case(
            [(one, floats(4, "tensor_group", 16, torch.float8_e4m3fn), None)], intermediate=96),
        "nvfp4-inputs": Case([(one, floats(4, "tensor_group", 16, torch.float8_e4m3fn),
                               floats(4, "tensor_group", 16, torch.float8_e4m3fn, "local"))],
                             intermediate=96),
        "mxfp4-inputs": Case([(one, floats(4, "group", 32, torch.uint8),
                               floats(4, "group", 32, torch.uint8, True))], intermediate=96),
        "mxfp6-inputs": Case([(one, floats(6, "group", 32, torch.uint8),
                               floats(6, "group", 32, torch.uint8, True))], intermediate=96),
        "mxfp8-inputs": Case([(one, floats(8, "group", 32, torch.uint8),
                               floats(8, "group", 32, torch.uint8, True))], intermediate=96),
        "mxfp4": Case([(one, floats(4, "group", 32, torch.uint8), None)], intermediate=96),
        "mxfp6": Case([(one, floats(6, "group", 32, torch.uint8), None)], intermediate=96),
        "mxfp8": Case([(one, floats(8, "group", 32, torch.uint8), None)], intermediate=96),
        "w4-channel-symmetric": Case([(one, channel(4), None)]),
        "w4-channel-asymmetric": Case([(one, channel(4, False), None)]),
        "w4-group32-symmetric-bf16": Case(
            [(one, group(4), None)], intermediate=96, dtype=torch.bfloat16),
        "w4-group32-asymmetric": Case([(one, group(4, False), None)], intermediate=96),
        "w4-tensor-symmetric": Case(
            [(one, QuantizationArgs(num_bits=4, strategy="tensor"), None)]),
        "w3-channel-symmetric": Case([(one, channel(3), None)]),
        "w3-group32-asymmetric": Case([(one, group(3, False), None)], intermediate=96),
        "w2-channel-symmetric": Case([(one, channel(2), None)]),
        "w8-channel-symmetric": Case([(one, channel(8), None)]),
        "w8a8-token": Case([(one, channel(8), token)]),
        "w8a8-token-asymmetric": Case([(one, channel(8), token_asymmetric)]),
        "w8a8-static": Case([(one, channel(8), static)]),
        "w8a8-static-asymmetric": Case([(one, channel(8), static_asymmetric)]),
        "cache-fp8": Case([(one, channel(8), None)], cache=float_static),
        "cache-int8-heads": Case([(one, channel(8), None)], cache=QuantizationArgs(
            num_bits=8, strategy="attn_head")),
        "mixed-w4-w8": Case([
            (["re:.*self_attn.*"], channel(8), None),
            (["re:.*mlp.*"], group(4), None),
        ], intermediate=96),
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
            parameter.copy_(1 + noise if "norm" in name else noise)
    return model.to(case.dtype).eval()


def ids() -> torch.Tensor:
    return torch.randint(0, 32, (2, 12), generator=torch.Generator().manual_seed(8))


def observe_outputs(model, run) -> dict[str, torch.Tensor]:
    """The outputs of every linear layer while `run` runs."""
    found, hooks = {}, []
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            hooks.append(module.register_forward_hook(
                lambda _, x, y, name=name: found.__setitem__(name, y)))
    run()
    for hook in hooks:
        hook.remove()
    return found


def observe_inputs(model, run) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """The least and largest input of every linear layer while `run` runs."""
    found, hooks = {}, []
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            hooks.append(module.register_forward_pre_hook(
                lambda _, x, name=name: found.__setitem__(name, torch.aminmax(x[0]))))
    run()
    for hook in hooks:
        hook.remove()
    return found


def weight_ranges(weight: torch.Tensor, args: QuantizationArgs):
    if args.strategy == "tensor":
        return torch.aminmax(weight)
    grouped = weight if args.strategy == "channel" else weight.unflatten(-1, (-1, args.group_size))
    return grouped.amin(-1, keepdim=args.strategy == "channel"), grouped.amax(
        -1, keepdim=args.strategy == "channel")


@torch.no_grad()
def write_case(name: str, case: Case) -> None:
    model = random_model(case)
    original = model(ids()).logits
    inputs = observe_inputs(model, lambda: model(ids()))
    outputs = observe_outputs(model, lambda: model(ids()))
    schemes = {
        f"group_{i}": QuantizationScheme(targets=targets, weights=weights, input_activations=given)
        for i, (targets, weights, given) in enumerate(case.groups)}
    apply_quantization_config(model, QuantizationConfig(
        config_groups=schemes, ignore=["lm_head"], quantization_status="frozen",
        kv_cache_scheme=case.cache), show_progress=False)
    for path, module in model.named_modules():
        scheme = getattr(module, "quantization_scheme", None)
        if scheme is None:
            continue
        if scheme.weights is None:
            set_cache_grid(module, path, outputs, case.cache)
            continue
        unit = None
        if scheme.weights.strategy == "tensor_group":
            unit = generate_gparam(*torch.aminmax(module.weight))
            module.weight_global_scale.data.copy_(unit)
        ranges = weight_ranges(module.weight, scheme.weights)
        set_grid(module, "weight", ranges, scheme.weights, unit)
        given = scheme.input_activations
        if given is not None and given.dynamic == "local":
            # As if inputs twice as large occurred, so that small scales do.
            module.input_global_scale.data.copy_(
                generate_gparam(*(2 * x for x in inputs[path])))
        if given is not None and not given.dynamic:
            # 0.8 of the range, so that inputs beyond the grid occur.
            set_grid(module, "input", [0.8 * x for x in inputs[path]], given)

    folder = GOLDEN / name
    shutil.rmtree(folder, ignore_errors=True)
    compressor = ModelCompressor.from_pretrained_model(model)
    compressor.compress_model(model)
    model.save_pretrained(folder)
    compressor.update_config(str(folder))
    (folder / "generation_config.json").unlink(missing_ok=True)
    write_golden(folder, original)


def set_cache_grid(attention, path: str, outputs, args: QuantizationArgs) -> None:
    """0.8 of the range of keys before their rotation, and of values: some are beyond the grid."""
    for base, layer in (("k", "k_proj"), ("v", "v_proj")):
        largest = outputs[f"{path}.{layer}"].abs().unflatten(-1, (2, -1)).amax((0, 1, 3))
        if args.strategy == "tensor":
            largest = largest.amax()
        set_grid(attention, base, (-0.8 * largest, 0.8 * largest), args)


def set_grid(module, base: str, ranges, args: QuantizationArgs, unit=None) -> None:
    scale, zero = calculate_qparams(*ranges, args, unit)
    for key, value in (("scale", scale), ("zero_point", zero)):
        parameter = getattr(module, f"{base}_{key}", None)
        if parameter is not None:
            parameter.data.copy_(value.reshape(parameter.shape))


@torch.no_grad()
def write_golden(folder: Path, original: torch.Tensor) -> None:
    """What transformers makes of the files in float32, or compressed-tensors where it fails."""
    model, way = load(folder)
    logits = model(ids()).logits
    found = {"ids": ids().int(), "logits": logits.contiguous()}
    for layer in SHOWN:
        found[f"{LAYER}{layer}.weight"] = model.get_submodule(LAYER + layer).weight.clone()

    other = load_with_decompressors(folder, torch.float32)
    assert torch.equal(other(ids()).logits, logits), folder.name
    precise = load_with_decompressors(folder, torch.float64)(ids()).logits
    if folder.name == "nvfp4-inputs":
        # The library has the weights as bfloat16, whose rounding turns codes of the inputs.
        set_exact_weights(model, load_file(folder / "model.safetensors"))
        found["logits"] = model(ids()).logits.contiguous()
    save_file(found, folder / "golden.safetensors")
    spread, change = ((x - logits).abs().max().item() for x in (precise, original))
    size = (folder / "model.safetensors").stat().st_size
    assert size < 100_000
    config = json.loads((folder / "config.json").read_text())["quantization_config"]
    print(f"{folder.name}: {config['format']}, {size} bytes, loaded with {way}, "
          f"float64 differs by {spread:.1e}, the original by {change:.1e}")
    for key, value in sorted(load_file(folder / "model.safetensors").items()):
        if any(layer in key for layer in SHOWN):
            print("   ", key.removeprefix(LAYER), value.dtype, list(value.shape))


def set_exact_weights(model, tensors) -> None:
    """The numbers of NVFP4 as float32."""
    levels = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    levels = torch.cat([levels, -levels])
    for path, module in model.named_modules():
        packed = tensors.get(f"{path}.weight_packed")
        if packed is None:
            continue
        codes = torch.stack([packed & 15, packed >> 4], -1).flatten(1).long()
        scales = tensors[f"{path}.weight_scale"].float() / tensors[f"{path}.weight_global_scale"]
        module.weight.data = levels[codes] * scales.repeat_interleave(16, 1)


CASES = cases()

if __name__ == "__main__":
    torch.set_num_threads(1)
    for case_name in sys.argv[1:] or CASES:
        write_case(case_name, CASES[case_name])
