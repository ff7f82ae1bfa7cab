"""QuantEase (arXiv 2309.01885) one column at a time with full matrices, in float64."""
from dataclasses import dataclass

import numpy as np

from grids import (
    GROUP, IN, floats, hessian, integers, min_max, min_mse, scales_shape, units, write,
)

SEARCH = {"minmax": min_max, "minmse": min_mse}
DAMPING = 1e-4
OUTLIERS = 15


@dataclass
class QuantEaseCase:
    bits: int
    symmetric: bool
    search: str
    start: str  # weights or rtn
    sweeps: int
    relaxed: bool = False
    groups: bool = False
    outliers: int = 0
    crossed: bool = False


def quantease(weight: np.ndarray, second: np.ndarray, cross: np.ndarray, case: QuantEaseCase,
              kind=np.float64) -> dict:
    """Visit the columns in turn; each row keeps its rounded iterate of least error."""
    weight, second = weight.astype(kind), second.astype(kind)
    asymmetry = weight @ (cross.astype(kind) - second)
    free = top(np.abs(weight), case.outliers)
    granularity = "group" if case.groups else "channel"
    grid = SEARCH[case.search](
        units(np.where(free, 0, weight).astype(np.float64), granularity), case.bits, case.symmetric)
    for key in ("scale", "zero", "fraction"):
        setattr(grid, key, scales_shape(getattr(grid, key), granularity).copy())

    step = 1 / (np.diag(second) + DAMPING * np.diag(second).mean()).astype(kind)
    rate = 1 / (1.05 * np.linalg.eigvalsh(second.astype(np.float64)).max())
    values = weight.copy() if case.start == "weights" else rounded(grid, weight, free)
    best, least = values.copy(), np.full(len(weight), np.inf)

    def errors() -> np.ndarray:
        change = (values - weight).astype(np.float64)
        return ((change @ second) * change - 2 * asymmetry * change).sum(1)

    def judge(best: np.ndarray, least: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        now = errors()
        if case.outliers:  # the support belongs to the whole layer, and so does the choice
            better = np.full(len(now), now.sum() < least.sum())
        else:
            better = now < least
        return np.where(better[:, None], values, best), np.where(better, now, least)

    if case.start != "weights" and not case.outliers:
        best, least = judge(best, least)
    supports = free
    for k in range(case.sweeps):
        loose = case.relaxed and k % 3 == 1 and k != case.sweeps - 1
        for j in range(IN):
            column = grid.column(j // GROUP if case.groups else 0)
            gradient = (values - weight) @ second[:, j] - asymmetry[:, j]
            beta = values[:, j] - gradient * step[j]
            bounds = [(end - column.zero[:, 0]) * column.scale[:, 0] for end in column.bounds]
            new = np.clip(beta, *bounds) if loose else column.dequantized(beta[:, None])[:, 0]
            values[:, j] = np.where(free[:, j], beta, new)
        if not loose:
            before = least
            best, least = judge(best, least)
            if (least != before).any():
                supports = free
        if case.outliers and k != case.sweeps - 1:
            slope = (values - weight) @ second - asymmetry
            nearest = np.where(free, rounded(grid, values), values)
            proposal = values - nearest - rate * slope
            free = top(np.abs(proposal), case.outliers)
            values = nearest + np.where(free, proposal, 0)
    codes = np.concatenate(
        [grid.column(j // GROUP if case.groups else 0).codes(best[:, j:j + 1])
         for j in range(IN)], 1)
    return dict(codes=codes, scales=grid.scale, zero_points=grid.zero, values=best,
                positions=np.flatnonzero(supports))


def rounded(grid, values: np.ndarray, free: np.ndarray | None = None) -> np.ndarray:
    groups = grid.scale.shape[1]
    width = values.shape[1] // groups
    result = np.concatenate(
        [grid.column(g).dequantized(values[:, g * width:(g + 1) * width]) for g in range(groups)], 1)
    return result if free is None else np.where(free, values, result)


def top(magnitudes: np.ndarray, count: int) -> np.ndarray:
    """The `count` largest elements."""
    chosen = np.zeros(magnitudes.size, bool)
    chosen[np.argsort(-magnitudes, axis=None, kind="stable")[:count]] = True
    return chosen.reshape(magnitudes.shape)


CASES = {
    "w3-channel-symmetric-minmse-weights-relaxed": QuantEaseCase(
        3, True, "minmse", "weights", sweeps=6, relaxed=True),
    "w3-channel-asymmetric-minmax-rtn": QuantEaseCase(3, False, "minmax", "rtn", sweeps=4),
    "w4-group-symmetric-minmse-weights": QuantEaseCase(
        4, True, "minmse", "weights", sweeps=3, groups=True),
    "w3-channel-symmetric-minmse-weights-outliers": QuantEaseCase(
        3, True, "minmse", "weights", sweeps=3, outliers=OUTLIERS),
    "w3-channel-symmetric-minmse-rtn-crossed": QuantEaseCase(
        3, True, "minmse", "rtn", sweeps=3, crossed=True),
}


def drifted(inputs: np.ndarray) -> np.ndarray:
    """The inputs as earlier, quantized layers would hand them on: each channel on 12 levels."""
    step = np.abs(inputs).max(0) / 6
    return np.rint(inputs / step) * step


def cross_moments(original: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """C = 2/N Σ x₀ xᵀ."""
    return 2 / len(inputs) * original.T @ inputs


def write_quantease(weight: np.ndarray, inputs: np.ndarray) -> None:
    for name, case in CASES.items():
        used = drifted(inputs) if case.crossed else inputs
        second = floats(hessian(used)).astype(np.float64)
        cross = floats(cross_moments(inputs, used)).astype(np.float64) if case.crossed else second
        found = quantease(weight, second, cross, case)
        single = quantease(weight, second, cross, case, np.float32)
        assert (found["codes"] == single["codes"]).all(), name
        assert (found["positions"] == single["positions"]).all(), name
        change = found["values"] - weight
        error = np.trace(change @ second @ change.T - 2 * (weight @ (cross - second)) @ change.T)
        print(f"QuantEase {name}: relative error "
              f"{error / np.trace(weight @ second @ weight.T):.5f}")
        tensors = dict(
            codes=integers(found["codes"]), scales=floats(found["scales"]),
            zero_points=integers(found["zero_points"]), error=floats(np.array([error])),
            hessian=floats(second))
        if case.outliers:
            tensors |= dict(
                positions=integers(found["positions"]),
                outliers=floats(found["values"].reshape(-1)[found["positions"]]))
        if case.crossed:
            tensors |= dict(cross=floats(cross))
        write(f"QuantEase/{name}", tensors)
