#!/usr/bin/env python3
"""Golden logits of the model families, computed with transformers in float32.

Writes Tests/HalftoneModelsTests/Golden: tiny checkpoints with random weights, their logits, and
logits and greedy continuations of the two models in Resources/models.

    pip install -r requirements.txt
    python models.py [--only NAME]
"""
import argparse
import json
import shutil
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path

# tokenizers.py in this script's own folder would shadow the package.
OWN = Path(__file__).resolve().parent
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != OWN]

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "Tests/HalftoneModelsTests/Golden"
VOCABULARY = 64
TINY = dict(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    vocab_size=VOCABULARY, max_position_embeddings=256, bos_token_id=1, eos_token_id=2,
)


@dataclass
class Case:
    """One tiny checkpoint; `rewrite` changes its config.json after transformers wrote it."""

    config: PretrainedConfig
    seed: int
    shard_size: str = "1GB"
    rewrite: dict = field(default_factory=dict)
    remove: tuple = ()


# The rotary wavelengths of head size 8 are 6.3, 63, 628 and 6283 positions. With these numbers
# the first is left alone, the second lies in the blended band, the others are divided by 8.
LLAMA3_ROPE = dict(
    rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0,
    high_freq_factor=4.0, original_max_position_embeddings=64,
)
DEFAULT_ROPE = dict(rope_type="default", rope_theta=10000.0)


def cases() -> dict[str, Case]:
    """Every family with the options that change its mathematics."""
    return {
        "llama-llama3-rope-biases": Case(LlamaConfig(
            **TINY, intermediate_size=48, rms_norm_eps=1e-5, rope_parameters=LLAMA3_ROPE,
            attention_bias=True, mlp_bias=True, tie_word_embeddings=False), seed=1),
        "llama-linear-rope-old-keys": Case(
            LlamaConfig(
                **TINY, intermediate_size=48, rms_norm_eps=1e-3, tie_word_embeddings=True,
                rope_parameters=dict(rope_type="linear", rope_theta=5000.0, factor=2.5)),
            seed=2, remove=("rope_parameters", "dtype", "head_dim"),
            rewrite=dict(rope_theta=5000.0, rope_scaling={"type": "linear", "factor": 2.5},
                         torch_dtype="float32", transformers_version="4.40.0")),
        "mistral-head-dim": Case(MistralConfig(
            **TINY, intermediate_size=48, head_dim=12, sliding_window=None, rms_norm_eps=1e-5,
            rope_parameters=DEFAULT_ROPE, tie_word_embeddings=False), seed=3),
        "mistral-sliding-window": Case(MistralConfig(
            **TINY, intermediate_size=48, head_dim=12, sliding_window=8, rms_norm_eps=1e-5,
            rope_parameters=DEFAULT_ROPE, tie_word_embeddings=False), seed=4),
        "qwen2-tied": Case(Qwen2Config(
            **TINY, intermediate_size=48, rms_norm_eps=1e-6, use_sliding_window=False,
            rope_parameters=dict(rope_type="default", rope_theta=1000000.0),
            tie_word_embeddings=True), seed=5),
        "qwen3-sharded": Case(Qwen3Config(
            **TINY, intermediate_size=40, head_dim=16, rms_norm_eps=1e-6,
            rope_parameters=dict(rope_type="default", rope_theta=1000000.0),
            tie_word_embeddings=False), seed=6, shard_size="36KB"),
    }


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Draws every parameter, norms and biases too: an initial 1 or 0 would hide a mistake."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = 0.3 * torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + noise if "norm" in name else noise)


def write_case(name: str, case: Case) -> None:
    folder = GOLDEN / name
    shutil.rmtree(folder, ignore_errors=True)
    model = AutoModelForCausalLM.from_config(
        case.config, dtype=torch.float32, attn_implementation="eager").eval()
    randomise(model, case.seed)
    model.save_pretrained(folder, max_shard_size=case.shard_size)
    (folder / "generation_config.json").unlink(missing_ok=True)

    path = folder / "config.json"
    config = json.loads(path.read_text())
    for key in case.remove:
        config.pop(key, None)
    path.write_text(json.dumps(config | case.rewrite, indent=2, sort_keys=True) + "\n")

    # Loaded back from the files, so that the logits belong to what a reader of them sees.
    model = load(folder)
    generator = torch.Generator().manual_seed(1000 + case.seed)
    ids = torch.randint(0, VOCABULARY, (2, 24), generator=generator)
    logits = forward(model, ids)
    shown = logits.softmax(-1).max(-1).values
    save_file({"ids": ids.int(), "logits": logits.contiguous()}, folder / "golden.safetensors")
    print(f"{name}: logits std {logits.std():.2f}, largest probability {shown.mean():.2f}")
    check_options_matter(name, model, ids, logits)


