#!/usr/bin/env python3
"""Times FlexRound iterations of one transformer block in PyTorch on the CPU.

What Halftone's own reconstruction is compared with: the block (RMSNorm, rotary positions,
grouped-query attention, SwiGLU) runs with its seven weights fake-quantized by FlexRound, the
squared error against the original block's output is propagated back with straight-through
rounding, and Adam with a cosine schedule updates all log scales. Written as one would write it
in PyTorch without kernels of one's own; attention (fused or eager) and Adam (for-each or fused)
are each tried and the fastest combination is the one reported.

    pip install torch
    benchmark-pytorch.py [--threads 2] [--json]
    benchmark-pytorch.py --model Resources/models/books-7m
"""
import argparse
import itertools
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F


@dataclass
class Shape:
    name: str
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int


SHAPES = [
    Shape("stories260k", 64, 8, 4, 8, 172),
    Shape("books-7m", 256, 8, 4, 32, 768),
]


def shape_of(folder: Path) -> Shape:
    config = json.loads((folder / "config.json").read_text())
    heads = config["num_attention_heads"]
    return Shape(
        folder.resolve().name, config["hidden_size"], heads,
        config.get("num_key_value_heads") or heads,
        config.get("head_dim") or config["hidden_size"] // heads, config["intermediate_size"])


class FlexLinear(nn.Module):
    """A linear layer whose weight is exp(l1)·clip(round(W / exp(l1 + v2 + v3)))."""

    def __init__(self, inputs: int, outputs: int, bits: int):
        super().__init__()
        weight = torch.randn(outputs, inputs) / inputs**0.5
        scale = weight.abs().amax(1, keepdim=True) * (2 / (2**bits - 1))
        self.register_buffer("weight", weight)
        self.low, self.high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        self.l1 = nn.Parameter(scale.log())
        self.v2 = nn.Parameter(torch.zeros_like(weight))
        self.v3 = nn.Parameter(torch.zeros(outputs, 1))
        self.quantized = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.quantized:
            return F.linear(x, self.weight)
        quotient = self.weight / torch.exp(self.l1 + self.v2 + self.v3)
        rounded = quotient + (quotient.round() - quotient).detach()
        return F.linear(x, torch.exp(self.l1) * rounded.clamp(self.low, self.high))


class Block(nn.Module):
    def __init__(self, shape: Shape, length: int, bits: int):
        super().__init__()
        self.shape = shape
        queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        self.q = FlexLinear(shape.hidden, queries, bits)
        self.k = FlexLinear(shape.hidden, keys, bits)
        self.v = FlexLinear(shape.hidden, keys, bits)
        self.o = FlexLinear(queries, shape.hidden, bits)
        self.gate = FlexLinear(shape.hidden, shape.intermediate, bits)
        self.up = FlexLinear(shape.hidden, shape.intermediate, bits)
        self.down = FlexLinear(shape.intermediate, shape.hidden, bits)
        self.register_buffer("norm1", torch.ones(shape.hidden))
        self.register_buffer("norm2", torch.ones(shape.hidden))
        half = torch.arange(0, shape.head_dim, 2) / shape.head_dim
        angles = torch.arange(length)[:, None] * 10000.0**-half
        self.register_buffer("cosine", angles.cos().repeat(1, 2))
        self.register_buffer("sine", angles.sin().repeat(1, 2))
        mask = torch.full((length, length), float("-inf")).triu(1)
        self.register_buffer("mask", mask)
        self.fused_attention = True

    def heads(self, x: torch.Tensor, count: int) -> torch.Tensor:
        return x.view(x.shape[0], x.shape[1], count, self.shape.head_dim).transpose(1, 2)

    def rotated(self, x: torch.Tensor) -> torch.Tensor:
        first, second = x.chunk(2, -1)
        return x * self.cosine + torch.cat([-second, first], -1) * self.sine

    def attention(self, x: torch.Tensor) -> torch.Tensor:
        shape = self.shape
        q = self.rotated(self.heads(self.q(x), shape.heads))
        k = self.rotated(self.heads(self.k(x), shape.kv_heads))
        v = self.heads(self.v(x), shape.kv_heads)
        groups = shape.heads // shape.kv_heads
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        if self.fused_attention:
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = q @ k.transpose(-1, -2) * shape.head_dim**-0.5 + self.mask
            mixed = scores.softmax(-1) @ v
        return self.o(mixed.transpose(1, 2).flatten(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = (self.shape.hidden,)
        x = x + self.attention(F.rms_norm(x, hidden, self.norm1, 1e-5))
        y = F.rms_norm(x, hidden, self.norm2, 1e-5)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))

    def set_quantized(self, quantized: bool) -> None:
        for layer in self.modules():
            if isinstance(layer, FlexLinear):
                layer.quantized = quantized


class Reconstruction:
    """One block with its optimiser and a pool of inputs and targets to draw batches from."""

    def __init__(self, shape: Shape, options, fused_attention: bool, fused_adam: bool):
        torch.manual_seed(0)
        self.block = Block(shape, options.length, options.bits)
        self.block.fused_attention = fused_attention
        self.batch = options.batch
        self.inputs = torch.randn(32, options.length, shape.hidden)
        self.block.set_quantized(False)
        with torch.no_grad():
            self.targets = torch.cat([self.block(x) for x in self.inputs.split(4)])
        self.block.set_quantized(True)
        self.adam = torch.optim.Adam(self.block.parameters(), lr=3e-3, fused=fused_adam or None)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.adam, 5000)

    def iterate(self) -> float:
        chosen = torch.randint(0, len(self.inputs), (self.batch,))
        output = self.block(self.inputs[chosen])
        loss = (output - self.targets[chosen]).square().sum(-1).mean()
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        self.schedule.step()
        return loss.item()

    def milliseconds(self, repetitions: int) -> list[float]:
        times = []
        for _ in range(repetitions):
            start = time.perf_counter()
            self.iterate()
            times.append(1000 * (time.perf_counter() - start))
        return times


def measure(shape: Shape, options) -> dict:
    """The combination of attention and Adam with the smallest median."""
    tried = []
    for fused_attention, fused_adam in itertools.product((True, False), repeat=2):
        work = Reconstruction(shape, options, fused_attention, fused_adam)
        work.milliseconds(5)
        times = work.milliseconds(options.repetitions)
        tried.append({
            "name": shape.name,
            "milliseconds_per_iteration": round(statistics.median(times), 3),
            "fastest_milliseconds": round(min(times), 3),
            "repetitions": len(times),
            "attention": "fused" if fused_attention else "eager",
            "adam": "fused" if fused_adam else "for-each",
        })
    return min(tried, key=lambda result: result["milliseconds_per_iteration"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, action="append", help="read the shape from here")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    shapes = [shape_of(folder) for folder in options.model] if options.model else SHAPES
    results = [measure(shape, options) for shape in shapes]
    if options.json:
        print(json.dumps(
            {"torch": torch.__version__, "threads": options.threads, "shapes": results}))
        return
    for result in results:
        print("{name}: {milliseconds_per_iteration} ms an iteration (median of {repetitions}, "
              "fastest {fastest_milliseconds}; {attention} attention, {adam} Adam)".format(**result))


if __name__ == "__main__":
    main()
