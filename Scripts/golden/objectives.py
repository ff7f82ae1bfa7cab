"""Golden values and gradients of the objectives of reconstruction, by torch's autograd in float64."""
import numpy as np
import torch

from grids import as_float32, floats, integers, write

SAMPLES, LENGTH, WIDTH, VOCABULARY = 3, 4, 12, 20
REGULARIZATION, TEMPERATURE = 0.25, 4.0


def write_objectives() -> None:
    """A unit's outputs, a network behind it (one linear layer and a head), and what follows."""
    random = np.random.default_rng(600)

    def normal(*shape: int) -> np.ndarray:
        return as_float32(random.standard_normal(shape))

    rows = SAMPLES * LENGTH
    target, tail, head = normal(rows, WIDTH), normal(WIDTH, WIDTH), normal(VOCABULARY, WIDTH)
    given = dict(target=target, tail=tail, head=head,
                 output=as_float32(target + 0.3 * normal(rows, WIDTH)),
                 pure=as_float32(target + 0.4 * normal(rows, WIDTH)),
                 reference=as_float32(target + 0.1 * normal(rows, WIDTH)))
    ids = random.integers(0, VOCABULARY, rows)
    found = prediction_difference(given) | fisher(given, ids) | moments(target, normal(rows, WIDTH))
    write("Objectives/losses", {key: floats(value) for key, value in (given | found).items()}
          | dict(ids=integers(ids)))


def logits(x: torch.Tensor, given: dict) -> torch.Tensor:
    return x @ torch.tensor(given["tail"]).T @ torch.tensor(given["head"]).T


def squared_error(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Sum over positions, mean over samples and channels."""
    return ((output - target) ** 2).reshape(SAMPLES, LENGTH, WIDTH).sum(1).mean()


def prediction_difference(given: dict) -> dict:
    """MSE + KL(softmax(o/T) ‖ softmax(ô/T))/λᵣ, KL summed over positions, mean over samples."""
    output, pure = (torch.tensor(given[key], requires_grad=True) for key in ("output", "pure"))
    error = squared_error(output, torch.tensor(given["target"]))
    p = torch.log_softmax(logits(torch.tensor(given["reference"]), given) / TEMPERATURE, -1)
    q = torch.log_softmax(logits(pure, given) / TEMPERATURE, -1)
    divergence = (p.exp() * (p - q)).sum() / SAMPLES
    loss = error + divergence / REGULARIZATION
    loss.backward()
    return dict(error=scalar(error), divergence=scalar(divergence), difference=scalar(loss),
                difference_doutput=output.grad.numpy(), difference_dpure=pure.grad.numpy())


def fisher(given: dict, ids: np.ndarray) -> dict:
    """Δzᵀ·diag(g²)·Δz with g² of mean 1; g of each sample's own mean loss of the next token."""
    gradients = []
    for sample in range(SAMPLES):
        part = slice(sample * LENGTH, (sample + 1) * LENGTH)
        z = torch.tensor(given["target"][part], requires_grad=True)
        following = torch.tensor(ids[part][1:])
        torch.nn.functional.cross_entropy(logits(z, given)[:-1], following).backward()
        gradients.append(z.grad)
    weight = torch.cat(gradients) ** 2
    weight /= weight.mean()
    output = torch.tensor(given["output"], requires_grad=True)
    loss = (weight * (output - torch.tensor(given["target"])) ** 2).sum() / (SAMPLES * WIDTH)
    loss.backward()
    return dict(fisher=scalar(loss), fisher_doutput=output.grad.numpy())


def moments(x: np.ndarray, upstream: np.ndarray) -> dict:
    """Mean and deviation of each sample's channels, and the gradient of their weighted sum."""
    leaf = torch.tensor(x, requires_grad=True)
    by_sample = leaf.reshape(SAMPLES, LENGTH, WIDTH)
    mean = by_sample.mean(1)
    deviation = (by_sample.var(1, correction=0) + 1e-8).sqrt()
    weights = torch.tensor(upstream[:SAMPLES])
    (weights * (mean + deviation)).sum().backward()
    return dict(mean=mean.detach().numpy(), deviation=deviation.detach().numpy(),
                moment_weights=weights.numpy(), moments_dx=leaf.grad.numpy())


def scalar(value: torch.Tensor) -> np.ndarray:
    return value.detach().numpy().reshape(1)
