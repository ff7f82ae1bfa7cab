#!/usr/bin/env python3
"""Golden safetensors files: every element type, odd alignment, and files a reader must refuse.

Writes Tests/HalftoneCheckpointsTests/Golden/safetensors. The bytes are laid out here from the
format's rules, not by the library; every valid file is then read by the safetensors library and
every broken one refused by it.

    pip install -r requirements.txt
    python safetensors_files.py
"""
import json
import struct
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

GOLDEN = (Path(__file__).resolve().parents[2]
          / "Tests/HalftoneCheckpointsTests/Golden/safetensors")

# Values that every type with a sign, a fraction and this range can hold.
FLOATS = [0.0, -0.0, 1.0, -1.5, 0.375, 448.0, float("inf"), float("-inf"), float("nan")]
FINITE = [0.0, -0.0, 1.0, -1.5, 0.375, 448.0, 2.0**-9]
TORCH = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U64": torch.uint64, "U32": torch.uint32, "U16": torch.uint16, "U8": torch.uint8,
    "BOOL": torch.bool,
}


def values_of(kind: str) -> list:
    """Ends of the range of an integer type, special values of a floating-point one."""
    if kind == "BOOL":
        return [True, False, True]
    if kind[0] in "IU":
        limits = np.iinfo(f"{'u' if kind[0] == 'U' else ''}int{kind[1:]}")
        return [int(limits.min), 0, 1, int(limits.max)]
    return FINITE if kind == "F8_E4M3" else FLOATS


def encode(kind: str, values: list) -> bytes:
    if kind in ("U16", "U32", "U64"):
        return np.array(values, f"<u{int(kind[1:]) // 8}").tobytes()
    tensor = torch.tensor(values, dtype=torch.float64 if kind[0] in "FB" and kind != "BOOL"
                          else TORCH[kind]).to(TORCH[kind])
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


def header_and_data(entries: list[tuple[str, str, list[int], bytes]]) -> tuple[dict, bytes]:
    header, data = {}, b""
    for name, kind, shape, content in entries:
        header[name] = {"dtype": kind, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    return header, data


def pack(header: dict | bytes, data: bytes, align: int = 8) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(
        header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(8 + len(text)) % align)
    return struct.pack("<Q", len(text)) + text + data


def valid_files() -> dict[str, bytes]:
    every = [(kind.lower(), kind, [len(values_of(kind))], encode(kind, values_of(kind)))
             for kind in TORCH]
    header, data = header_and_data(every)
    ramp = np.arange(6, dtype="<f4").tobytes()
    metadata = {"format": "pt", "note": "é \"1\""}
    files = {"all-types": pack({"__metadata__": metadata, **header}, data)}

    # One odd byte first, and a header length that is no multiple of 8: nothing is aligned.
    header, data = header_and_data([
        ("byte", "U8", [1], b"\x7f"), ("ramp", "F32", [2, 3], ramp),
        ("half", "F16", [1], encode("F16", [0.5])), ("long", "I64", [1], encode("I64", [-2]))])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (1 + -len(text) % 8)  # 8 + N is 1 beyond a multiple of 8
    files["unaligned"] = pack(text, data, align=1)

    header, data = header_and_data([
        ("scalar", "F32", [], encode("F32", [2.5])), ("empty", "F32", [0, 4], b""),
        ("deep", "I32", [1, 2, 1, 2], encode("I32", [1, 2, 3, 4]))])
    files["shapes"] = pack(header, data)

    # The JSON lists the tensors in another order than the data, with whitespace and escapes.
    header, data = header_and_data([
        ("second", "I8", [2], encode("I8", [-1, 1])), ("first/ü", "I8", [1], encode("I8", [5]))])
    text = json.dumps(dict(reversed(header.items())), indent=1, ensure_ascii=True).encode()
    files["reordered"] = pack(text, data)
    files["no-tensors"] = pack({}, b"")
    files["only-metadata"] = pack({"__metadata__": {"format": "pt"}}, b"")
    return files


def broken_files() -> dict[str, bytes]:
    ramp = np.arange(4, dtype="<f4").tobytes()

    def one(entry: dict, data: bytes = ramp) -> bytes:
        good = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
        return pack({"a": good | entry}, data)

    # Keeping only one of the two would leave a hole.
    twice = ",".join(f'"a":{{"dtype":"F32","shape":[2],"data_offsets":[{i},{i + 8}]}}'
                     for i in (0, 8))
    return {
        "empty-file": b"",
        "short-length": b"\x10\x00\x00",
        "length-beyond-file": struct.pack("<Q", 1 << 20) + b"{}",
        "length-huge": struct.pack("<Q", (1 << 64) - 1) + b"{}",
        "not-json": pack(b"{\"a\": nonsense}", ramp),
        "not-an-object": pack(b"[1, 2, 3]", b""),
        "not-utf8": pack(b"{\"\xff\xfe\": 1}", b""),
        "duplicate-name": pack(f"{{{twice}}}".encode(), ramp),
        "unknown-type": one({"dtype": "F24"}),
        "shape-too-large": one({"shape": [5]}),
        "shape-overflow": one({"shape": [1 << 32, 1 << 32, 1 << 32]}),
        "shape-negative": one({"shape": [-4]}),
        "offsets-reversed": one({"data_offsets": [16, 0]}),
        "offsets-beyond-end": one({"data_offsets": [16, 32]}),
        "truncated-data": one({}, ramp[:-1]),
        "trailing-data": one({}, ramp + b"\x00"),
        "hole": pack({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                      "b": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]}}, ramp[:12]),
        "overlap": pack({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                         "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}, ramp[:12]),
        "not-from-zero": one({"shape": [3], "data_offsets": [4, 16]}),
        "metadata-not-text": pack({"__metadata__": {"format": 1}}, b""),
    }


def check_valid(path: Path) -> dict:
    """What the library reads: floating-point numbers and 64-bit integers as text."""
    found = {}
    with safe_open(path, "pt") as file:
        for name in file.keys():
            tensor = file.get_tensor(name)
            kind = file.get_slice(name).get_dtype()
            floating = tensor.is_floating_point()
            flat = tensor.double() if floating else tensor
            values = flat.flatten().tolist()
            if floating:
                values = ["nan" if x != x else repr(x) for x in values]
            elif kind in ("I64", "U64"):
                values = [str(x) for x in values]
            found[name] = {"dtype": kind, "shape": list(tensor.shape), "values": values}
        found["__metadata__"] = file.metadata() or {}
    return found


def main() -> None:
    expected = {}
    for folder, files in (("valid", valid_files()), ("broken", broken_files())):
        (GOLDEN / folder).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            path = GOLDEN / folder / f"{name}.safetensors"
            path.write_bytes(content)
            if folder == "valid":
                expected[name] = check_valid(path)
                continue
            try:
                with safe_open(path, "pt"):
                    pass
            except Exception as error:  # the library's own error types are not public
                print(f"{name}: {error}")
            else:
                raise AssertionError(f"{name} was accepted")
    (GOLDEN / "expected.json").write_text(
        json.dumps(expected, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
