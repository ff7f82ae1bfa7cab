"""Golden weights and gradients of SignRound and AdaQuant, by torch's autograd in float64."""
import numpy as np
import torch

from grids import (
    GROUP, Grid, as_float32, check_margin, floats, integers, min_mse, scales_shape, units, write,
)
from learned_rounding import LEARNED_CASES, Round


def wide(values: torch.Tensor, granularity: str) -> torch.Tensor:
    return values.repeat_interleave(GROUP, 1) if granularity == "group" else values


def clipped(quotient, zero, bounds) -> torch.Tensor:
    """clip(round(n) + z, q_lo, q_hi) − z; straight through, and only to z where it is clipped."""
    code = Round.apply(quotient) + zero
    inside = (code.detach() >= bounds[0]) & (code.detach() <= bounds[1])
    limit = torch.clamp(code.detach(), *bounds)
    return torch.where(inside, code, limit) - zero


def write_signround(weight: np.ndarray) -> None:
    for seed, (name, (bits, symmetric, granularity)) in enumerate(LEARNED_CASES.items()):
        random = np.random.default_rng(700 + seed)
        grid = min_mse(units(weight, granularity), bits, symmetric)
        given = {
            "v": as_float32(random.uniform(-0.5, 0.5, weight.shape)),
            "upper": as_float32(random.uniform(0.6, 1, scales_shape(grid.scale, granularity).shape)),
        }
        if not symmetric:
            given["lower"] = as_float32(random.uniform(0.6, 1, given["upper"].shape))
        gradient = as_float32(random.standard_normal(weight.shape))
        found = signround(weight, given, gradient, grid, granularity)
        write(f"SignRound/{name}", {key: floats(value) for key, value in given.items()} | dict(
            gradient=floats(gradient), scales=floats(scales_shape(grid.scale, granularity)),
            zero_points=integers(scales_shape(grid.zero, granularity)),
            codes=integers(found["codes"]), dequantized=floats(found["dequantized"]),
            narrowed_scales=floats(found["scale"]), narrowed_zero_points=integers(found["zero"]),
            **{f"d{key}": floats(found[key]) for key in given}))


def signround(weight, given, gradient, grid: Grid, granularity: str) -> dict:
    """Ŵ = s·(clip(round(W/s + V) + z) − z); asymmetric: s and z of the range α·lo … β·hi, where lo
    and hi are the ends of the given grid, z = round(−α·lo/s); symmetric: s = β·s₀."""
    leaves = {key: torch.tensor(value, requires_grad=True) for key, value in given.items()}
    step = torch.tensor(as_float32(scales_shape(grid.scale, granularity)))
    zero = torch.tensor(scales_shape(grid.zero, granularity))
    if "lower" in leaves:
        low, high = (leaves[key] * (bound - zero) * step for key, bound in
                     zip(("lower", "upper"), grid.bounds))
        scale = (high - low) / (2**grid.bits - 1)
        check_margin((-low / scale).detach().numpy(), "SignRound's zero", relative=2e-6)
        zero = Round.apply(-low / scale)
    else:
        scale = step * leaves["upper"]
    quotient = torch.tensor(weight) / wide(scale, granularity) + leaves["v"]
    check_margin(quotient.detach().numpy(), "SignRound", relative=2e-6)
    code = clipped(quotient, wide(zero, granularity), grid.bounds)
    dequantized = wide(scale, granularity) * code
    dequantized.backward(torch.tensor(gradient))
    return {"codes": (code + wide(zero, granularity)).detach().numpy(),
            "dequantized": dequantized.detach().numpy(), "scale": scale.detach().numpy(),
            "zero": zero.detach().numpy(),
            **{key: leaf.grad.numpy() for key, leaf in leaves.items()}}


def write_adaquant(weight: np.ndarray) -> None:
    for seed, (name, (bits, symmetric, granularity)) in enumerate(LEARNED_CASES.items()):
        random = np.random.default_rng(800 + seed)
        grid = min_mse(units(weight, granularity), bits, symmetric)
        step = as_float32(scales_shape(grid.scale, granularity))
        given = {
            "log_step": as_float32(0.1 * random.standard_normal(step.shape)),
            "v": as_float32(0.7 * random.standard_normal(weight.shape)),
        }
        gradient = as_float32(random.standard_normal(weight.shape))
        leaves = {key: torch.tensor(value, requires_grad=True) for key, value in given.items()}
        start = torch.tensor(step)
        scale = wide(start * torch.exp(leaves["log_step"]), granularity)
        zero = wide(torch.tensor(scales_shape(grid.zero, granularity)), granularity)
        quotient = (torch.tensor(weight) + wide(start, granularity) * leaves["v"]) / scale
        check_margin(quotient.detach().numpy(), "AdaQuant", relative=2e-6)
        code = clipped(quotient, zero, grid.bounds)
        (scale * code).backward(torch.tensor(gradient))
        write(f"AdaQuant/{name}", {key: floats(value) for key, value in given.items()} | dict(
            gradient=floats(gradient), scales=floats(step),
            zero_points=integers(scales_shape(grid.zero, granularity)),
            codes=integers((code + zero).detach().numpy()),
            dequantized=floats((scale * code).detach().numpy()),
            **{f"d{key}": floats(leaf.grad.numpy()) for key, leaf in leaves.items()}))
