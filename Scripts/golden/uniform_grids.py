"""Scales, zero points, codes and values of compressed-tensors for many ranges.

Writes Tests/HalftoneTensorTests/Golden/uniform-grids.json; needs the versions of requirements.txt.
"""
import json
from pathlib import Path

import torch
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import dequantize, quantize
from compressed_tensors.quantization.utils import calculate_qparams

GOLDEN = Path(__file__).resolve().parents[2] / "Tests/HalftoneTensorTests/Golden"
VALUES = 16
# Centre and spread of the values: on both sides of zero, all positive, all negative, tiny, large.
DISTRIBUTIONS = [(0, 1), (3, 0.5), (-7, 1), (0.1, 1e-4), (-200, 1e3)]


def case(bits: int, symmetric: bool, center: float, spread: float, generator) -> dict:
    args = QuantizationArgs(num_bits=bits, symmetric=symmetric, type="int")
    base = center + spread * torch.randn(VALUES, generator=generator)
    scale, zero = calculate_qparams(base.min()[None], base.max()[None], args)
    x = 1.5 * base  # so that some are clamped
    # Near a tie the last bit of single precision could decide; such values are moved away.
    quotient = x.double() / scale.double()
    x = torch.where((quotient - quotient.floor() - 0.5).abs() < 1e-3, x + 0.1 * scale, x)
    codes = quantize(x, scale, zero, args)
    return {
        "bits": bits, "symmetric": symmetric,
        "minimum": base.min().item(), "maximum": base.max().item(),
        "scale": scale.item(), "zero": int(zero.item()), "x": x.tolist(),
        "codes": [int(code) for code in codes.tolist()],
        "values": dequantize(codes, scale, zero, args=args).tolist(),
    }


generator = torch.Generator().manual_seed(8)
cases = [case(bits, symmetric, *distribution, generator)
         for bits in range(2, 9) for symmetric in (True, False) for distribution in DISTRIBUTIONS]
GOLDEN.mkdir(parents=True, exist_ok=True)
(GOLDEN / "uniform-grids.json").write_text(
    "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
