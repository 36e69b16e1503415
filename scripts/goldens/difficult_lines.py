"""Lines on which tokenizers differ: many scripts, signs, control characters, spaces, words without end."""

import random
import unicodedata

# Blocks of letters: Latin, Greek, Cyrillic, Hebrew, Arabic, Devanagari, Thai, Hangul, kana, Chinese, and so on.
BLOCKS = [
    (0x20, 0x7F), (0xA0, 0x250), (0x250, 0x300), (0x300, 0x370), (0x370, 0x400), (0x400, 0x530), (0x530, 0x590),
    (0x590, 0x600), (0x600, 0x700), (0x900, 0x980), (0xB80, 0xC00), (0xE00, 0xE80), (0x10A0, 0x1100),
    (0x1100, 0x1200), (0x1E00, 0x2000), (0x2000, 0x2070), (0x2070, 0x2100), (0x2100, 0x2200), (0x2200, 0x2400),
    (0x2500, 0x2800), (0x3000, 0x3100), (0x3400, 0x3500), (0x4E00, 0x9FFF), (0xAC00, 0xD7A4), (0xE000, 0xE100),
    (0xF900, 0xFB00), (0xFB50, 0xFE00), (0xFE00, 0xFE70), (0xFF00, 0xFFF0), (0xFFF0, 0xFFFE), (0x1D400, 0x1D7FF),
    (0x1F300, 0x1F700), (0x1F900, 0x1FA00), (0x20000, 0x20100), (0xE0000, 0xE0080),
]
WORDS = (
    "the a of sea light don't I'll we've it's café naïve Ångström Straße İstanbul ﬁne ½ 3.14 1,000,000 2026-11-28 "
    "http://a.b/c?d=e#f x@y.org C++ #hash @user $5 100% __init__ foo_bar CamelCase ALLCAPS mañana Ελλάδα Москва שלום "
    "مرحبا नमस्ते สวัสดี 한국어 こんにちは 漢字 🙂 👩‍👩‍👧‍👦 🇩🇪 ✈️ e\u0301 a\u0308\u0323 \u200b \u200d \ufeff \u00ad [CLS] [SEP] [MASK] "
    "[PAD] [UNK] <s> </s> <pad> <mask> <unk> <|endoftext|> ##ing Ġword ▁word"
).split(" ")


def lines(count: int) -> list[str]:
    """Difficult lines, the same ones each time."""
    draw = random.Random(1)
    letter = lambda: chr(draw.randrange(*draw.choice(BLOCKS)))  # noqa: E731
    control = [chr(c) for c in range(1, 32) if chr(c) not in "\n\r"] + ["\x7f", "\x85", "\u2028", "\u2029", "\xa0"]
    kinds = [
        lambda: " ".join(draw.choice(WORDS) for _ in range(draw.randrange(1, 30))),
        lambda: "".join(draw.choice(WORDS) for _ in range(draw.randrange(1, 10))),
        lambda: "".join(letter() for _ in range(draw.randrange(1, 60))),
        lambda: " ".join("".join(letter() for _ in range(draw.randrange(1, 9))) for _ in range(draw.randrange(1, 12))),
        lambda: "".join(draw.choice([*control, " ", "a", "B", "\t", "é"]) for _ in range(draw.randrange(1, 40))),
        lambda: " " * draw.randrange(0, 9) + draw.choice(WORDS) + " " * draw.randrange(0, 9) + "\t" + draw.choice(WORDS),
        lambda: unicodedata.normalize(draw.choice(["NFC", "NFD", "NFKC", "NFKD"]), " ".join(draw.choices(WORDS, k=8))),
        lambda: draw.choice([str.upper, str.title, str.swapcase])(" ".join(draw.choices(WORDS, k=8))),
        lambda: "".join(draw.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ab1") for _ in range(draw.randrange(1, 50))),
        lambda: str(draw.randrange(10 ** draw.randrange(1, 30))) + draw.choice(["", " ", "-", "%"]) + draw.choice(WORDS),
    ]
    found = ["", " ", "\t", "a" * 10_000, "漢" * 10_000, "🙂" * 2_000, "e\u0301" * 5_000, "ab " * 3_000, "." * 10_000]
    while len(found) < count:
        found.append(draw.choice(kinds)())
    # What is written is read by lines.
    return [line.replace("\n", " ").replace("\r", " ") for line in found]
