#!/usr/bin/env python3
"""Golden values of evaluation, computed with transformers on the models in Resources.

Writes Tests/HalftoneEvaluationTests/Golden/evaluation.json: perplexity, its standard error and bits
per byte of the first windows of a text; the divergence of a model whose weights are rounded to
bfloat16 from the original; log-probabilities of the choices of the first questions of a task.

    pip install -r requirements.txt
    python evaluation.py
"""
import json
import math
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "Tests/HalftoneEvaluationTests/Golden"


def load(name: str):
    folder = ROOT / f"Resources/models/{name}"
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager").eval()
    return model, Tokenizer.from_file(str(folder / "tokenizer.json"))


@torch.no_grad()
def log_probabilities(model, rows: torch.Tensor) -> torch.Tensor:
    """ln p of every word after each token but the last, in float64."""
    return model(rows).logits[:, :-1].double().log_softmax(-1)


def windows_of(tokenizer, text: str, context: int, count: int):
    ids = tokenizer.encode((ROOT / f"Resources/text/{text}").read_text(encoding="utf-8")).ids
    return ids, torch.tensor(ids[: count * context]).reshape(count, context)


def perplexity(name: str, text: str, context: int, count: int) -> dict:
    model, tokenizer = load(name)
    ids, windows = windows_of(tokenizer, text, context, count)
    scores = log_probabilities(model, windows).gather(-1, windows[:, 1:, None])[..., 0]
    loss = -scores.mean().item()
    means = (-scores.mean(-1)).numpy()
    covered = len(tokenizer.decode(ids[: count * context]).encode())
    return {
        "model": name, "text": text, "context": context, "windows": count, "encoded": len(ids),
        "negative_log_likelihood": loss, "perplexity": math.exp(loss),
        "standard_error": math.exp(loss) * means.std(ddof=1) / math.sqrt(count),
        "covered_bytes": covered,
        "bits_per_byte": -scores.sum().item() / math.log(2) / covered,
    }


def comparison(name: str, text: str, context: int, count: int) -> dict:
    reference, tokenizer = load(name)
    _, windows = windows_of(tokenizer, text, context, count)
    expected = log_probabilities(reference, windows)
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.copy_(parameter.bfloat16().float())
    found = log_probabilities(reference, windows)
    divergence = (expected.exp() * (expected - found)).sum(-1).flatten().numpy()
    own = -expected.gather(-1, windows[:, 1:, None]).mean().item()
    return {
        "model": name, "text": text, "context": context, "windows": count,
        "perplexity": math.exp(own), "kl_mean": divergence.mean(),
        "kl_median": float(np.median(divergence)), "kl_p99": float(np.quantile(divergence, 0.99)),
        "kl_max": divergence.max(),
        "top1_agreement": (expected.argmax(-1) == found.argmax(-1)).double().mean().item(),
    }


def choices(name: str, task: str, count: int) -> dict:
    """Each choice by itself, without batches or padding."""
    model, tokenizer = load(name)
    lines = (ROOT / f"Resources/tasks/{task}.jsonl").read_text().splitlines()[:count]
    scores, right, normalized = [], 0, 0
    for item in map(json.loads, lines):
        context = len(tokenizer.encode(item["query"]).ids)
        sums = []
        for choice in item["choices"]:
            ids = tokenizer.encode(item["query"] + " " + choice).ids
            predicted = log_probabilities(model, torch.tensor([ids]))[0]
            sums.append(sum(predicted[i - 1, ids[i]].item() for i in range(context, len(ids))))
        scores.append(sums)
        right += int(np.argmax(sums)) == item["gold"]
        per_byte = [s / len(c.encode()) for s, c in zip(sums, item["choices"])]
        normalized += int(np.argmax(per_byte)) == item["gold"]
    return {"model": name, "task": task, "items": count, "scores": scores,
            "accuracy": right / count, "accuracy_normalized": normalized / count}


def main() -> None:
    torch.set_num_threads(1)
    GOLDEN.mkdir(parents=True, exist_ok=True)
    found = {
        "perplexity": [
            perplexity("stories260k", "tinystories-test.txt", 512, 4),
            perplexity("books-7m", "books-test.txt", 256, 4),
        ],
        "comparison": comparison("stories260k", "tinystories-test.txt", 512, 4),
        "choices": choices("stories260k", "tinystories-cloze", 40),
    }
    (GOLDEN / "evaluation.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
