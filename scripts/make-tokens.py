#!/usr/bin/env python3
"""Makes the tokenizers in `crates/deepfit-data/tests/tokenizers` and what transformers makes of difficult lines by them.

    .venv/bin/python scripts/make-tokens.py
"""

import json
from pathlib import Path

import tokenizers
import transformers
from tokenizers import models, normalizers, pre_tokenizers, trainers

from goldens.difficult_lines import WORDS, lines

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "crates" / "deepfit-data" / "tests" / "tokenizers"
SHORT = 120


def pairs(tokenizer, texts: list[str]) -> list[dict]:
    """Tokens of pairs of texts, whole and cut, and the place of the first that belongs to the second."""
    found = []
    for first, second, most in zip(texts[:30], texts[30:60], [*range(6, 26), *[200] * 10], strict=True):
        made = tokenizer(first, second, truncation="longest_first", max_length=most)
        place = made.sequence_ids().index(1) if 1 in made.sequence_ids() else None
        found.append({"texts": [first, second], "most": most, "ids": made["input_ids"], "second": place})
    return found


def main() -> None:
    texts = [line for line in lines(400) if len(line) <= SHORT][:90]
    words = [" ".join(WORDS)] * 2 + texts
    bert = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    bert.normalizer = normalizers.BertNormalizer()
    bert.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    bert.train_from_iterator(words, trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, limit_alphabet=150))
    bytewise = tokenizers.Tokenizer(models.BPE())
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>"]
    bytewise.train_from_iterator(
        words, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    )
    for name, kind, made in (
        ("bert", transformers.BertTokenizer, bert),
        ("roberta", transformers.RobertaTokenizer, bytewise),
        ("gpt2", transformers.GPT2Tokenizer, bytewise),
    ):
        folder = FOLDER / name
        folder.mkdir(parents=True, exist_ok=True)
        made.model.save(str(folder))
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind.__name__}) + "\n")
        loaded = kind.from_pretrained(folder)
        ids = loaded(texts)["input_ids"]
        expected = [{"text": text, "ids": row} for text, row in zip(texts, ids, strict=True)]
        (folder / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")
        (folder / "pairs.json").write_text(json.dumps(pairs(loaded, texts), separators=(",", ":")) + "\n")
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(f"{folder}: {[path.name for path in sorted(folder.iterdir())]}, {size:,} bytes")


if __name__ == "__main__":
    main()
