"""Golden weights and gradients of LRQ, by torch's autograd in float64."""
import numpy as np
import torch

from grids import (
    GROUP, IN, OUT, Grid, as_float32, check_margin, floats, integers, min_mse, scales_shape, units,
    write,
)
from learned_rounding import LEARNED_CASES, Round, spread

RANK = 5


def write_lrq(weight: np.ndarray) -> None:
    for seed, (name, (bits, symmetric, granularity)) in enumerate(LEARNED_CASES.items()):
        random = np.random.default_rng(600 + seed)
        grid = min_mse(units(weight, granularity), bits, symmetric)
        l1 = scales_shape(np.log(grid.scale), granularity)

        def normal(deviation: float, *shape: int) -> np.ndarray:
            return as_float32(deviation * random.standard_normal(shape))

        given = {
            "l1": as_float32(l1 + 0.05 * random.standard_normal(l1.shape)),
            "l2": normal(0.3, OUT, RANK), "u2": normal(0.2, RANK, IN),
            "r2": normal(0.1, OUT, 1), "c2": normal(0.1, 1, IN),
        }
        gradient = normal(1, *weight.shape)
        found = lrq(weight, given, gradient, grid, granularity)
        write(f"LRQ/{name}", {key: floats(value) for key, value in given.items()} | dict(
            gradient=floats(gradient),
            zero_points=integers(scales_shape(grid.zero, granularity)),
            codes=integers(found["codes"]), dequantized=floats(found["dequantized"]),
            **{f"d{key}": floats(found[key]) for key in given}))


def lrq(weight, given, gradient, grid: Grid, granularity: str) -> dict:
    """Ŵ = s1·clip(round(W / (s1·exp(L2·U2 + r2 + c2))), q_lo − z, q_hi − z)."""
    leaves = {key: torch.tensor(value, requires_grad=True) for key, value in given.items()}
    l1 = leaves["l1"]
    if granularity == "group":
        l1 = l1.repeat_interleave(GROUP, 1)
    exponent = leaves["l2"] @ leaves["u2"] + leaves["r2"] + leaves["c2"]
    quotient = torch.tensor(weight) / torch.exp(l1 + exponent)
    check_margin(quotient.detach().numpy(), "LRQ", relative=2e-6)
    zero = spread(grid.zero, granularity)
    low, high = (torch.tensor(bound - zero) for bound in grid.bounds)
    rounded = Round.apply(quotient)
    inside = (rounded >= low) & (rounded <= high)
    code = torch.where(inside, rounded, torch.clamp(rounded.detach(), low, high))
    dequantized = torch.exp(l1) * code
    dequantized.backward(torch.tensor(gradient))

    # gZ = −s1·n·M·G; dL2 = gZ·U2ᵀ, dU2 = L2ᵀ·gZ, dr2 and dc2 its row and column sums.
    flow = -(torch.exp(l1) * quotient * inside).detach().numpy() * gradient
    for key, expected in (("l2", flow @ given["u2"].T), ("u2", given["l2"].T @ flow),
                          ("r2", flow.sum(1, keepdims=True)), ("c2", flow.sum(0, keepdims=True))):
        assert np.allclose(leaves[key].grad.numpy(), expected, rtol=1e-10, atol=1e-12)
    return {"codes": code.detach().numpy() + zero, "dequantized": dequantized.detach().numpy(),
            **{key: leaf.grad.numpy() for key, leaf in leaves.items()}}
