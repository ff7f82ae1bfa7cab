#!/usr/bin/env python3
"""Checks with transformers and compressed-tensors what Halftone wrote.

Prints the perplexity of a checkpoint in the keys of `halftone evaluate --json`: the text is
encoded once, cut into windows of --context tokens, the rest is dropped, and context − 1 tokens
are predicted in each window. With --logits the logits of given ids are printed instead.

    pip install -r ../golden/requirements.txt
    compressed-tensors.py MODEL --text FILE --context 256 [--windows 100]
    compressed-tensors.py MODEL --logits 1,403,407 [--save logits.safetensors]
"""
import argparse
import json
import math
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers.utils import logging

from quantized_checkpoint import load, load_with_decompressors


def windows(folder: Path, text: Path, context: int, limit: int | None) -> torch.Tensor:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = tokenizer.encode(text.read_text(encoding="utf-8")).ids
    count = min(len(ids) // context, limit or sys.maxsize)
    if count == 0:
        raise SystemExit(f"{text} holds {len(ids)} tokens, fewer than one window of {context}")
    return torch.tensor(ids[:count * context]).view(count, context)


@torch.no_grad()
def negative_log_likelihood(model, tokens: torch.Tensor) -> float:
    """The mean over all predicted tokens, summed in float64."""
    total = 0.0
    for batch in tokens.split(8):
        scores = model(batch).logits[:, :-1].double().log_softmax(-1)
        total -= scores.gather(-1, batch[:, 1:, None]).sum().item()
    return total / (tokens.shape[0] * (tokens.shape[1] - 1))


def print_perplexity(model, way: str, options) -> None:
    tokens = windows(options.model, options.text, options.context, options.windows)
    mean = negative_log_likelihood(model, tokens)
    print(json.dumps({
        "model": str(options.model), "text": str(options.text), "context": options.context,
        "windows": len(tokens), "tokens": len(tokens) * (options.context - 1),
        "negative_log_likelihood": mean, "perplexity": math.exp(mean), "loaded_with": way}))


@torch.no_grad()
def print_logits(model, way: str, options) -> None:
    ids = torch.tensor([[int(part) for part in options.logits.split(",")]])
    logits = model(ids).logits[0]
    if options.save:
        save_file({"ids": ids[0].int(), "logits": logits.contiguous()}, options.save)
    print(json.dumps({
        "model": str(options.model), "ids": ids[0].tolist(), "loaded_with": way,
        "top1": logits.argmax(-1).tolist(),
        "logits_last": [round(x, 6) for x in logits[-1].tolist()]}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--windows", type=int, help="only the first so many")
    parser.add_argument("--logits", metavar="IDS", help="ids separated by commas")
    parser.add_argument("--save", type=Path, help="write ids and logits as safetensors")
    parser.add_argument("--decompressors", action="store_true",
                        help="load without transformers' own loading code")
    options = parser.parse_args()
    if (options.text is None) == (options.logits is None):
        parser.error("give either --text or --logits")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if options.decompressors:
        model = load_with_decompressors(options.model, torch.float32, "sdpa")
        way = "compressed-tensors"
    else:
        model, way = load(options.model, attention="sdpa")
    (print_perplexity if options.text else print_logits)(model, way, options)


if __name__ == "__main__":
    main()
