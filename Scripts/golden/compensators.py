"""Golden low-rank factors and corrected biases.

LAPACK's singular value decomposition (numpy) is the oracle of LoRC; means in float64 that of the bias
correction.
"""
import numpy as np

from grids import Grid, floats, min_mse, units, write

RANKS = (1, 4, 16)
TOKENS = 64


def quantized(weight: np.ndarray, bits: int) -> tuple[np.ndarray, Grid]:
    grid = min_mse(units(weight, "channel"), bits, True)
    return grid.dequantized(weight), grid


def factors(error: np.ndarray, importance: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """A = U·Σ^½ and B = Σ^½·Vᵀ·diag(1/s) of error·diag(s); the largest element of each left vector
    is positive, since the matrix has fewer rows than columns."""
    left, values, right = np.linalg.svd(error * importance, full_matrices=False)
    largest = np.abs(left).argmax(0)
    signs = np.sign(left[largest, np.arange(left.shape[1])])
    left, right = left * signs, right * signs[:, None]
    roots = np.sqrt(values[:rank])
    # Vectors of values that lie close together turn with the last digits.
    gaps = -np.diff(values[:rank + 1]) / values[0]
    assert gaps.size == 0 or gaps.min() > 1e-4, gaps
    return left[:, :rank] * roots, roots[:, None] * right[:rank] / importance


def write_lorc(weight: np.ndarray, inputs: np.ndarray) -> None:
    rounded, _ = quantized(weight, 3)
    sizes = np.sqrt((inputs**2).mean(0))
    sizes = sizes / sizes.mean()
    found = {"quantized": floats(rounded)}
    # The quantized weight is stored as float32, and that is what the error is taken of.
    error = weight - floats(rounded).astype(np.float64)
    for word, importance in (("plain", np.ones_like(sizes)), ("aware", sizes)):
        kept = []
        for rank in RANKS:
            left, right = factors(error, importance, rank)
            found[f"{word}.{rank}.left"] = floats(left)
            found[f"{word}.{rank}.right"] = floats(right)
            rest = error - left @ right
            kept.append(np.square((rest * importance)).sum())
        assert all(b < a for a, b in zip(kept, kept[1:])), kept
        found[f"{word}.rest"] = floats(np.array(kept))
    write("LoRC/w3-channel-symmetric", found)


def write_bias_correction(weight: np.ndarray, inputs: np.ndarray) -> None:
    rounded, _ = quantized(weight, 3)
    rounded = floats(rounded).astype(np.float64)
    random = np.random.default_rng(7)
    original = inputs[:TOKENS] + 0.3
    drifted = floats(original + 0.1 * random.standard_normal(original.shape)).astype(np.float64)
    original = floats(original).astype(np.float64)
    before = floats(random.standard_normal(len(weight))).astype(np.float64)
    after = before + (original @ weight.T).mean(0) - (drifted @ rounded.T).mean(0)
    write("BiasCorrection/w3-channel-symmetric", dict(
        quantized=floats(rounded), original=floats(original), drifted=floats(drifted),
        bias=floats(before), corrected=floats(after)))