def check_options_matter(name: str, model, ids, logits) -> None:
    """A golden file that an implementation without the option would also pass proves nothing."""
    changes = {
        "llama-llama3-rope-biases": dict(rope_parameters=DEFAULT_ROPE),
        "llama-linear-rope-old-keys": dict(
            rope_parameters=dict(rope_type="default", rope_theta=5000.0)),
        "mistral-sliding-window": dict(sliding_window=None),
    }
    if name not in changes:
        return
    values = model.config.to_dict() | changes[name]
    other = AutoModelForCausalLM.from_config(
        type(model.config)(**values), attn_implementation="eager").eval()
    other.load_state_dict(model.state_dict())
    difference = (forward(other, ids) - logits).abs().max().item()
    assert difference > 1, (name, difference)
    print(f"  without {list(changes[name])[0]} the logits differ by up to {difference:.1f}")


def load(folder: Path):
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager").eval()


@torch.no_grad()
def forward(model, ids: torch.Tensor) -> torch.Tensor:
    return model(ids).logits


def encode(name: str, text: str) -> list[int]:
    tokenizer = Tokenizer.from_file(str(ROOT / f"Resources/models/{name}/tokenizer.json"))
    return tokenizer.encode(text).ids


def greedy(model, prompt: list[int], count: int) -> tuple[list[int], float]:
    """The continuation by largest logit, and the smallest gap to the second largest."""
    ids, gap = list(prompt), float("inf")
    for _ in range(count):
        best = forward(model, torch.tensor([ids]))[0, -1].topk(2)
        gap = min(gap, (best.values[0] - best.values[1]).item())
        ids.append(best.indices[0].item())
    return ids[len(prompt):], gap


def write_real(name: str, text: str, prompt: str) -> dict:
    model = load(ROOT / f"Resources/models/{name}")
    ids = torch.tensor([encode(name, (ROOT / f"Resources/text/{text}").read_text())[:64]])
    logits = forward(model, ids)[0, -8:]
    save_file({"ids": ids[0].int(), "logits": logits.contiguous()}, GOLDEN / f"{name}.safetensors")
    prompt_ids = encode(name, prompt)
    continuation, gap = greedy(model, prompt_ids, 48)
    return {"prompt": prompt, "prompt_ids": prompt_ids, "ids": continuation,
            "smallest_gap": round(gap, 4)}


def check_llama2c() -> None:
    """The llama2.c v0 file holds the tensors of stories260k bit by bit, once the rows of Q and K
    are taken from rotary pairs (2i, 2i+1) to pairs (i, i + half): its logits are the same."""
    folder = ROOT / "Resources/models/stories260k"
    data = (folder / "llama2c/stories260K.bin").read_bytes()
    dim, hidden, layers, heads, kv_heads, vocabulary, _ = struct.unpack_from("<7i", data)
    values, position = np.frombuffer(data, "<f4", offset=28), 0

    def take(*shape: int) -> torch.Tensor:
        nonlocal position
        count = int(np.prod(shape))
        position += count
        return torch.from_numpy(values[position - count:position].reshape(shape).copy())

    def halves(weight: torch.Tensor, count: int) -> torch.Tensor:
        rows, columns = weight.shape
        pairs = weight.reshape(count, rows // count // 2, 2, columns)
        return pairs.transpose(1, 2).reshape(rows, columns)

    kv = dim // heads * kv_heads
    order = [
        ("input_layernorm", (dim,)), ("self_attn.q_proj", (dim, dim)),
        ("self_attn.k_proj", (kv, dim)), ("self_attn.v_proj", (kv, dim)),
        ("self_attn.o_proj", (dim, dim)), ("post_attention_layernorm", (dim,)),
        ("mlp.gate_proj", (hidden, dim)), ("mlp.down_proj", (dim, hidden)),
        ("mlp.up_proj", (hidden, dim)),
    ]
    found = {"model.embed_tokens.weight": take(abs(vocabulary), dim)}
    for part, shape in order:
        stacked = take(layers, *shape)
        for layer in range(layers):
            weight = stacked[layer]
            if part.endswith(("q_proj", "k_proj")):
                weight = halves(weight, heads if "q_proj" in part else kv_heads)
            found[f"model.layers.{layer}.{part}.weight"] = weight
    found["model.norm.weight"] = take(dim)

    expected = load_file(folder / "model.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    print("stories260K.bin holds the tensors of stories260k bit by bit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="write just this tiny checkpoint")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for name, case in cases().items():
        if arguments.only in (None, name):
            write_case(name, case)
    if arguments.only:
        return
    check_llama2c()
    found = {
        "stories260k": write_real(
            "stories260k", "tinystories-test.txt", "There was a boy named Tim"),
        "books-7m": write_real("books-7m", "books-test.txt", "The old man sat by the fire and"),
    }
    (GOLDEN / "greedy.json").write_text(json.dumps(found, indent=1) + "\n")
    for name, entry in found.items():
        print(name, "smallest gap", entry["smallest_gap"])


if __name__ == "__main__":
    main()
