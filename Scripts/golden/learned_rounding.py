"""Golden weights and gradients of FlexRound, AdaRound and learned step sizes.

Gradients come from torch's autograd in float64 and are checked against the closed forms.
"""
import numpy as np
import torch

from grids import (
    GROUP, IN, OUT, Grid, as_float32, check_margin, floats, integers, min_max, min_mse,
    scales_shape, units, write,
)


class Round(torch.autograd.Function):
    """Rounds half to even; the gradient passes straight through."""

    @staticmethod
    def forward(ctx, values):
        return torch.round(values)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


LEARNED_CASES = {
    "w3-tensor-symmetric": (3, True, "tensor"),
    "w4-channel-symmetric": (4, True, "channel"),
    "w3-group-symmetric": (3, True, "group"),
    "w4-tensor-asymmetric": (4, False, "tensor"),
    "w3-channel-asymmetric": (3, False, "channel"),
}


def spread(values: np.ndarray, granularity: str) -> np.ndarray:
    """Scales [1, 1], [rows, 1] or [rows, groups] repeated so that they multiply the weight."""
    shaped = scales_shape(values, granularity)
    return np.repeat(shaped, GROUP, 1) if granularity == "group" else shaped


def write_flexround(weight: np.ndarray) -> None:
    for seed, (name, (bits, symmetric, granularity)) in enumerate(LEARNED_CASES.items()):
        random = np.random.default_rng(300 + seed)
        grid = min_mse(units(weight, granularity), bits, symmetric)
        l1 = scales_shape(np.log(grid.scale), granularity)
        given = {
            "l1": as_float32(l1 + 0.05 * random.standard_normal(l1.shape)),
            "v2": as_float32(0.15 * random.standard_normal(weight.shape)),
            "v3": as_float32(0.1 * random.standard_normal((OUT, 1))),
        }
        gradient = as_float32(random.standard_normal(weight.shape))
        found = flexround(weight, given, gradient, grid, granularity)
        check_flexround(weight, given, gradient, found)
        zero = integers(scales_shape(grid.zero, granularity))
        write(f"FlexRound/{name}", {key: floats(value) for key, value in given.items()} | dict(
            gradient=floats(gradient), zero_points=zero, codes=integers(found["codes"]),
            dequantized=floats(found["dequantized"]), dl1=floats(found["l1"]),
            dv2=floats(found["v2"]), dv3=floats(found["v3"])))


def flexround(weight, given, gradient, grid: Grid, granularity: str) -> dict:
    """Ŵ = s1·clip(round(W / (s1·S2·s3)), q_lo − z, q_hi − z) with s1 = exp l1 and so on."""
    leaves = {key: torch.tensor(value, requires_grad=True) for key, value in given.items()}
    l1 = leaves["l1"]
    if granularity == "group":
        l1 = l1.repeat_interleave(GROUP, 1)
    zero = spread(grid.zero, granularity)
    quotient = torch.tensor(weight) / torch.exp(l1 + leaves["v2"] + leaves["v3"])
    check_margin(quotient.detach().numpy(), "FlexRound", relative=2e-6)  # exp is less exact
    low, high = (torch.tensor(bound - zero) for bound in grid.bounds)
    rounded = Round.apply(quotient)
    inside = (rounded >= low) & (rounded <= high)
    code = torch.where(inside, rounded, torch.clamp(rounded.detach(), low, high))
    dequantized = torch.exp(l1) * code
    dequantized.backward(torch.tensor(gradient))
    return {"codes": code.detach().numpy() + zero, "dequantized": dequantized.detach().numpy(),
            "inside": inside.numpy(), "quotient": quotient.detach().numpy(),
            **{key: leaf.grad.numpy() for key, leaf in leaves.items()}}


