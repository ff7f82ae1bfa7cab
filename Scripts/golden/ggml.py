"""ggml's own quantizers and decoders, called in the shared library of the xllamacpp wheel."""
import ctypes
from pathlib import Path

import numpy as np
import xllamacpp

# name: (number in files, elements a block, bytes a block)
TYPES = {
    "F32": (0, 1, 4), "F16": (1, 1, 2), "BF16": (30, 1, 2),
    "Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20), "Q5_0": (6, 32, 22), "Q5_1": (7, 32, 24),
    "Q8_0": (8, 32, 34), "Q2_K": (10, 256, 84), "Q3_K": (11, 256, 110), "Q4_K": (12, 256, 144),
    "Q5_K": (13, 256, 176), "Q6_K": (14, 256, 210), "IQ4_NL": (20, 32, 18),
    "IQ4_XS": (23, 256, 136), "TQ1_0": (34, 256, 54), "TQ2_0": (35, 256, 66),
    "MXFP4": (39, 32, 17),
}
# Where the f16 factors of a block lie.
FACTORS = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82],
    "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0],
    "TQ1_0": [52], "TQ2_0": [64], "MXFP4": [],
}
BLOCKS = list(FACTORS)

library = ctypes.CDLL(str(next(Path(xllamacpp.__file__).parent.glob("*.so"))))
library.ggml_quantize_chunk.restype = ctypes.c_size_t
library.ggml_quantize_chunk.argtypes = [
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
    ctypes.c_int64, ctypes.c_void_p,
]


def quantize(name: str, rows: np.ndarray) -> np.ndarray:
    """Blocks of float rows [n, columns], as bytes [n, bytes a row]."""
    number, length, size = TYPES[name]
    rows = np.ascontiguousarray(rows, np.float32)
    out = np.zeros((rows.shape[0], rows.shape[1] // length * size), np.uint8)
    written = library.ggml_quantize_chunk(
        number, rows.ctypes.data, out.ctypes.data, 0, rows.shape[0], rows.shape[1], None)
    assert written == out.nbytes, (name, written, out.nbytes)
    return out


def dequantize(name: str, blocks: np.ndarray) -> np.ndarray:
    """The floats of rows of blocks."""
    _, length, size = TYPES[name]
    blocks = np.ascontiguousarray(blocks, np.uint8)
    out = np.zeros((blocks.shape[0], blocks.shape[1] // size * length), np.float32)
    function = getattr(library, "dequantize_row_" + name[:-1].lower() + name[-1]
                       if name.endswith("K") else "dequantize_row_" + name.lower())
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    function.restype = None
    function(blocks.ctypes.data, out.ctypes.data, out.size)
    return out
