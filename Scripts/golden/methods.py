#!/usr/bin/env python3
"""Golden codes, weights and gradients of the rounding methods, in float64.

Writes Tests/HalftoneMethodsTests/Golden; the README there says what each tensor is. Every
result is computed in float64 from float32 inputs and stored as F32 or I32. A case is only
written when float32 arithmetic leads to the same codes, so that tests may compare codes exactly.

    pip install -r requirements.txt
    python methods.py
"""
from dataclasses import dataclass

import numpy as np
import torch

from discquant import write_discquant
from compensators import write_bias_correction, write_lorc
from grids import (
    GROUP, IN, OUT, check_margin, floats, hessian, integers, make_layer, min_max, min_mse,
    scales_shape, units, write,
)
from coordinate_descent import cross_moments, drifted, write_quantease
from learned_rounding import write_adaround, write_flexround, write_lora, write_lsq
from lrq import write_lrq
from objectives import write_objectives
from offset_rounding import write_adaquant, write_signround

DEAD = [5, 40]
SEARCH = {"minmax": min_max, "minmse": min_mse}


# Round to nearest

def write_rtn(weight: np.ndarray) -> None:
    for symmetric in (True, False):
        found = {}
        for bits in (2, 3, 4, 8):
            for granularity in ("tensor", "channel", "group"):
                for search in SEARCH:
                    name = f"w{bits}.{granularity}.{search}"
                    values = units(weight, granularity)
                    grid = SEARCH[search](values, bits, symmetric)
                    low, high = grid.bounds
                    quotients = values / grid.scale
                    # Beyond the bounds the code is the same on both sides of a tie.
                    check_margin(np.clip(quotients, low - grid.zero - 0.4,
                                         high - grid.zero + 0.4), name)
                    found[f"{name}.codes"] = integers(grid.codes(values).reshape(weight.shape))
                    found[f"{name}.scales"] = floats(scales_shape(grid.scale, granularity))
                    found[f"{name}.fractions"] = integers(scales_shape(grid.fraction, granularity))
                    if not symmetric:
                        found[f"{name}.zero_points"] = integers(
                            scales_shape(grid.zero, granularity))
        write(f"RTN/{'symmetric' if symmetric else 'asymmetric'}", found)
    write_rtn_edges()


def write_rtn_edges() -> None:
    """Rows where a rule decides: ties, a range on one side of zero, a single weight."""
    weight = np.array([
        [7.5, -7.5, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5],  # symmetric scale 1: ties go to even
        [15.0, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 0.0],     # asymmetric scale 1, z = 0
        [-15.0, -0.5, -1.5, -2.5, -3.5, -4.5, -5.5, 0.0],  # asymmetric scale 1, z = 15
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 7.25],     # all positive: the range still holds 0
        [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -7.25],
        [0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0],
        [12.0, -3.0, 0.5, 1.5, -0.5, -1.5, 6.5, 0.0],  # asymmetric scale 1, z = 3
    ])
    found = {"weight": floats(weight)}
    for symmetric in (True, False):
        grid = min_max(weight, 4, symmetric)
        key = "symmetric" if symmetric else "asymmetric"
        found[f"{key}.codes"] = integers(grid.codes(weight))
        found[f"{key}.scales"] = floats(grid.scale)
        found[f"{key}.zero_points"] = integers(grid.zero)
        found[f"{key}.dequantized"] = floats(grid.dequantized(weight))
    write("RTN/edges", found)


# GPTQ

@dataclass
class GPTQCase:
    bits: int
    symmetric: bool
    search: str
    act_order: bool
    groups: bool = False
    dead: bool = False
    crossed: bool = False


