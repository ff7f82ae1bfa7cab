"""Blocks of every GGUF type that is read, with the numbers that ggml says they stand for.

Writes Tests/HalftoneSchemesTests/Golden/blocks.safetensors; needs the versions of requirements.txt.
The first two rows were quantized by ggml, the third holds random bits with modest factors.
"""
from pathlib import Path

import ggml
import numpy as np
from safetensors.numpy import save_file

GOLDEN = Path(__file__).resolve().parents[2] / "Tests/HalftoneSchemesTests/Golden"
COLUMNS = 512

generator = np.random.default_rng(5)
tensors = {}
for name in ggml.BLOCKS:
    _, length, size = ggml.TYPES[name]
    weights = generator.normal(0, [[0.02], [3.0]], (2, COLUMNS)).astype(np.float32)
    quantized = ggml.quantize(name, weights)
    random = generator.integers(0, 256, (COLUMNS // length, size), np.uint8)
    for offset in ggml.FACTORS[name]:
        factors = generator.uniform(-0.1, 0.1, COLUMNS // length).astype(np.float16)
        random[:, offset:offset + 2] = factors.view(np.uint8).reshape(-1, 2)
    if name == "MXFP4":
        random[:, 0] = [0, 1, 2, 100, 103, 104, 113, 114, 127, 128, 143, 144, 200, 250, 251, 120]
    blocks = np.concatenate([quantized, random.reshape(1, -1)])
    tensors[name + ".blocks"] = blocks
    tensors[name + ".values"] = ggml.dequantize(name, blocks)
GOLDEN.mkdir(parents=True, exist_ok=True)
save_file(tensors, GOLDEN / "blocks.safetensors")
