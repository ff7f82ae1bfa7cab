"""Makes Tests/HalftoneTokenizersTests/Golden with Hugging Face tokenizers.

Run from the repository's root:  python Scripts/golden/tokenizer_ids.py
Needs tokenizers==0.23.3. Everything is seeded and trained on Resources/text, so a second run
writes the same bytes.
"""

import json
import random
import sys
from pathlib import Path

# This script's own folder comes first in the search path and would shadow the package.
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).parent]

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

assert tokenizers.__version__ == "0.23.3", tokenizers.__version__
assert Path(tokenizers.__file__).name == "__init__.py"

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "Tests/HalftoneTokenizersTests/Golden"
TEXT = ROOT / "Resources/text"
SHIPPED = ["books-7m", "stories260k"]

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

# Pieces that the rules treat differently; random strings are made of them.
PIECES = [
    " ", "  ", "   ", "\n", "\r\n", "\r", "\t", "\u00a0", "\u3000", "\u0085", "\u200b", "\u2028",
    "\u180e", "\ufeff", "\x00", "\x1c", "\x0b", "\x7f", "'s", "'S", "'ſ", "'re", "'VE", "'ll",
    "'lL", "'", "’s", "a", "Z", "the", "Hello", "world", "é", "e\u0301", "\u0301", "ß", "İ", "ǆ",
    "\u212a", "\u1e9b\u0323", "한", "\u1112\u1161\u11ab", "中文", "か\u3099", "שלום", "مرحبا",
    "नमस्ते", "ไทย", "1", "42", "2024", "1234567", "٣", "Ⅷ", "½", "²", "🙂", "👩\u200d👩\u200d👧",
    "🇫🇷", "☃\ufe0f", "_", "-", "...", "!?", "<", ">", "▁", "Ġ", "Ċ", "<s>", "</s>", "<unk>",
    "<0x41>", "<0xE2>", "\ufffd", "𝔘", "𐍈", "<|begin_of_text|>", "<|end_of_text|>", "<|eot|>",
    "<|im_start|>", "<word>", "<left>", "<right>", "<both>", "<norm>", "<é>", "<e\u0301>",
    "<one>", "<one><two>", "<onetwo>",
]

# Written out: bytes, because some are not UTF-8.
WRITTEN = [
    b"", b" ", b"\n", b"a", b"Hello, world!", b" leading", b"trailing ", b"  two  spaces  ",
    b"\t\ttabs\tand\n\n\nnewlines\r\n\r\nCRLF \r\n x", b" " * 100, b"\n" * 50, b"\t" * 33 + b"x",
    b"a" * 200, b"abc" * 70, "don't you've I'M he'LL it'ſ 'tis 're".encode(),
    "0 12 345 6789 1234567890 3.14 1,000 ٣٤٥ ⅧⅨ ½¾ x² 1️⃣".encode(),
    "Zoë naïve café cafe\u0301 o\u0302\u0323 \u1112\u1161\u11ab a\u0315\u0300\u05ae\u0062".encode(),
    "🙂👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇫🇷🇩🇪 ❤️".encode(), "日本語のテキスト。中文，标点！한국어 조합".encode(),
    "שָׁלוֹם עולם مرحبا بالعالم 123 \u202eabc\u202c".encode(),
    "हिन्दी नमस्ते தமிழ் ไทยไม่มีช่องว่าง".encode(),
    "\x00\x01\x02\x1b[31mred\x1b[0m\x7f\u0080\u009f".encode(),
    "\ufeffBOM \u200bzero\u200d\u00adwidth".encode(),
    "a\u00a0b\u2003c\u3000d\u2028e\u2029f\u0085g\x1ch\u180ei".encode(),
    b"<s>text</s> <unk><s> <s>", b"<|begin_of_text|>in<|end_of_text|> <|eot|>x",
    b"x <word> <word>y z<word> <word>. _<word>", b"a  <left>  b  <right>  c  <both>  d",
    b"<both>  <both>\n<left><right> \t <left>", "a<norm>b <norm> \u00e9<norm>".encode(),
    "<é> <e\u0301> x<é>".encode(), b"<one><two><onetwo> <on <one", b"  <left>", b"<right>  ",
    "▁under▁▁score ▁ Ġ Ċ".encode(), b"<0x41><0x0A>", b"\xff\xfe\xfa", b"ok \xe2\x82 cut", b"\xc3",
    b"\xf0\x9f\x99 \xf0\x9f \xed\xa0\x80 \xc0\xaf \xf5\x80\x80\x80", b"\xe2\x82\xac\xe2\x82",
    "\U0010ffff\U000e0001\U0001f9ff\ue000".encode(), "ﬁ ﬀ Å Å Ω ʼn \u0344 \u0958 \ufb1d".encode(),
    b"def f(x):\n    return x  # comment\n\n\tif x:\n\t\tpass\n",
    b"http://example.org/a_b?c=d&e=%20f#g  user@host.org",
    " extraordinarily extraordinarily".encode(), b"MixedCASE HTTPServer iPhone15ProMax",
]


