"""GGUF files of Halftone and of ggml's own quantizers, in Halftone and in llama.cpp.

For each model and type, once written by `halftone convert` and once by gguf-py with ggml's
quantizers: does llama.cpp load the file, is the greedy text the same, how far are the
perplexities apart? Prints a table and fails where text differs before a near tie or perplexity by
more than 0.5 %. Needs the versions of Scripts/golden/requirements.txt.

    python Scripts/interop/gguf_files.py .build/release/halftone [model ...]
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Scripts/golden"))
import huggingface_gguf  # noqa: E402
import llama  # noqa: E402

TYPES = ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q2_k", "q3_k_m", "q4_k_m",
         "q5_k_m", "q6_k", "iq4_nl", "iq4_xs", "tq1_0", "tq2_0", "mxfp4"]
GGML = ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K",
        "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4"]
TEXTS = {"stories260k": "tinystories-test.txt", "books-7m": "books-test.txt"}
PROMPTS = {"stories260k": "Once upon a time", "books-7m": "It was a dark"}
CONTEXT, WINDOWS, CHARACTERS, TOKENS = 128, 8, 20000, 32


def halftone(program, *arguments):
    done = subprocess.run([program, *map(str, arguments), "--json", "--quiet"],
                          capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"halftone {' '.join(map(str, arguments))}: {done.stderr}")
    return json.loads(done.stdout)


def first_difference(model, prompt, ours, theirs):
    """The gap between the two largest logits of llama.cpp where the texts part, or None."""
    for i, (a, b) in enumerate(zip(ours, theirs)):
        if a != b:
            top = sorted(model.logits(model.ids(prompt) + theirs[:i])[-1])[-2:]
            return i, float(top[1] - top[0])
    return None


def compare(program, path, name, text_file):
    model = llama.Model(path)
    prompt = PROMPTS[name]
    _, theirs = model.greedy(prompt, TOKENS)
    result = halftone(program, "generate", path, "--prompt", prompt, "--tokens", TOKENS,
                      "--temperature", 0)
    parted = first_difference(model, prompt, result["ids"], theirs)
    text = text_file.read_text()
    a = model.perplexity(text, CONTEXT, WINDOWS)
    b = halftone(program, "evaluate", path, "--text", text_file, "--context", CONTEXT,
                 "--windows", WINDOWS)["perplexity"]
    model.close()
    same = "yes" if parted is None else f"to {parted[0]} (gap {parted[1]:.3f})"
    ok = abs(b / a - 1) < 0.005 and (parted is None or parted[1] < 0.25)
    return same, a, b, ok


def main():
    program, *models = sys.argv[1:]
    failed = 0
    print(f"{'model':12} {'made by':9} {'type':8} {'bytes':>9}  {'same text':22} "
          f"{'llama.cpp':>10} {'halftone':>10} {'apart':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for name in models or TEXTS:
            source = ROOT / "Resources/models" / name
            text = Path(folder) / "text.txt"
            text.write_text((ROOT / "Resources/text" / TEXTS[name]).read_text()[:CHARACTERS])
            cases = [("halftone", kind) for kind in TYPES] + [("ggml", kind) for kind in GGML]
            for maker, kind in cases:
                path = Path(folder) / f"{maker}.gguf"
                if maker == "halftone":
                    halftone(program, "convert", source, "--format", "gguf", "--type", kind,
                             "--output", path, "--overwrite")
                else:
                    huggingface_gguf.write(source, path, kind)
                same, a, b, ok = compare(program, path, name, text)
                failed += not ok
                print(f"{name:12} {maker:9} {kind:8} {path.stat().st_size:9}  {same:22} {a:10.4f} "
                      f"{b:10.4f} {100 * (b / a - 1):+7.3f}%{'' if ok else '  FAILED'}", flush=True)
    sys.exit(1 if failed else 0)


main()
