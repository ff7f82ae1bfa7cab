"""What the golden scripts of the rounding methods share: the layer, the grids, the files."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

GOLDEN = Path(__file__).resolve().parents[2] / "Tests/HalftoneMethodsTests/Golden"
OUT, IN, TOKENS, GROUP = 16, 48, 256, 16
NORM = 2.4
LAYER_SEED = 24


# The layer

def make_layer() -> tuple[np.ndarray, np.ndarray]:
    """A weight with heavy tails and rows of different size, and inputs with correlated
    features, two of them large: float32 values held in float64."""
    random = np.random.default_rng(LAYER_SEED)
    weight = 0.2 * random.standard_t(5, (OUT, IN)) * np.exp(0.5 * random.standard_normal((OUT, 1)))
    # With scale 2·max|w|/(2^b − 1) the largest weight lies on a tie. A positive one is clipped
    # whichever way it goes; a negative one would let the last bit of the scale decide its code.
    for row in weight.reshape(-1, GROUP):
        row *= np.sign(row[np.abs(row).argmax()])
    mixed = random.standard_normal((TOKENS, 20)) @ random.standard_normal((20, IN)) / 20**0.5
    inputs = mixed + 0.2 * random.standard_normal((TOKENS, IN))
    inputs[:, [7, 30]] *= 6
    return as_float32(weight), as_float32(inputs)


def as_float32(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32).astype(np.float64)


def hessian(inputs: np.ndarray) -> np.ndarray:
    """H = 2/N Σ x xᵀ."""
    return 2 / len(inputs) * inputs.T @ inputs


# Grids

@dataclass
class Grid:
    """Scales and zero points [units, 1]; `fraction` i means a range of i/100 of the full one."""

    bits: int
    symmetric: bool
    scale: np.ndarray
    zero: np.ndarray
    fraction: np.ndarray

    @property
    def bounds(self) -> tuple[int, int]:
        levels = 2**self.bits
        return (-levels // 2, levels // 2 - 1) if self.symmetric else (0, levels - 1)

    def codes(self, values: np.ndarray) -> np.ndarray:
        """clamp(round_half_even(w/s) + z); np.rint rounds halves to even."""
        return np.clip(np.rint(values / self.scale) + self.zero, *self.bounds)

    def dequantized(self, values: np.ndarray) -> np.ndarray:
        return (self.codes(values) - self.zero) * self.scale

    def column(self, index: int) -> "Grid":
        """The grid of one group when scale and zero are [rows, groups]."""
        pick = slice(index, index + 1)
        return Grid(self.bits, self.symmetric, self.scale[:, pick], self.zero[:, pick],
                    self.fraction[:, pick])


def min_max(values: np.ndarray, bits: int, symmetric: bool, percent: int = 100) -> Grid:
    """The grid of each row of `values`, its range shrunk to `percent` of the full one."""
    levels = 2**bits - 1
    if symmetric:
        scale = 2 * np.abs(values).max(1, keepdims=True) * (percent / 100) / levels
        zero = np.zeros_like(scale)
    else:
        low = np.minimum(0, values.min(1, keepdims=True)) * (percent / 100)
        high = np.maximum(0, values.max(1, keepdims=True)) * (percent / 100)
        scale = (high - low) / levels
        zero = np.rint(-low / scale)
    return Grid(bits, symmetric, scale, zero, np.full(scale.shape, percent))


def min_mse(values: np.ndarray, bits: int, symmetric: bool) -> Grid:
    """The fraction 1.00, 0.99 … 0.01 with the least mean |w − ŵ|^2.4, the first of equal ones."""
    grids = [min_max(values, bits, symmetric, percent) for percent in range(100, 0, -1)]
    errors = np.stack([(np.abs(values - g.dequantized(values)) ** NORM).mean(1) for g in grids])
    best = errors.argmin(0)
    least, second = np.sort(errors, 0)[:2]
    assert (second / least - 1).min() > 3e-6, "too close to tell in float32"
    rows = np.arange(len(values))
    pick = [np.stack([getattr(g, key) for g in grids])[best, rows]
            for key in ("scale", "zero", "fraction")]
    return Grid(bits, symmetric, *pick)


def units(weight: np.ndarray, granularity: str) -> np.ndarray:
    """The weight with one row for each scale: [1, all], [rows, columns] or [rows·groups, g]."""
    shape = {"tensor": (1, -1), "channel": weight.shape, "group": (-1, GROUP)}[granularity]
    return weight.reshape(shape)


def check_margin(quotients: np.ndarray, what: str, relative: float = 5e-7) -> None:
    """No quotient may lie so near a rounding boundary that float32 could decide otherwise."""
    distance = np.abs(quotients - np.floor(quotients) - 0.5) / np.maximum(1, np.abs(quotients))
    assert distance.min() > relative, (what, distance.min())


def scales_shape(values: np.ndarray, granularity: str) -> np.ndarray:
    shape = {"tensor": (1, 1), "channel": (OUT, 1), "group": (OUT, IN // GROUP)}[granularity]
    return values.reshape(shape)


# Output

def floats(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=np.float32)


def integers(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=np.int32)


def write(name: str, tensors: dict[str, np.ndarray]) -> None:
    path = GOLDEN / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    assert path.stat().st_size < 100_000, (name, path.stat().st_size)
