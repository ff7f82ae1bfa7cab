"""xoshiro256** (Blackman and Vigna 2018) seeded by splitmix64: the first outputs for a few seeds.

Written from the authors' definitions in Python's whole numbers, without the package's code.
Writes Tests/HalftoneTensorTests/Golden/random-numbers.json.
"""
import json
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[2] / "Tests/HalftoneTensorTests/Golden"
MASK = 2**64 - 1
SEEDS = [0, 1, 42, 2**63, MASK]
OUTPUTS = 16


def split_mix(seed: int):
    """Steele, Lea and Flood's generator, by which Vigna advises to seed."""
    while True:
        seed = (seed + 0x9E3779B97F4A7C15) & MASK
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        yield z ^ (z >> 31)


def rotated(x: int, k: int) -> int:
    return ((x << k) | (x >> (64 - k))) & MASK


def xoshiro(s: list[int]):
    while True:
        yield (rotated((s[1] * 5) & MASK, 7) * 9) & MASK
        t = (s[1] << 17) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotated(s[3], 45)


def first(generator, count: int) -> list[int]:
    return [next(generator) for _ in range(count)]


# The published check values: splitmix64 from 1234567, xoshiro256** from the state 1, 2, 3, 4.
assert first(split_mix(1234567), 2) == [6457827717110365317, 3203168211198807973]
assert first(xoshiro([1, 2, 3, 4]), 4) == [11520, 0, 1509978240, 1215971899390074240]

cases = [{"seed": str(seed), "outputs": [
    str(x) for x in first(xoshiro(first(split_mix(seed), 4)), OUTPUTS)]} for seed in SEEDS]
GOLDEN.mkdir(parents=True, exist_ok=True)
(GOLDEN / "random-numbers.json").write_text(json.dumps(cases, indent=1) + "\n")
