"""Blocks that ggml's quantizers make of many kinds of rows.

Writes Tests/HalftoneSchemesTests/Golden/encoders.safetensors; needs the versions of
requirements.txt.
"""
from pathlib import Path

import ggml
import numpy as np
from safetensors.numpy import save_file

GOLDEN = Path(__file__).resolve().parents[2] / "Tests/HalftoneSchemesTests/Golden"

generator = np.random.default_rng(11)
rows = np.stack([
    generator.normal(0, 0.02, 512), generator.laplace(0, 1, 512),
    np.abs(generator.normal(5, 1, 512)), generator.integers(-1, 2, 512) * 0.3,
    (np.arange(512) - 256) / 64, np.zeros(512), generator.normal(0, 1e-6, 512),
    generator.standard_t(2, 512),
]).astype(np.float32)
tensors = {"rows": rows}
for name in ggml.BLOCKS:
    tensors[name] = ggml.quantize(name, rows)
save_file(tensors, GOLDEN / "encoders.safetensors")