def check_flexround(weight, given, gradient, found) -> None:
    """The closed forms: gZ = −s1·n·M·G, dv2 = gZ, dv3 = Σ_row gZ, dl1 = Σ (s1·C·G + gZ)."""
    l1 = given["l1"]
    scale = np.exp(np.repeat(l1, GROUP, 1) if l1.shape[1] == IN // GROUP else l1)
    flow = -scale * found["quotient"] * found["inside"] * gradient
    total = found["dequantized"] * gradient + flow
    dl1 = total.reshape(OUT, -1, GROUP).sum(2) if l1.shape[1] == IN // GROUP else (
        total.sum(1, keepdims=True) if l1.shape[0] == OUT else total.sum().reshape(1, 1))
    for got, expected in ((found["v2"], flow), (found["v3"], flow.sum(1, keepdims=True)),
                          (found["l1"], dl1)):
        assert np.allclose(got, expected, rtol=1e-10, atol=1e-12)
    assert 0.001 < 1 - found["inside"].mean() < 0.2, "some weights must be clipped"


ZETA, GAMMA = 1.1, -0.1


def write_adaround(weight: np.ndarray) -> None:
    for seed, (name, (bits, symmetric, granularity)) in enumerate(LEARNED_CASES.items()):
        random = np.random.default_rng(400 + seed)
        grid = min_mse(units(weight, granularity), bits, symmetric)
        scale = as_float32(spread(grid.scale, granularity))
        zero = spread(grid.zero, granularity)
        share = weight / scale - np.floor(weight / scale)
        initial = -np.log((ZETA - GAMMA) / (share - GAMMA) - 1)
        given = as_float32(initial + random.standard_normal(weight.shape))
        given[:, ::6] = as_float32(4 * np.sign(given[:, ::6]))  # h saturated: no gradient
        gradient = as_float32(random.standard_normal(weight.shape))
        found = adaround(weight, given, gradient, scale, zero, grid.bounds)
        write(f"AdaRound/{name}", dict(
            scales=floats(scales_shape(grid.scale, granularity)),
            zero_points=integers(scales_shape(grid.zero, granularity)),
            v_initial=floats(initial), v=floats(given), gradient=floats(gradient),
            **{key: floats(found[key]) for key in
               ("soft", "dv", "regulariser", "regulariser_dv", "hard")},
            hard_codes=integers(found["hard_codes"])))


def adaround(weight, given, gradient, scale, zero, bounds, beta: float = 3.0) -> dict:
    """Ŵ = s·(clip(⌊W/s⌋ + h(V) + z, q_lo, q_hi) − z), h = clip(σ(V)(ζ−γ)+γ, 0, 1)."""
    check_margin(weight / scale + 0.5, "AdaRound")
    v = torch.tensor(given, requires_grad=True)
    floor, step, shift = (torch.tensor(x) for x in (np.floor(weight / scale), scale, zero))
    share = torch.clamp(torch.sigmoid(v) * (ZETA - GAMMA) + GAMMA, 0, 1)
    soft = step * (torch.clamp(floor + share + shift, *bounds) - shift)
    soft.backward(torch.tensor(gradient), retain_graph=True)
    dv = v.grad.clone().numpy()
    regulariser = (1 - (2 * share - 1).abs() ** beta).sum()
    v.grad = None
    regulariser.backward()

    raw = (floor + share + shift).detach().numpy()
    sigmoid = 1 / (1 + np.exp(-given))
    moving = ((share > 0) & (share < 1)).numpy() * (ZETA - GAMMA) * sigmoid * (1 - sigmoid)
    inside = (raw >= bounds[0]) & (raw <= bounds[1])
    assert np.allclose(dv, gradient * scale * inside * moving)
    hard_codes = np.clip(np.floor(weight / scale) + (given >= 0) + zero, *bounds)
    return dict(soft=soft.detach().numpy(), dv=dv,
                regulariser=regulariser.detach().numpy().reshape(1), regulariser_dv=v.grad.numpy(),
                hard=(hard_codes - zero) * scale, hard_codes=hard_codes)


# AdaRound of low rank, with a learned step

RANK = 3


