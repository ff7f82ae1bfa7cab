#!/usr/bin/env python3
"""Loads what `halftone convert` wrote in the tools it was written for, and compares the logits.

For each format asked for, converts MODEL (a quantized directory) and loads the result:

    gptq, gptq-v2, awq   GPTQModel loads the directory; its layers then unpack their weights
    mlx                  mlx-lm loads and runs the directory
    compressed-tensors   transformers, or the library's own decompressors
    safetensors          transformers

The reference is MODEL itself as Halftone reads it: written as float32, run by transformers, all in
float32. Prints the largest difference of any logit, and fails above --limit. The packages of one format are
enough: run it once with each environment.

    pip install gptqmodel==7.7.0                          # gptq, gptq-v2, awq
    pip install 'mlx[cpu]==0.32.4' mlx-lm==0.32.2         # mlx
    pip install -r ../golden/requirements.txt             # the others; all need torch and transformers
    external_files.py MODEL --formats gptq,awq [--halftone .build/release/halftone] [--dtype f32]
"""
import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
ROOT = Path(__file__).resolve().parents[2]

import torch
from transformers import AutoModelForCausalLM


def ids(vocabulary: int) -> torch.Tensor:
    return torch.randint(3, vocabulary, (4, 64), generator=torch.Generator().manual_seed(5))


def convert(options, format: str, folder: Path, *more: str) -> list[str]:
    document = subprocess.run(
        [options.halftone, "convert", options.model, "--format", format, "--output", folder, *more,
         "--json"], check=True, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL).stdout
    return json.loads(document)["notices"]


@torch.no_grad()
def logits(model) -> torch.Tensor:
    return model(ids(model.config.vocab_size)).logits.float()


def dense(folder: Path) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager").eval()


def gptqmodel_logits(folder: Path, reference: Path) -> torch.Tensor:
    """GPTQModel loads the directory and unpacks every layer; float32 takes the place of halves, in
    which it computes."""
    from gptqmodel import BACKEND, GPTQModel
    from gptqmodel.nn_modules.qlinear.torch import TorchLinear

    method = json.loads((folder / "config.json").read_text())["quantization_config"]["quant_method"]
    backend = BACKEND.AWQ_TORCH if method == "awq" else BACKEND.GPTQ_TORCH
    loaded = GPTQModel.load(
        str(folder), device="cpu", backend=backend, dtype=torch.float16).model
    model = dense(reference)
    found = 0
    for path, layer in loaded.named_modules():
        if not hasattr(layer, "qweight"):
            continue
        layer.scales.data = layer.scales.data.float()
        # TorchLinear's own method is compiled for halves.
        weight = unpacked_awq(layer) if method == "awq" else super(TorchLinear, layer).dequantize_weight().T
        assert weight.dtype == torch.float32
        target = model.get_submodule(path)
        assert weight.shape == target.weight.shape, (path, weight.shape)
        target.weight.data = weight.float().clone()
        found += 1
    if found == 0:
        raise SystemExit(f"GPTQModel found no quantized layer in {folder}")
    return logits(model)


def unpacked_awq(layer) -> torch.Tensor:
    from gptqmodel.quantization.awq.utils.packing_utils import dequantize_gemm

    return dequantize_gemm(
        layer.qweight, layer.qzeros, layer.scales, layer.bits, layer.group_size).T


def mlx_logits(folder: Path, vocabulary: int) -> torch.Tensor:
    import mlx.core as mx
    import numpy as np
    from mlx_lm.utils import load_model

    mx.set_default_device(mx.cpu)
    model, _ = load_model(folder)
    model.set_dtype(mx.float32)
    found = model(mx.array(ids(vocabulary).numpy())).astype(mx.float32)
    return torch.from_numpy(np.array(found))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--formats", default="safetensors")
    parser.add_argument("--halftone", type=Path, default=ROOT / ".build/release/halftone")
    parser.add_argument("--dtype", default="f32", help="for mlx and safetensors")
    parser.add_argument("--limit", type=float, default=1e-3)
    parser.add_argument("--reference", choices=["model", "written"], default="written",
                        help="the model, or what Halftone reads of the files that it wrote")
    options = parser.parse_args()
    torch.set_num_threads(2)
    failed = False
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        for format in options.formats.split(","):
            folder, plain = scratch / format, scratch / f"{format}-f32"
            typed = ["--dtype", options.dtype] if format in ("mlx", "safetensors") else []
            notices = convert(options, format, folder, *typed)
            source, options.model = options.model, (
                folder if options.reference == "written" else options.model)
            convert(options, "safetensors", plain, "--dtype", "f32")
            options.model = source
            reference = dense(plain)
            expected = logits(reference)
            if format in ("gptq", "gptq-v2", "awq"):
                found = gptqmodel_logits(folder, plain)
            elif format == "mlx":
                found = mlx_logits(folder, reference.config.vocab_size)
            elif format == "compressed-tensors":
                from quantized_checkpoint import load
                found = logits(load(folder)[0])
            else:
                found = logits(dense(folder))
            difference = (found - expected).abs().max().item()
            failed |= not difference <= options.limit
            print(json.dumps({
                "model": str(options.model), "format": format, "largest_difference": difference,
                "largest_logit": expected.abs().max().item(), "notices": notices}))
    if failed:
        raise SystemExit(f"a logit differs by more than {options.limit}")


if __name__ == "__main__":
    main()
