"""GGUF files made without Halftone, and what llama.cpp makes of them.

Writes Tests/HalftonePipelineTests/Golden/gguf; needs the versions of requirements.txt.

* The tiny models of Tests/HalftoneModelsTests/Golden, in F32: they must give the logits that
  transformers gave for the originals.
* stories260k in Q4_0 with models.json: ids of prompts, greedy text and perplexity of llama.cpp.
* Vocabularies under a one-layer network, with tokenizers.json: the ids that llama.cpp gives the
  strings of Tests/HalftoneTokenizersTests/Golden/strings.json, for byte-level ones with every way
  of splitting (`tokenizer.ggml.pre`). Strings that are no UTF-8 are left out.
"""
import json
from pathlib import Path

import gguf
import huggingface_gguf
import llama
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "Tests/HalftonePipelineTests/Golden/gguf"
MODELS = ROOT / "Tests/HalftoneModelsTests/Golden"
TOKENIZERS = ROOT / "Tests/HalftoneTokenizersTests/Golden"
TINY = ["llama-llama3-rope-biases", "llama-linear-rope-old-keys", "qwen2-tied", "qwen3-sharded"]
STYLES = ["gpt-2", "llama-bpe", "qwen2", "default", "smollm", "tekken", "gpt-4o"]
PROMPTS = ["Once upon a time", "Lily saw a big", "The"]


def vocabulary_file(directory, output, pre):
    tokenizer = json.loads((Path(directory) / "tokenizer.json").read_text())
    words = 1 + max(list(tokenizer["model"]["vocab"].values())
                    + [token["id"] for token in tokenizer["added_tokens"]])
    writer = gguf.GGUFWriter(str(output), "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    names = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    for names_of, key in [(("<s>", "<|begin_of_text|>", "<bos>"), "bos"),
                          (("</s>", "<|end_of_text|>", "<eos>", "<|endoftext|>"), "eos")]:
        found = [names[name] for name in names_of if name in names]
        if found:
            getattr(writer, f"add_{key}_token_id")(found[0])
    huggingface_gguf.add_tokenizer(writer, directory, words, pre)
    writer.add_tensor("token_embd.weight", np.zeros((words, 32), np.float16))
    for name in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]:
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros((32, 32), np.float16))
    for name in ["output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"]:
        writer.add_tensor(f"{name}.weight", np.zeros(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def strings():
    result = []
    for digits in json.loads((TOKENIZERS / "strings.json").read_text()):
        try:
            result.append(bytes.fromhex(digits).decode())
        except UnicodeDecodeError:
            pass
    return [text for text in result if "\0" not in text]


def tokenizers():
    cases = []
    texts = strings()
    for name, styles in [("gpt2", STYLES), ("llama2", ["llama"])]:
        for style in styles:
            output = GOLDEN / f"{name}.gguf"
            vocabulary_file(TOKENIZERS / "Tokenizers" / name, output, style)
            model = llama.Model(output)
            cases.append({"file": output.name, "pre": style,
                          "ids": [model.ids(text, special=False) for text in texts]})
            model.close()
    return {"strings": texts, "cases": cases}


def models():
    for name in TINY:
        huggingface_gguf.write(MODELS / name, GOLDEN / f"{name}.gguf", "F32")
    output = GOLDEN / "stories260k-Q4_0.gguf"
    huggingface_gguf.write(ROOT / "Resources/models/stories260k", output, "Q4_0")
    model = llama.Model(output)
    text = (ROOT / "Resources/text/tinystories-test.txt").read_text()[:8000]
    greedy = []
    for prompt in PROMPTS:
        ids, new = model.greedy(prompt, 24)
        greedy.append({"prompt": prompt, "ids": ids, "new": new})
    return {"greedy": greedy, "context": 128, "windows": 4, "characters": 8000,
            "perplexity": model.perplexity(text, 128, 4)}


GOLDEN.mkdir(parents=True, exist_ok=True)
for name, document in [("models", models()), ("tokenizers", tokenizers())]:
    text = json.dumps(document, indent=1, ensure_ascii=True)
    (GOLDEN / f"{name}.json").write_text(text + "\n")