def strings():
    rng = random.Random(7)
    made = ["".join(rng.choices(PIECES, k=rng.randint(2, 14))).encode() for _ in range(80)]
    return WRITTEN + made


def fnv(ids):
    """FNV-1a, 64 bits, over each id as four little-endian bytes."""
    value = 0xCBF29CE484222325
    for number in ids:
        for byte in number.to_bytes(4, "little"):
            value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def corpus(name):
    return (TEXT / name).read_bytes().decode("utf-8", errors="replace")


def training_text():
    """A slice of each kind of text."""
    names = ["tinystories-calibration.txt", "books-calibration.txt", "wikitext2-test.txt"]
    return [corpus(name)[:150_000] for name in names]


def train(tokenizer, size, alphabet, special):
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet, special_tokens=special, show_progress=False,
        limit_alphabet=400)
    tokenizer.train_from_iterator(training_text(), trainer)
    return tokenizer


def byte_alphabet():
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def llama3():
    """Llama 3: split of its own, merges ignored for whole words, BOS from a template."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    train(t, 900, byte_alphabet(), [])
    document = json.loads(t.to_str())
    document["model"]["ignore_merges"] = True
    # A word that no merge makes: only ignore_merges finds it.
    document["model"]["vocab"]["Ġextraordinarily"] = len(document["model"]["vocab"])
    t = Tokenizer.from_str(json.dumps(document))
    t.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|eot|>"])
    bos = t.token_to_id("<|begin_of_text|>")
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True),
        processors.TemplateProcessing(
            single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", bos)])])
    return json.loads(t.to_str())


def qwen2():
    """Qwen 2: NFC, single digits, merges in the older spelling."""
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    train(t, 800, byte_alphabet(), [])
    t.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    t.add_tokens([AddedToken("<é>", normalized=True), AddedToken("<one>", normalized=False),
                  AddedToken("<one><two>", normalized=False), AddedToken("<norm>")])
    document = json.loads(t.to_str())
    document["model"]["merges"] = [" ".join(pair) for pair in document["model"]["merges"]]
    return document


def variants():
    return [
        AddedToken("<word>", single_word=True, normalized=False),
        AddedToken("<left>", lstrip=True, normalized=False),
        AddedToken("<right>", rstrip=True, normalized=False),
        AddedToken("<both>", lstrip=True, rstrip=True, normalized=False),
        AddedToken("<norm>", normalized=True), AddedToken("<é>", normalized=True),
        AddedToken("<one>", normalized=True, lstrip=True),
        AddedToken("<onetwo>", normalized=True, single_word=True, rstrip=True)]


def with_byte_tokens(tokenizer, bytes_):
    """The same tokenizer with tokens for bytes, which training cannot add."""
    document = json.loads(tokenizer.to_str())
    vocab = document["model"]["vocab"]
    for byte in bytes_:
        vocab[f"<0x{byte:02X}>"] = len(vocab)
    document["model"]["byte_fallback"] = True
    return Tokenizer.from_str(json.dumps(document))


def sentencepiece_decoder():
    return decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
        decoders.Strip(" ", 1, 0)])


def llama2():
    """Llama 2: Metaspace without a split, byte fallback, added tokens of every kind."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    train(t, 700, [], ["<unk>", "<s>", "</s>"])
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    t.decoder = sentencepiece_decoder()
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    t = with_byte_tokens(t, range(256))
    t.add_tokens(variants())
    return json.loads(t.to_str())


def metaspace():
    """Metaspace with a split, always prepended, its own decoder, unknown characters not fused."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=False))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    t.decoder = decoders.Metaspace(prepend_scheme="always")
    train(t, 500, [], ["<unk>", "<s>", "</s>"])
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace("...", "…")])
    # Only some bytes: a character falls back when all of its bytes are there.
    t = with_byte_tokens(t, [*range(0x40), *range(0xC0, 0xE1), 0x80, 0xA0])
    t.add_tokens(variants())
    return json.loads(t.to_str())


def gemma():
    """Gemma: spaces replaced by the normalizer, a split on a literal, digits alone."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    t.normalizer = normalizers.Replace(" ", "▁")
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split("▁", "merged_with_next"),
        pre_tokenizers.Digits(individual_digits=True)])
    t.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    train(t, 600, [], ["<unk>", "<s>", "</s>"])
    t = with_byte_tokens(t, range(256))
    t.add_tokens(variants())
    return json.loads(t.to_str())


