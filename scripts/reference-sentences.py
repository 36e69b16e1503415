#!/usr/bin/env python3
"""Logistic regression on the words of `examples/sentences.tsv`, split as the example `sentences` splits them.

    .venv/bin/python scripts/reference-sentences.py
"""

from pathlib import Path

from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

TEXTS = Path(__file__).resolve().parent.parent / "examples/sentences.tsv"


def main() -> None:
    rows = [line.split("\t") for line in TEXTS.read_text().splitlines()]
    train, test = ([row for i, row in enumerate(rows) if (i % 5 == 4) == held_out] for held_out in (False, True))
    words = CountVectorizer(token_pattern=r"[A-Za-z0-9]+")
    model = LogisticRegression(max_iter=1000)
    model.fit(words.fit_transform([text for _, text in train]), [subject for subject, _ in train])
    score = model.score(words.transform([text for _, text in test]), [subject for subject, _ in test])
    print(f"{score:.1%} of {len(test)} held-out sentences")


if __name__ == "__main__":
    main()
