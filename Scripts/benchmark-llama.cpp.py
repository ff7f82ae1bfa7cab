#!/usr/bin/env python3
"""Runs one GGUF file through llama.cpp and through Halftone in alternation, and prints both.

    pip install xllamacpp
    benchmark-llama.cpp.py model-q4_0.gguf [--pairs 5] [--json]
    benchmark-llama.cpp.py model.gguf --library build/bin/libllama.so     # a build of one's own
    benchmark-llama.cpp.py model.gguf --llama-bench build/bin/llama-bench

Each measurement is a fresh process that loads the model once, runs both tests once to warm up, and
then repeats them; its figure is the median. The tests are those of llama-bench: `--prompt` tokens
at once into an empty cache, then from an empty cache `--tokens` tokens one after the other. No
sampling, no text. llama.cpp is called through its C functions, with its defaults otherwise (memory
map, weights repacked where it has kernels for that, flash attention chosen by it, 16-bit cache).

xllamacpp is built for processors with AVX2. For a comparison with the best that llama.cpp can do,
build it on the machine (GGML_NATIVE=ON) and give --library or --llama-bench; the instructions that
its kernels use are printed first.

Peak memory is the resident set of the process, which counts the mapped pages of the model file.
"""
import argparse
import ctypes
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

METRICS = (("prefill_tokens_per_second", "prefill tok/s"),
           ("decode_tokens_per_second", "decode tok/s"))


# The side of llama.cpp: a process of its own, called with --child.


class Parameters(ctypes.Structure):
    """Room for any version's parameter structure, which is passed through memory."""
    _fields_ = [("words", ctypes.c_int32 * 256)]


class Batch(ctypes.Structure):
    _fields_ = [("count", ctypes.c_int32)] + [
        (name, ctypes.c_void_p)
        for name in ("tokens", "embeddings", "positions", "sequence_counts", "sequences",
                     "outputs")]


def xllamacpp_library():
    spec = importlib.util.find_spec("xllamacpp")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("xllamacpp is not installed; pip install xllamacpp, or give --library")
    for folder in spec.submodule_search_locations:
        for file in sorted(Path(folder).glob("xllamacpp*.so")):
            return file
    sys.exit("no shared library in xllamacpp; give --library")


def load_library(path):
    library = ctypes.CDLL(str(path))
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    signatures = {
        "llama_backend_init": ([], None),
        "llama_log_set": ([pointer, pointer], None),
        "llama_print_system_info": ([], text),
        "llama_model_default_params": ([], Parameters),
        "llama_context_default_params": ([], Parameters),
        "llama_model_load_from_file": ([text, Parameters], pointer),
        "llama_init_from_model": ([pointer, Parameters], pointer),
        "llama_model_get_vocab": ([pointer], pointer),
        "llama_vocab_n_tokens": ([pointer], ctypes.c_int32),
        "llama_get_memory": ([pointer], pointer),
        "llama_memory_clear": ([pointer, ctypes.c_bool], None),
        "llama_batch_get_one": ([pointer, ctypes.c_int32], Batch),
        "llama_decode": ([pointer, Batch], ctypes.c_int32),
        "llama_synchronize": ([pointer], None),
    }
    for name, (arguments, result) in signatures.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, result
    return library


def context_parameters(library, positions, threads):
    """The defaults with our length and threads.

    Versions differ in what lies between the batch sizes and the two numbers of threads, which are
    4 by default; everything else stays as it is.
    """
    parameters = library.llama_context_default_params()
    words = list(parameters.words[:16])
    at = next((i for i in range(3, 15) if words[i:i + 2] == [4, 4]), None)
    if words[1:3] != [2048, 512] or at is None:
        sys.exit(f"llama.cpp's context parameters have an unknown layout: {words}")
    parameters.words[0] = positions
    parameters.words[at] = parameters.words[at + 1] = threads
    return parameters


class LlamaModel:
    def __init__(self, options):
        self.library = load_library(options.library or xllamacpp_library())
        self.silence = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(
            lambda *_: None)
        self.library.llama_log_set(ctypes.cast(self.silence, ctypes.c_void_p), None)
        # Builds with loadable kernels find them beside the library.
        if options.library and hasattr(self.library, "ggml_backend_load_all_from_path"):
            self.library.ggml_backend_load_all_from_path(str(options.library.parent).encode())
        self.library.llama_backend_init()
        start = time.perf_counter()
        self.model = self.library.llama_model_load_from_file(
            str(options.model).encode(), self.library.llama_model_default_params())
        if not self.model:
            sys.exit(f"llama.cpp cannot load {options.model}")
        self.load_seconds = time.perf_counter() - start
        positions = max(options.prompt, options.tokens)
        self.context = self.library.llama_init_from_model(
            self.model, context_parameters(self.library, positions, options.threads))
        if not self.context:
            sys.exit(f"llama.cpp cannot make a context of {positions} positions")
        self.memory = self.library.llama_get_memory(self.context)
        self.words = self.library.llama_vocab_n_tokens(
            self.library.llama_model_get_vocab(self.model))

    def seconds(self, steps, length):
        """The time of `steps` batches of `length` random tokens each, from an empty cache."""
        library, context = self.library, self.context
        ids = (ctypes.c_int32 * (steps * length))(
            *(random.randrange(self.words) for _ in range(steps * length)))
        batches = [
            library.llama_batch_get_one(ctypes.addressof(ids) + 4 * i * length, length)
            for i in range(steps)]
        library.llama_memory_clear(self.memory, False)
        decode, synchronize, failed = library.llama_decode, library.llama_synchronize, 0
        start = time.perf_counter()
        for batch in batches:
            failed |= decode(context, batch)
            synchronize(context)
        end = time.perf_counter()
        if failed:
            sys.exit(f"llama_decode failed on a batch of {length} tokens")
        return end - start


