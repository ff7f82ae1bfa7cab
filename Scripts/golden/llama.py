"""llama.cpp through ctypes: the functions of its C interface that the xllamacpp wheel exports."""
import ctypes
import os
from pathlib import Path

import numpy as np
import xllamacpp

library = ctypes.CDLL(str(next(Path(xllamacpp.__file__).parent.glob("*.so"))))


class Opaque(ctypes.Structure):
    """Parameters returned and passed by value; larger than any of theirs, which does no harm."""
    _fields_ = [("bytes", ctypes.c_uint8 * 1024)]


class Batch(ctypes.Structure):
    _fields_ = [
        ("n_tokens", ctypes.c_int32), ("token", ctypes.POINTER(ctypes.c_int32)),
        ("embd", ctypes.c_void_p), ("pos", ctypes.POINTER(ctypes.c_int32)),
        ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    ]


def declare(name, result, *arguments):
    function = getattr(library, name)
    function.restype = result
    function.argtypes = arguments
    return function


pointer, integer, text = ctypes.c_void_p, ctypes.c_int32, ctypes.c_char_p
model_defaults = declare("llama_model_default_params", Opaque)
context_defaults = declare("llama_context_default_params", Opaque)
load = declare("llama_model_load_from_file", pointer, text, Opaque)
new_context = declare("llama_init_from_model", pointer, pointer, Opaque)
free_context = declare("llama_free", None, pointer)
free_model = declare("llama_model_free", None, pointer)
vocabulary_of = declare("llama_model_get_vocab", pointer, pointer)
token_count = declare("llama_vocab_n_tokens", integer, pointer)
tokenize = declare("llama_tokenize", integer, pointer, text, integer, pointer, integer,
                   ctypes.c_bool, ctypes.c_bool)
batch_init = declare("llama_batch_init", Batch, integer, integer, integer)
batch_free = declare("llama_batch_free", None, Batch)
decode = declare("llama_decode", integer, pointer, Batch)
logits_of = declare("llama_get_logits_ith", pointer, pointer, integer)
is_end = declare("llama_vocab_is_eog", ctypes.c_bool, pointer, integer)
Silent = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
silent = Silent(lambda level, message, data: None)
if not os.environ.get("LLAMA_LOG"):
    declare("llama_log_set", None, Silent, pointer)(silent, None)
declare("llama_backend_init", None)()


class Model:
    """A GGUF file opened by llama.cpp."""

    def __init__(self, path, context=512, threads=2):
        self.model = load(os.fsencode(path), model_defaults())
        if not self.model:
            raise ValueError(f"llama.cpp does not load {path}")
        self.vocabulary = vocabulary_of(self.model)
        self.size, self.capacity = token_count(self.vocabulary), context
        self.context = None

    def ids(self, string, special=True, parse=True):
        data = string.encode()
        out = (integer * (len(data) + 16))()
        count = tokenize(self.vocabulary, data, len(data), out, len(out), special, parse)
        return list(out[:count])

    def logits(self, ids):
        """The logits after each of `ids`, run from an empty context: [len(ids), words]."""
        params = context_defaults()
        words = ctypes.cast(ctypes.pointer(params), ctypes.POINTER(ctypes.c_uint32))
        words[0] = words[1] = words[2] = max(32, len(ids))
        context = new_context(self.model, params)
        batch = batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, 1
            batch.seq_id[i][0] = 0
        assert decode(context, batch) == 0
        rows = [np.ctypeslib.as_array(
            ctypes.cast(logits_of(context, i), ctypes.POINTER(ctypes.c_float)), (self.size,)).copy()
            for i in range(len(ids))]
        batch_free(batch)
        free_context(context)
        return np.stack(rows)

    def greedy(self, prompt, count):
        """The ids of `prompt` and of the `count` likeliest after it, fewer at the text's end."""
        ids = self.ids(prompt)
        new = []
        for _ in range(count):
            token = int(self.logits(ids + new)[-1].argmax())
            if is_end(self.vocabulary, token):
                break
            new.append(token)
        return ids, new

    def perplexity(self, text, context, windows):
        """exp of the mean negative log-likelihood in windows of `context` ids of the text."""
        ids = self.ids(text)
        total, count = 0.0, 0
        for start in range(0, len(ids) - context + 1, context)[:windows]:
            window = ids[start:start + context]
            logits = self.logits(window)[:-1].astype(np.float64)
            norms = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1)
            total += (norms - logits[np.arange(context - 1), window[1:]]).sum()
            count += context - 1
        return float(np.exp(total / count))

    def close(self):
        free_model(self.model)