def write_lora(weight: np.ndarray) -> None:
    for seed, (name, (bits, symmetric, granularity)) in enumerate(LEARNED_CASES.items()):
        random = np.random.default_rng(600 + seed)
        grid = min_mse(units(weight, granularity), bits, symmetric)
        scale = as_float32(scales_shape(grid.scale, granularity))
        given = dict(
            log_step=as_float32(0.1 * random.standard_normal(scale.shape)),
            a1=as_float32(random.standard_normal((weight.shape[0], RANK))),
            a2=as_float32(0.5 * random.standard_normal((RANK, weight.shape[1]))))
        gradient = as_float32(random.standard_normal(weight.shape))
        found = {}
        for hard in (False, True):
            found |= lora(weight, given, gradient, scale, grid, granularity, hard)
        write(f"LoRARounding/{name}", dict(
            scales=floats(scale), zero_points=integers(scales_shape(grid.zero, granularity)),
            gradient=floats(gradient), **{key: floats(x) for key, x in given.items()},
            **{key: floats(x) for key, x in found.items()}))


def lora(weight, given, gradient, scale, grid: Grid, granularity: str, hard: bool) -> dict:
    """V = V₀ + A1·A2, h(V₀) the fraction of W/s; V₀ takes no gradient, floor passes it straight."""
    leaves = {key: torch.tensor(x, requires_grad=True) for key, x in given.items()}
    step = torch.tensor(scale) * torch.exp(leaves["log_step"])
    step = wide(step, weight.shape)
    shift = torch.tensor(spread(grid.zero, granularity))
    quotient = torch.tensor(weight) / step
    below = quotient + (torch.floor(quotient) - quotient).detach()
    start = -torch.log((ZETA - GAMMA) / ((quotient - below).detach() - GAMMA) - 1)
    v = start.detach() + leaves["a1"] @ leaves["a2"]
    share = torch.clamp(torch.sigmoid(v) * (ZETA - GAMMA) + GAMMA, 0, 1)
    check_margin((quotient + 0.5).detach().numpy(), "LoRARounding")
    if hard:
        assert v.detach().abs().min() > 1e-5
        share = share + ((v >= 0).to(share.dtype) - share).detach()
    code = below + share + shift
    result = step * (torch.clamp(code, *grid.bounds) - shift)
    result.backward(torch.tensor(gradient))
    kind = "hard" if hard else "soft"
    return {kind: result.detach().numpy()} | {
        f"{kind}_d{key}": leaf.grad.numpy() for key, leaf in leaves.items()}


def wide(values: torch.Tensor, shape: tuple) -> torch.Tensor:
    """[1, 1], [rows, 1] or [rows, groups] for every weight."""
    groups = values.shape[1]
    return values.repeat_interleave(shape[1] // groups, dim=1).expand(shape)


# Learned step size of activations

def write_lsq(inputs: np.ndarray) -> None:
    for seed, (name, bits, symmetric) in enumerate(
            [("a8-asymmetric", 8, False), ("a4-asymmetric", 4, False), ("a4-symmetric", 4, True)]):
        random = np.random.default_rng(500 + seed)
        values = inputs[:32]
        # Half the full range, so that both ends clip.
        grid = min_max(values.reshape(1, -1), bits, symmetric, percent=50)
        scale, zero = as_float32(grid.scale), torch.tensor(grid.zero)
        gradient = as_float32(random.standard_normal(values.shape))
        low, high = grid.bounds
        check_margin(values / scale, "LSQ")
        x = torch.tensor(values, requires_grad=True)
        s = torch.tensor(scale, requires_grad=True)
        rounded = Round.apply(x / s)
        inside = (rounded + zero >= low) & (rounded + zero <= high)
        code = torch.where(inside, rounded, torch.clamp(rounded.detach(), low - zero, high - zero))
        output = code * s
        output.backward(torch.tensor(gradient))

        kept = inside.numpy()
        step = np.where(kept, np.rint(values / scale) - values / scale, code.detach().numpy())
        assert np.allclose(s.grad.numpy(), (gradient * step).sum())
        assert np.allclose(x.grad.numpy(), gradient * kept)
        assert 0.001 < 1 - kept.mean() < 0.5, kept.mean()
        factor = 1 / np.sqrt(values.size * high)
        write(f"LSQ/{name}", dict(
            inputs=floats(values), scale=floats(scale), zero_point=integers(grid.zero),
            gradient=floats(gradient), output=floats(output.detach().numpy()),
            dinputs=floats(x.grad.numpy()), dscale=floats(s.grad.numpy()),
            dscale_scaled=floats(s.grad.numpy() * factor)))