def child(options):
    random.seed(0)
    model = LlamaModel(options)
    batches = -(-options.prompt // 2048)
    if options.prompt % batches:
        sys.exit("a prompt of more than 2048 tokens must divide into equal batches")
    prompt = (batches, options.prompt // batches)
    model.seconds(*prompt)
    model.seconds(options.tokens, 1)
    prefill, decode = [], []
    for _ in range(options.repetitions):
        prefill.append(options.prompt / model.seconds(*prompt))
        decode.append(options.tokens / model.seconds(options.tokens, 1))
    print(json.dumps({
        "prefill_tokens_per_second": statistics.median(prefill),
        "decode_tokens_per_second": statistics.median(decode),
        "load_seconds": model.load_seconds,
        "system": model.library.llama_print_system_info().decode().strip(),
        "prefill": prefill, "decode": decode}))


# The comparison.


def output_of(command):
    """Standard output and peak resident bytes of a process; ends with its message if it fails."""
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("OPENBLAS_")}
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{' '.join(map(str, command))}: exit status {process.returncode}")
        out.seek(0)
        text = out.read()
    scale = 1 if sys.platform == "darwin" else 1024
    return json.loads(text), usage.ru_maxrss * scale


def sizes(options):
    return [word for name in ("prompt", "tokens", "threads", "repetitions")
            for word in (f"--{name}", str(getattr(options, name)))]


def measure_llama(options):
    if options.llama_bench:
        return measure_llama_bench(options)
    command = [sys.executable, __file__, str(options.model), "--child", *sizes(options)]
    if options.library:
        command += ["--library", str(options.library)]
    result, peak = output_of(command)
    return result | {"peak_bytes": peak}


def measure_llama_bench(options):
    result, peak = output_of([
        str(options.llama_bench), "-m", str(options.model), "-p", str(options.prompt),
        "-n", str(options.tokens), "-t", str(options.threads), "-r", str(options.repetitions),
        "-o", "json"])
    rates = {"prefill" if entry["n_gen"] == 0 else "decode": entry["samples_ts"]
             for entry in result}
    return {
        "prefill_tokens_per_second": statistics.median(rates["prefill"]),
        "decode_tokens_per_second": statistics.median(rates["decode"]),
        "system": f"{result[0].get('cpu_info', '')} build {result[0].get('build_number', '')}",
        "peak_bytes": peak, **rates}


def measure_halftone(options):
    command = [str(options.halftone), "benchmark", str(options.model), "--json", *sizes(options)]
    if options.cache:
        command += ["--cache", options.cache]
    result, peak = output_of(command)
    # The command's own figure leaves out its measurement of the memory's speed.
    return {"peak_bytes": peak} | result


def line(text):
    print(text, flush=True)


def run(options):
    report = (lambda _: None) if options.json else line
    pairs = []
    for index in range(options.pairs):
        measured = {}
        names = ["llama", "halftone"] if options.halftone else ["llama"]
        for name in names if index % 2 == 0 else reversed(names):
            measured[name] = (measure_llama if name == "llama" else measure_halftone)(options)
        if index == 0:
            report(f"llama.cpp: {measured['llama']['system']}")
        pairs.append(measured)
        report(f"pair {index + 1}: " + "; ".join(
            pair_text(measured, key, label) for key, label in METRICS) + memory_text(measured))
    summary = summarized(pairs)
    report("median: " + "; ".join(
        median_text(summary, key, label) for key, label in METRICS) + memory_text(pairs[-1]))
    if options.json:
        line(json.dumps({"model": str(options.model), "threads": options.threads,
                         "prompt": options.prompt, "tokens": options.tokens,
                         "median": summary, "pairs": pairs}, indent=2))


def pair_text(measured, key, label):
    theirs = measured["llama"][key]
    if "halftone" not in measured:
        return f"{label} {theirs:.1f}"
    ours = measured["halftone"][key]
    return f"{label} {theirs:.1f} / {ours:.1f} = {ours / theirs:.3f} x"


def median_text(summary, key, label):
    values = summary[key]
    if "ratio" not in values:
        return f"{label} {values['llama']:.1f}"
    return f"{label} {values['llama']:.1f} / {values['halftone']:.1f} = {values['ratio']:.3f} x"


def memory_text(measured):
    return "; peak MB " + " / ".join(
        f"{measured[name]['peak_bytes'] / 1e6:.0f}" for name in ("llama", "halftone")
        if name in measured)


def summarized(pairs):
    """The medians of both, and the median of the pairs' ratios."""
    summary = {}
    for key, _ in METRICS:
        summary[key] = {name: statistics.median(pair[name][key] for pair in pairs)
                        for name in pairs[0]}
        if "halftone" in pairs[0]:
            summary[key]["ratio"] = statistics.median(
                pair["halftone"][key] / pair["llama"][key] for pair in pairs)
    return summary


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--llama-bench", type=Path, help="measure with this program instead")
    parser.add_argument("--library", type=Path, help="a libllama.so instead of xllamacpp's")
    parser.add_argument("--halftone", type=Path, help="the halftone program to compare with")
    parser.add_argument("--cache", choices=["f16", "int8", "int4"], help="Halftone's cache")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--repetitions", type=int, default=3, help="in each process")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    for name in ("threads", "prompt", "tokens", "repetitions", "pairs"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1")
    if not options.model.is_file():
        parser.error(f"no such file: {options.model}")
    if options.child:
        return child(options)
    run(options)


if __name__ == "__main__":
    main()
