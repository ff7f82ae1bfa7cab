#!/usr/bin/env python3
"""GPTQ here and in GPTQModel on the same weight and Hessian: which codes are equal, and how long
each takes, in alternation.

    pip install gptqmodel==7.7.0 safetensors
    (cd Benchmarks && swift build -c release --product SolverBenchmark)
    Scripts/peers/gptq.py [--size 1024] [--pairs 7] [--layer FILE.safetensors] [--json]

Two threads each. The layer is random: rows with heavy tails, inputs of which a sixteenth are large
and all share directions; --layer takes `weight` [out, in] and `inputs` [tokens, in] of a real one.
Only what GPTQModel's GPTQ.quantize() and our solve() do is timed: the grid, the inverse, the columns.
"""
import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import torch
from safetensors.torch import load_file, save_file

with contextlib.redirect_stdout(sys.stderr):
    import gptqmodel
    from gptqmodel.quantization.config import QuantizeConfig
    from gptqmodel.quantization.gptq import GPTQ

ROOT = Path(__file__).resolve().parents[2]
OURS = ROOT / "Benchmarks/.build/release/SolverBenchmark"
CASES = [
    dict(bits=4, group=128, act_order=False),
    dict(bits=4, group=128, act_order=True),
    dict(bits=3, group=None, act_order=True),
    dict(bits=3, group=None, act_order=False),
]


def random_layer(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    spread = sum(normal(size, size) ** 2 for _ in range(5)) / 5
    weight = 0.02 * normal(size, size) / spread.sqrt()  # Student's t, 5 degrees of freedom
    tokens = 4 * size
    inputs = 0.3 * normal(tokens, size // 3) @ normal(size // 3, size) + 0.3 * normal(tokens, size)
    inputs[:, ::16] *= 6
    return weight, inputs


class Peer:
    """GPTQModel's solver of one layer, made anew for each run, since it consumes its Hessian."""

    def __init__(self, weight: torch.Tensor, inputs: torch.Tensor, case: dict):
        self.weight, self.case = weight, case
        solver = self.solver()
        solver.add_batch(inputs[None], torch.empty(0))
        self.hessian = solver.finalize_hessian(target_device=torch.device("cpu")).clone()
        self.samples = solver.nsamples

    def solver(self) -> GPTQ:
        module = torch.nn.Linear(*reversed(self.weight.shape), bias=False)
        module.weight.data = self.weight.clone()
        solver = GPTQ(module, QuantizeConfig(
            bits=self.case["bits"], group_size=self.case["group"] or -1,
            desc_act=self.case["act_order"], act_group_aware=False,
            static_groups=self.case["group"] is not None, sym=True, damp_percent=0.01))
        solver.quantizer.configure(perchannel=True)
        return solver

    def run(self) -> tuple[float, torch.Tensor, torch.Tensor]:
        solver = self.solver()
        solver.H, solver.nsamples = self.hessian.clone(), self.samples
        with contextlib.redirect_stdout(sys.stderr):
            start = time.perf_counter()
            rounded, scales, _, _, _, _, damping, _ = solver.quantize()
            seconds = time.perf_counter() - start
        assert abs(damping - 0.01) < 1e-9, damping
        width = self.weight.shape[1] // scales.shape[1]
        return seconds, torch.round(rounded / scales.repeat_interleave(width, 1)), scales


def our_run(case: dict, layer: Path, codes: Path) -> float:
    command = [OURS, "--input", layer, "--output", codes, "--bits", case["bits"], "--threads", 2]
    if case["group"]:
        command += ["--group", case["group"]]
    if case["act_order"]:
        command.append("--act-order")
    output = subprocess.run([str(word) for word in command], check=True, capture_output=True)
    return json.loads(output.stdout)["seconds"][0]


def output_error(weight: torch.Tensor, rounded: torch.Tensor, hessian: torch.Tensor) -> float:
    change, hessian = (rounded - weight).double(), hessian.double()
    full = ((weight.double() @ hessian) * weight).sum()
    return float(((change @ hessian) * change).sum() / full)


def compare(weight: torch.Tensor, inputs: torch.Tensor, case: dict, pairs: int) -> dict:
    peer = Peer(weight, inputs, case)
    with tempfile.TemporaryDirectory() as folder:
        layer, codes = Path(folder, "layer.safetensors"), Path(folder, "codes.safetensors")
        save_file(dict(weight=weight.contiguous(), hessian=peer.hessian), layer)
        times = []
        for _ in range(pairs):
            mine = our_run(case, layer, codes)
            theirs, their_codes, scales = peer.run()
            times.append((mine, theirs))
        found = load_file(codes)
    width = weight.shape[1] // scales.shape[1]

    def values(codes: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
        return codes.float() * scales.repeat_interleave(width, 1)

    ratios = sorted(theirs / mine for mine, theirs in times)
    return case | dict(
        shape=list(weight.shape), equal_codes=float((found["codes"] == their_codes).float().mean()),
        scales_differ_by=float(((found["scales"] - scales).abs() / scales).max()),
        error=output_error(weight, values(found["codes"], found["scales"]), peer.hessian),
        peer_error=output_error(weight, values(their_codes, scales), peer.hessian),
        seconds=statistics.median(mine for mine, _ in times),
        peer_seconds=statistics.median(theirs for _, theirs in times),
        ratio=statistics.median(ratios), ratios=[round(ratio, 2) for ratio in ratios])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--layer", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(2)
    if options.layer:
        tensors = load_file(options.layer)
        weight, inputs = tensors["weight"].float(), tensors["inputs"].float()
    else:
        weight, inputs = random_layer(options.size)
    results = []
    for case in CASES:
        if case["group"] and weight.shape[1] % case["group"]:
            continue
        results.append(compare(weight, inputs, case, options.pairs))
        if not options.json:
            print("{bits} bits, group {group}, act-order {act_order}: {equal_codes:.3%} of the codes "
                  "equal; {seconds:.3f} s, GPTQModel {peer_seconds:.3f} s, {ratio:.1f} times; "
                  "errors {error:.5f} and {peer_error:.5f}".format(**results[-1]), flush=True)
    if options.json:
        print(json.dumps(dict(gptqmodel=gptqmodel.__version__, torch=torch.__version__,
                              results=results), indent=1))


if __name__ == "__main__":
    main()
