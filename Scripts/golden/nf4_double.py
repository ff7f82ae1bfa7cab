"""NF4 with double quantization as bitsandbytes has it: the scales of blocks, and what they are in bytes.

Writes Tests/HalftoneSchemesTests/Golden/nf4-double.safetensors; needs bitsandbytes==0.50.2 beside the versions
of requirements.txt. Weights are [40, 512], so that 320 scales make a run of 256 and a shorter one.
"""
from pathlib import Path

import bitsandbytes.functional as bnb
import torch
from safetensors.torch import save_file

GOLDEN = Path(__file__).resolve().parents[2] / "Tests/HalftoneSchemesTests/Golden"

generator = torch.Generator().manual_seed(5)
rows = 0.5 + torch.rand(40, 1, generator=generator)
weights = 0.02 * rows * torch.randn(40, 512, generator=generator)
weights[3, 7] = 0.4  # one block far from the mean of all
stored = weights.bfloat16()
weights = stored.float()
packed, state = bnb.quantize_nf4(weights, blocksize=64, compress_statistics=True)
_, plain = bnb.quantize_nf4(weights, blocksize=64)
nested = state.state2
assert nested.blocksize == 256
scales = bnb.dequantize_blockwise(state.absmax, nested) + state.offset
error = (bnb.dequantize_nf4(packed, state) - weights).square().sum()
save_file(
    {
        "weights": stored,
        "absmax": plain.absmax,
        "map": nested.code,
        "codes": state.absmax.flatten(),
        "units": nested.absmax,
        "mean": state.offset.reshape(1),
        "scales": scales.flatten(),
        "error": error.reshape(1),
    },
    GOLDEN / "nf4-double.safetensors")
