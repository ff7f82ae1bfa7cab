"""Golden steps of DiscQuant: torch's autograd and Adam in float64."""
import numpy as np
import torch

from grids import OUT, as_float32, check_margin, floats, min_mse, units, write
from learned_rounding import spread

CLASSES, TOKENS, STEPS, WARM = 12, 32, 6, 2
RATE, RHO, CLAMP = 0.1, 2.0, 1.0
CASES = {
    "w3-channel-symmetric": (3, True, "channel"),
    "w3-group-symmetric": (3, True, "group"),
    "w4-group-asymmetric": (4, False, "group"),
}


def write_discquant(weight: np.ndarray, inputs: np.ndarray) -> None:
    for seed, (name, (bits, symmetric, granularity)) in enumerate(CASES.items()):
        random = np.random.default_rng(600 + seed)
        grid = min_mse(units(weight, granularity), bits, symmetric)
        scale, zero = spread(grid.scale, granularity), spread(grid.zero, granularity)
        scale = as_float32(scale)
        check_margin(weight / scale + 0.5, name)
        low, high = grid.bounds
        below = (np.clip(np.floor(weight / scale) + zero, low, high) - zero) * scale
        above = (np.clip(np.ceil(weight / scale) + zero, low, high) - zero) * scale
        head = as_float32(random.standard_normal((CLASSES, OUT)) / OUT)
        start = as_float32(random.random(weight.shape))
        tokens = inputs[:TOKENS]
        found = descend(weight, below, above, tokens, head, start)
        write(f"DiscQuant/{name}", dict(
            below=floats(below), above=floats(above), head=floats(head), start=floats(start),
            squared_step=floats(np.array([found["squared_step"]])),
            losses=floats(np.array(found["losses"])), rates=floats(np.array(found["rates"])),
            shares=floats(np.stack(found["shares"]))))


def descend(weight, below, above, tokens, head, start) -> dict:
    """x <- clip(x - Adam(d), 0, 1), d = (1 - 2y) + clip(rho dKL/dx / step^2, -c, c)."""
    step = above - below
    y = np.where(step > 0, (weight - below) / np.where(step > 0, step, 1), 0.5)
    nearest = np.where(y > 0.5, above, below)
    squared_step = 12 * ((weight - nearest) ** 2).mean()
    to = torch.tensor
    x = to(start, requires_grad=True)
    optimizer = torch.optim.Adam([x], lr=RATE)
    reference = torch.log_softmax(to(tokens) @ to(weight).T @ to(head).T, 1)
    losses, rates, shares = [], [], []
    for index in range(STEPS):
        soft = (1 - x) * to(below) + x * to(above)
        logits = torch.log_softmax(to(tokens) @ soft.T @ to(head).T, 1)
        loss = (reference.exp() * (reference - logits)).sum(1).mean()
        gradient, = torch.autograd.grad(loss, x)
        pull = torch.clamp(RHO * gradient / squared_step, -CLAMP, CLAMP)
        direction = torch.where(to(step) > 0, 1 - 2 * to(y) + pull, 0)
        moving = direction[to(step) > 0].abs()
        assert moving.min() > 1e-6, "a direction too near zero to tell its sign in float32"
        rate = (RATE * (index + 1) / WARM if index < WARM else
                RATE * 0.5 * (1 + np.cos(np.pi * (index - WARM) / (STEPS - WARM))))
        optimizer.param_groups[0]["lr"] = rate
        x.grad = direction
        optimizer.step()
        with torch.no_grad():
            x.clamp_(0, 1)
        losses.append(loss.item())
        rates.append(rate)
        shares.append(x.detach().numpy().copy())
    assert 0.01 < np.mean((shares[-1] == 0) | (shares[-1] == 1)) < 0.99
    return dict(losses=losses, rates=rates, shares=shares, squared_step=squared_step)