def gptq(weight: np.ndarray, second: np.ndarray, cross: np.ndarray, case: GPTQCase,
         kind=np.float64) -> dict:
    """Column by column: round, and let the columns to come make up for the error."""
    original, weight, second = weight, weight.astype(kind), second.astype(kind)
    dead = np.diag(second) == 0
    second[dead, dead] = 1
    weight[:, dead] = 0
    if case.crossed:
        # argmin over V of ‖W X₀ − V X‖² + λ‖V − W‖² is (W C + λ W)(H + λ I)⁻¹.
        ridge = 0.01 * np.diag(second).mean() * np.eye(IN, dtype=kind)
        weight = np.linalg.solve(second + ridge, (weight @ (cross.astype(kind) + ridge)).T).T
    order = np.arange(IN)
    if case.act_order:
        order = np.argsort(-np.diag(second), kind="stable")
    weight, second = weight[:, order], second[np.ix_(order, order)]
    second += 0.01 * np.diag(second).mean() * np.eye(IN, dtype=kind)
    # H⁻¹ = UᵀU with U upper triangular.
    upper = np.linalg.cholesky(np.linalg.inv(second)).T

    search = SEARCH[case.search]
    grid = search(units(original, "group" if case.groups else "channel"), case.bits, case.symmetric)
    granularity = "group" if case.groups else "channel"
    for key in ("scale", "zero", "fraction"):
        setattr(grid, key, scales_shape(getattr(grid, key), granularity).copy())

    codes, rounded = np.zeros(weight.shape), np.zeros(weight.shape)
    for j in range(IN):
        group = order[j] // GROUP if case.groups else 0
        if case.groups and not case.act_order and j % GROUP == 0:
            found = search(weight[:, j:j + GROUP].astype(np.float64), case.bits, case.symmetric)
            for key in ("scale", "zero", "fraction"):
                getattr(grid, key)[:, group:group + 1] = getattr(found, key)
        column = weight[:, j:j + 1]
        codes[:, order[j]] = grid.column(group).codes(column)[:, 0]
        rounded[:, order[j]] = grid.column(group).dequantized(column)[:, 0]
        error = (weight[:, j] - rounded[:, order[j]]).astype(kind) / upper[j, j]
        weight[:, j:] -= np.outer(error, upper[j, j:])
    return dict(codes=codes, scales=grid.scale, zero_points=grid.zero, order=order,
                dequantized=rounded)


GPTQ_CASES = {
    "w3-channel-symmetric-minmse": GPTQCase(3, True, "minmse", act_order=False),
    "w3-channel-symmetric-minmse-actorder": GPTQCase(3, True, "minmse", act_order=True),
    "w4-channel-asymmetric-minmax-actorder": GPTQCase(4, False, "minmax", act_order=True),
    "w4-channel-asymmetric-minmse": GPTQCase(4, False, "minmse", act_order=False),
    "w4-group-symmetric-minmse": GPTQCase(4, True, "minmse", act_order=False, groups=True),
    "w3-group-asymmetric-minmax": GPTQCase(3, False, "minmax", act_order=False, groups=True),
    "w4-group-symmetric-minmse-actorder": GPTQCase(4, True, "minmse", act_order=True, groups=True),
    "w3-group-asymmetric-minmax-actorder": GPTQCase(
        3, False, "minmax", act_order=True, groups=True),
    "w4-channel-symmetric-minmax-actorder-dead": GPTQCase(
        4, True, "minmax", act_order=True, dead=True),
    "w3-channel-symmetric-minmse-actorder-crossed": GPTQCase(
        3, True, "minmse", act_order=True, crossed=True),
}


def write_gptq(weight: np.ndarray, inputs: np.ndarray) -> None:
    for name, case in GPTQ_CASES.items():
        used = inputs.copy()
        if case.dead:
            used[:, DEAD] = 0
        if case.crossed:
            used = drifted(inputs)
        second = hessian(used)
        cross = cross_moments(inputs if case.crossed else used, used)
        found = gptq(weight, second, cross, case)
        single = gptq(weight, second, cross, case, np.float32)
        assert (found["codes"] == single["codes"]).all(), name
        plain = plain_rounding(weight, case)
        target = weight @ (inputs if case.crossed else used).T
        errors = [np.sum((target - w @ used.T) ** 2) / np.sum((weight @ used.T) ** 2)
                  for w in (found["dequantized"], plain)]
        print(f"GPTQ {name}: relative error {errors[0]:.5f}, round to nearest {errors[1]:.5f}")
        assert errors[0] < errors[1]
        moments = dict(hessian=floats(second), cross=floats(cross)) if case.crossed else {}
        write(f"GPTQ/{name}", moments | dict(
            codes=integers(found["codes"]), scales=floats(found["scales"]),
            zero_points=integers(found["zero_points"]), order=integers(found["order"]),
            dequantized=floats(found["dequantized"]), relative_errors=floats(np.array(errors))))


def plain_rounding(weight: np.ndarray, case: GPTQCase) -> np.ndarray:
    values = units(weight, "group" if case.groups else "channel")
    grid = SEARCH[case.search](values, case.bits, case.symmetric)
    return grid.dequantized(values).reshape(weight.shape)


def main() -> None:
    torch.set_num_threads(1)
    weight, inputs = make_layer()
    write("layer", dict(weight=floats(weight), inputs=floats(inputs),
                        hessian=floats(hessian(inputs)), dead=integers(np.array(DEAD))))
    write_rtn(weight)
    write_gptq(weight, inputs)
    write_quantease(weight, inputs)
    write_flexround(weight)
    write_adaround(weight)
    write_lora(weight)
    write_lsq(inputs)
    write_lrq(weight)
    write_signround(weight)
    write_adaquant(weight)
    write_discquant(weight, inputs)
    write_lorc(weight, inputs)
    write_bias_correction(weight, inputs)
    write_objectives()


if __name__ == "__main__":
    main()