def gpt2():
    """GPT-2's pattern with a prefix space, and no byte's token missing but some characters'."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=False))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=True)
    t.decoder = decoders.ByteLevel()
    train(t, 450, byte_alphabet()[:200], ["<unk>", "<s>", "</s>"])
    t.add_tokens(variants())
    return json.loads(t.to_str())


FIXTURES = [llama3, qwen2, llama2, metaspace, gemma, gpt2]


def write(path, value, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":"), **options) + "\n")


def cases(tokenizer, inputs):
    result = []
    for data in inputs:
        text = data.decode("utf-8", errors="replace")
        ids = tokenizer.encode(text).ids
        result.append({
            "ids": ids, "plain": tokenizer.encode(text, add_special_tokens=False).ids,
            "decoded": tokenizer.decode(ids, skip_special_tokens=False),
            "skipping": tokenizer.decode(ids, skip_special_tokens=True)})
    return result


def corpus_record(tokenizer, name):
    text = corpus(name)
    ids = tokenizer.encode(text).ids
    decoded = tokenizer.decode(ids, skip_special_tokens=True)
    return {"count": len(ids), "fnv": f"{fnv(ids):016x}", "first": ids[:8], "last": ids[-8:],
            "decodesToItself": decoded == text}


def classes():
    """Where the class of a scalar changes, as the expressions of a split see it."""
    marks = bytearray(b"o" * 0x110000)
    for pattern, mark in [(r"\p{L}+", b"l"), (r"\p{N}+", b"n"), (r"\s+", b"s")]:
        split = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
        for start, end in [(0, 0xD800), (0xE000, 0x110000)]:
            text = "".join(map(chr, range(start, end)))
            for _, (low, high) in split.pre_tokenize_str(text):
                marks[start + low : start + high] = mark * (high - low)
    changes = [i for i in range(0x110000) if i == 0 or marks[i] != marks[i - 1]]
    return {"starts": changes, "classes": "".join(chr(marks[i]) for i in changes)}


SPACES = [" ", " ", " ", "\n", "\r\n", "\t", "\u00a0", "\u2003", "a", "é", "7", "42", "1234",
          "'", "'s", "'LL", ".", "!\n", "-", "▁", "\u0301", "\x1c"]


def space_strings():
    """Strings in which runs of spaces, line ends and digits meet everything else."""
    rng = random.Random(11)
    return ["".join(rng.choices(SPACES, k=rng.randint(3, 16))) for _ in range(150)]


def component(pre_tokenizer):
    """A pre-tokenizer as JSON, and the pieces it cuts each string into."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizer
    cut = pre_tokenizer.pre_tokenize_str
    pieces = [[piece for piece, _ in cut(text)] for text in space_strings()]
    return {"component": json.dumps(json.loads(t.to_str())["pre_tokenizer"]), "pieces": pieces}


def components():
    split, metaspace = pre_tokenizers.Split, pre_tokenizers.Metaspace
    return {
        "gpt2": pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        "gpt2-prefix": pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=True),
        "bytes-prefix": pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False),
        "llama3": split(Regex(LLAMA3), "isolated"),
        "llama3-removed": split(Regex(LLAMA3), "removed", invert=True),
        "qwen2": split(Regex(QWEN2), "isolated"),
        "metaspace-first": metaspace(prepend_scheme="first", split=True),
        "metaspace-always": metaspace(prepend_scheme="always", split=False),
        "metaspace-never": metaspace(prepend_scheme="never", split=True),
        "digits": pre_tokenizers.Digits(individual_digits=False),
        "digits-first": pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]),
        "spaces-previous": split(" ", "merged_with_previous"),
        "spaces-contiguous": pre_tokenizers.Sequence([
            split(" ", "contiguous"), metaspace(prepend_scheme="first", split=True)]),
        "spaces-removed": pre_tokenizers.Sequence([
            split(" ", "removed"), metaspace(prepend_scheme="first", split=True)]),
    }


def main():
    inputs = strings()
    write(GOLDEN / "PreTokenizers/strings.json", space_strings())
    for name, pre_tokenizer in components().items():
        write(GOLDEN / "PreTokenizers" / f"{name}.json", component(pre_tokenizer))
    write(GOLDEN / "strings.json", [data.hex() for data in inputs])
    write(GOLDEN / "classes.json", classes())
    paths = {name: ROOT / "Resources/models" / name / "tokenizer.json" for name in SHIPPED}
    for make in FIXTURES:
        paths[make.__name__] = GOLDEN / "Tokenizers" / make.__name__ / "tokenizer.json"
        write(paths[make.__name__], make())
    corpora = {}
    for name, path in paths.items():
        tokenizer = Tokenizer.from_file(str(path))
        write(GOLDEN / "Cases" / f"{name}.json", cases(tokenizer, inputs))
        corpora[name] = corpus_record(tokenizer, "wikitext2-test.txt")
    write(GOLDEN / "corpora.json", corpora, indent=1)


main()
