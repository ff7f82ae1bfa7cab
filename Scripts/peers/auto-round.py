#!/usr/bin/env python3
"""Measures auto-round (SignRound) beside a recipe of ours: same model, tokens, format, iterations.

    pip install -r Scripts/peers/requirements.txt
    Scripts/peers/auto-round.py Resources/models/books-7m --bits 4 3 2 --group 64 \\
        --calibration Resources/text/books-calibration.txt \\
        --text Resources/text/books-test.txt --context 256 --step "flexround: { ... }"

auto-round learns from the very token ids that halftone learns from. Its weights, dequantized, are
written as a model of 32-bit floats, which `halftone evaluate` measures like any other. Both run in
turns on as many threads. auto-round's time is that of quantize() alone, the best of all turns, so
that compiling counts once at most; halftone's is that of the whole run, model read and written.
--batch is auto-round's; ours is in --step. auto-round leaves layers alone whose shapes 32 does not
divide; the recipe leaves the same ones alone.
"""
import argparse
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--calibration", required=True, type=Path)
    parser.add_argument("--text", required=True, type=Path)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--windows", type=int, default=100)
    parser.add_argument("--bits", type=int, nargs="+", default=[4, 3, 2])
    parser.add_argument("--group", type=int, default=64, help="0: one scale a row")
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--float32", action="store_true", help="no bfloat16 in auto-round")
    parser.add_argument("--no-compile", action="store_true", help="no torch.compile in auto-round")
    parser.add_argument("--step", help="our method, as in a recipe's steps; none: auto-round alone")
    parser.add_argument(
        "--precision", default="float32", choices=("float32", "bfloat16"),
        help="our recipe's training-precision")
    parser.add_argument("--range", default="min-mse", help="how our recipe finds the grid's range")
    parser.add_argument("--halftone", type=Path, default=Path(".build/release/halftone"))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def halftone(options, *words) -> dict:
    command = [str(options.halftone), *map(str, words), "--json", "--quiet"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def processor_seconds(who) -> float:
    """All threads together: what other programs on the machine hardly change."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def evaluate(options, model: Path) -> dict:
    report = halftone(
        options, "evaluate", model, "--text", options.text, "--reference", options.model,
        "--context", options.context, "--windows", options.windows, "--threads", options.threads)
    return {
        "perplexity": report["perplexity"], "kl": report["reference"]["kl_mean"],
        "original": report["reference"]["perplexity"]}


def dequantized(layer):
    """The layer's weights from its codes and scales, free of auto-round's bfloat16 arithmetic."""
    import torch

    weight = layer.weight.detach().float()
    scale = getattr(layer, "scale", None)
    if not isinstance(scale, torch.Tensor):
        return weight
    scale = scale.float().reshape(weight.shape[0], -1)
    if weight.shape[1] % scale.shape[1]:
        return weight
    columns = weight.reshape(weight.shape[0], scale.shape[1], -1)
    codes = torch.round(columns / torch.where(scale == 0, 1, scale)[..., None])
    return (codes * scale[..., None]).reshape(weight.shape)


def run_auto_round(options, ids: list, bits: int, folder: Path) -> dict:
    import torch
    from auto_round import AutoRound
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(options.threads)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype="auto")
    if options.float32:
        model = model.float()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    rows = [
        torch.tensor([ids[start:start + options.length]])
        for start in range(0, options.samples * options.length, options.length)]
    rounder = AutoRound(
        model, AutoTokenizer.from_pretrained(options.model), bits=bits,
        group_size=options.group or -1, sym=True, iters=options.iterations, dataset=rows,
        seqlen=options.length, nsamples=options.samples, batch_size=options.batch,
        device_map="cpu", seed=options.seed, amp=not options.float32,
        enable_torch_compile=not options.no_compile)
    start, used = time.monotonic(), processor_seconds(resource.RUSAGE_SELF)
    model, _ = rounder.quantize()
    seconds = time.monotonic() - start
    used = processor_seconds(resource.RUSAGE_SELF) - used
    untouched = []
    for name, layer in model.named_modules():
        if not isinstance(layer, torch.nn.Linear) or ".layers." not in name:
            continue
        old = before[name + ".weight"]
        if torch.equal(layer.weight.detach(), old.to(layer.weight.dtype)):
            untouched.append(name)
        else:
            layer.weight = torch.nn.Parameter(dequantized(layer), requires_grad=False)
            layer.weight.is_dequantized = True
    result = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for name, parameter in result.named_parameters():
            if getattr(weights[name], "is_dequantized", False):
                parameter.copy_(weights[name])
    shutil.rmtree(folder, ignore_errors=True)
    result.save_pretrained(folder)
    for file in options.model.iterdir():
        if file.name.startswith("tokenizer"):
            shutil.copy(file, folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "seconds": seconds, "processor_seconds": used, "untouched": untouched,
        "peak_bytes": peak, **evaluate(options, folder)}


def run_halftone(options, bits: int, untouched: list, folder: Path) -> dict:
    grid = f"granularity: group, group: {options.group}" if options.group else "granularity: channel"
    ignore = ["lm_head", "embed_tokens"] + [name.removeprefix("model.") for name in untouched]
    recipe = folder.with_suffix(".yaml")
    recipe.write_text(
        f"scheme:\n  weights: {{ type: int, bits: {bits}, {grid}, symmetric: true, "
        f"range: {options.range} }}\n  ignore: {json.dumps(ignore)}\nsteps:\n  - {options.step}\n"
        f"calibration: {{ samples: {options.samples}, length: {options.length} }}\n"
        f"training-precision: {options.precision}\n")
    used = processor_seconds(resource.RUSAGE_CHILDREN)
    report = halftone(
        options, "quantize", options.model, "--recipe", recipe, "--calibration",
        options.calibration, "--output", folder, "--seed", options.seed, "--threads",
        options.threads, "--overwrite")
    used = processor_seconds(resource.RUSAGE_CHILDREN) - used
    return {
        "seconds": report["seconds"], "processor_seconds": used,
        "peak_bytes": report["peak_bytes"],
        "bits_per_weight": report["bits_per_weight"], **evaluate(options, folder)}


def line(result: dict) -> str:
    return (
        f"{result['bits']} bits  {result['name']:10}  perplexity {result['perplexity']:.4f} "
        f"(original {result['original']:.4f})  KL {result['kl']:.5f}  {result['seconds']:.1f} s, "
        f"{result['processor_seconds']:.1f} s of processors  "
        f"{result['peak_bytes'] / 2**20:.0f} MiB  {len(result.get('untouched', []))} layers left")


def main() -> None:
    options = arguments()
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(options.threads)
    ids = halftone(options, "tokenize", options.model, "--text", options.calibration)["ids"]
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        for bits in options.bits:
            theirs, ours = [], []
            for _ in range(options.turns):
                theirs.append(run_auto_round(options, ids, bits, Path(scratch) / "auto-round"))
                if options.step:
                    ours.append(run_halftone(
                        options, bits, theirs[-1]["untouched"], Path(scratch) / "halftone"))
            for name, runs in (("auto-round", theirs), ("halftone", ours)):
                if not runs:
                    continue
                best = min(runs, key=lambda run: run["seconds"])
                results.append({"name": name, "bits": bits, **best})
                if not options.json:
                    print(line(results[-1]), flush=True)
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
