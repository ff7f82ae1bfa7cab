"""Hugging Face directories of Llama, Qwen2 and Qwen3 models written as GGUF files by gguf-py.

Nothing of Halftone takes part, so what is read from these files is checked against other tools.
"""
import json
import math
from pathlib import Path

import ggml
import gguf
import numpy as np
from safetensors import safe_open

INNER = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
OUTER = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def read(directory):
    tensors = {}
    for path in sorted(Path(directory).glob("model*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():
                tensors[name] = file.get_tensor(name).float().numpy()
    return tensors


def gguf_name(name):
    stem, suffix = name.rsplit(".", 1)
    if stem in OUTER:
        return f"{OUTER[stem]}.{suffix}"
    _, _, index, rest = stem.split(".", 3)
    return f"blk.{index}.{INNER[rest]}.{suffix}"


def interleaved(weight, head):
    """Half-split rotary rows as pairs: new row 2i + j of a head is old row j * head/2 + i."""
    return weight.reshape(-1, 2, head // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def divisors(rope, head):
    """The rotary divisors of Llama 3.1's scaling."""
    factor, low, high = (rope[key] for key in ("factor", "low_freq_factor", "high_freq_factor"))
    original = rope["original_max_position_embeddings"]
    result = []
    for i in range(head // 2):
        wavelength = 2 * math.pi * rope["rope_theta"] ** (2 * i / head)
        s = (original / wavelength - low) / (high - low)
        s = min(max(s, 0), 1)
        result.append(1 / ((1 - s) / factor + s))
    return np.array(result, np.float32)


def add_tokenizer(writer, directory, words, pre="gpt-2"):
    path = Path(directory) / "tokenizer.json"
    if not path.exists():
        return writer.add_tokenizer_model("none")
    tokenizer = json.loads(path.read_text())
    vocabulary, merges = tokenizer["model"]["vocab"], tokenizer["model"]["merges"]
    added = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    tokens = [""] * max(words, 1 + max(list(vocabulary.values()) + list(added.values())))
    for token, number in {**vocabulary, **added}.items():
        tokens[number] = token
    types = [3 if token in added else 1 for token in tokens]
    tokens = [token or f"[PAD{i}]" for i, token in enumerate(tokens)]
    pairs = [merge if isinstance(merge, list) else merge.split(" ") for merge in merges]
    if tokenizer["model"]["byte_fallback"]:
        order = {}
        for rank, (left, right) in enumerate(pairs):
            order.setdefault(left + right, rank)
        for number, token in enumerate(tokens):
            if token.startswith("<0x") and len(token) == 6:
                types[number] = 6
            if token == "<unk>":
                types[number] = 2
        writer.add_tokenizer_model("llama")
        writer.add_token_scores([-float(order.get(token, 0)) if token in order else -1e6
                                 for token in tokens])
        writer.add_unk_token_id(tokens.index("<unk>"))
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(pre)
        writer.add_token_merges([" ".join(pair) for pair in pairs])
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_add_bos_token(True)


def write(directory, output, kind, splits=None):
    """`kind` names the type of the matrices; where rows do not divide, they are Q8_0 or F16."""
    config = json.loads((Path(directory) / "config.json").read_text())
    architecture = {"mistral": "llama"}.get(config["model_type"], config["model_type"])
    heads, hidden = config["num_attention_heads"], config["hidden_size"]
    head = config.get("head_dim") or hidden // heads
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    rope = {"rope_theta": config.get("rope_theta", 10000.0), **rope}
    writer = gguf.GGUFWriter(str(output), architecture)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(hidden)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    for key in ("bos", "eos"):
        if isinstance(config.get(key + "_token_id"), int):
            getattr(writer, f"add_{key}_token_id")(config[key + "_token_id"])
    add_tokenizer(writer, directory, config["vocab_size"])
    kindof = rope.get("rope_type", rope.get("type"))
    if kindof == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if kindof == "llama3":
        writer.add_tensor("rope_freqs.weight", divisors(rope, head))
    for name, tensor in sorted(read(directory).items()):
        if architecture == "llama" and ("q_proj" in name or "k_proj" in name):
            tensor = interleaved(tensor, head)
        add(writer, gguf_name(name), np.ascontiguousarray(tensor), kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add(writer, name, tensor, kind):
    if tensor.ndim == 1:
        kind = "F32"
    elif tensor.shape[1] % ggml.TYPES[kind][1]:
        kind = "Q8_0" if tensor.shape[1] % 32 == 0 else "F16"
    if kind == "F32":
        return writer.add_tensor(name, tensor)
    if kind == "F16":
        return writer.add_tensor(name, tensor.astype(np.float16))
    if kind == "BF16":
        data = gguf.quants.quantize(tensor, gguf.GGMLQuantizationType.BF16)
    else:
        data = ggml.quantize(kind, tensor)
    writer.add_tensor(name, data, raw_dtype=gguf.GGMLQuantizationType[kind])
