#!/usr/bin/env python3
"""What other programs reach on labelled sentences, such as those of make-slots.py, and whether deepfit's F1 is right.

    .venv/bin/python scripts/reference-labels.py SLOTS --deepfit target/release/deepfit --json labels.json
    .venv/bin/python scripts/reference-labels.py SLOTS --minilm MODEL --deepfit target/release/deepfit

SLOTS is a folder with train.jsonl, validation.jsonl and test.jsonl of `tokens` and IOB2 `tags`, MODEL that of
sentence-transformers/all-MiniLM-L6-v2. The rows of the table:

    crf             a linear-chain CRF by sklearn-crfsuite on words, their endings, shapes and neighbours; its two penalties
                    are chosen on validation, then it learns from training and validation
    finetuned       with --minilm: MiniLM and a linear layer on each word's first token, all of it trained by PyTorch; the rate
                    is chosen on validation, then it learns from both
    deepfit         `deepfit train SLOTS --from scratch`
    deepfit-tuned   with --minilm: the same `--from MODEL`
    deepfit-frozen  with --minilm: the same `--from MODEL --freeze`

--without leaves rows out. All rows are measured on the test part by spans, as seqeval counts them by default: a span is right
if its first and last word and its label are. That is computed here from tags, of deepfit from the characters of its
predictions, and held against the F1 that deepfit tells. Seconds are of the whole choice and training.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PARTS = ("train", "validation", "test")
ROWS = ("crf", "finetuned", "deepfit", "deepfit-tuned", "deepfit-frozen")
OF_MINILM = ("finetuned", "deepfit-tuned", "deepfit-frozen")
Sentence = tuple[list[str], list[str]]


def read(path: Path) -> list[Sentence]:
    objects = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [(one["tokens"], one["tags"]) for one in objects]


def spans(tags: list[str]) -> set[tuple[str, int, int]]:
    """Label, first word and word after the last of each span; an inside that follows nothing of its label begins one."""
    found, begin, label = set(), 0, None
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, own = tag.partition("-")
        goes_on = prefix == "I" and own == label
        if label is not None and not goes_on:
            found.add((label, begin, place))
        if not goes_on:
            begin, label = place, own if prefix in ("B", "I") else None
    return found


def scores(true: list[set], predicted: list[set]) -> dict[str, float]:
    actual, told = sum(map(len, true)), sum(map(len, predicted))
    right = sum(len(a & b) for a, b in zip(true, predicted, strict=True))
    precision, recall = right / max(told, 1), right / max(actual, 1)
    return {"f1": 2 * right / max(actual + told, 1), "precision": precision, "recall": recall}


def of_tags(part: list[Sentence], predicted: list[list[str]]) -> dict[str, float]:
    told = scores([spans(tags) for _, tags in part], [spans(tags) for tags in predicted])
    pairs = [(a, b) for (_, tags), own in zip(part, predicted, strict=True) for a, b in zip(tags, own, strict=True)]
    return {**told, "token_accuracy": sum(a == b for a, b in pairs) / len(pairs)}


def features(words: list[str], place: int) -> dict[str, object]:
    word = words[place]
    found: dict[str, object] = {
        "bias": 1.0,
        "word": word.lower(),
        "ending2": word[-2:].lower(),
        "ending3": word[-3:].lower(),
        "beginning3": word[:3].lower(),
        "upper": word.isupper(),
        "title": word.istitle(),
        "digits": word.isdigit(),
    }
    for distance in (-2, -1, 1, 2):
        at = place + distance
        inside = 0 <= at < len(words)
        found[f"word{distance:+d}"] = words[at].lower() if inside else ("<begin>" if at < 0 else "<end>")
        if inside and abs(distance) == 1:
            found[f"digits{distance:+d}"] = words[at].isdigit()
            found[f"both{distance:+d}"] = f"{words[at].lower()} {word.lower()}"
    return found


def crf(data: dict[str, list[Sentence]]) -> dict[str, float]:
    import sklearn_crfsuite

    def of(part: list[Sentence]):
        return [[features(words, i) for i in range(len(words))] for words, _ in part], [tags for _, tags in part]

    def fit(part: list[Sentence], penalties: tuple[float, float]):
        model = sklearn_crfsuite.CRF(
            algorithm="lbfgs", c1=penalties[0], c2=penalties[1], max_iterations=200, all_possible_transitions=True
        )
        return model.fit(*of(part))

    def on(model, part: list[Sentence]) -> dict[str, float]:
        return of_tags(part, model.predict(of(part)[0]))

    tried = list(itertools.product((0.0, 0.1, 0.5), (0.01, 0.1)))
    reached = [on(fit(data["train"], penalties), data["validation"])["f1"] for penalties in tried]
    best = max(range(len(tried)), key=lambda i: reached[i])
    model = fit(data["train"] + data["validation"], tried[best])
    return {**on(model, data["test"]), "validation": reached[best], "c1": tried[best][0], "c2": tried[best][1]}


def finetuned(data: dict[str, list[Sentence]], minilm: Path, epochs: int = 6, batch: int = 32) -> dict[str, float]:
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer, logging

    logging.set_verbosity_error()
    tokenizer = AutoTokenizer.from_pretrained(minilm)
    labels = {label for part in ("train", "validation") for _, tags in data[part] for tag in tags for label in [tag[2:]]}
    names = ["O", *(f"{prefix}-{label}" for label in sorted(labels - {""}) for prefix in "BI")]
    number = {name: i for i, name in enumerate(names)}

    def encoded(part: list[Sentence]):
        told = tokenizer([words for words, _ in part], is_split_into_words=True, truncation=True, max_length=256)
        rows = []
        for i, (_, tags) in enumerate(part):
            words, targets, before = told.word_ids(i), [], None
            for word in words:
                targets.append(-100 if word is None or word == before else number.get(tags[word], 0))
                before = word
            rows.append((told["input_ids"][i], targets))
        return rows

    def padded(rows):
        longest = max(len(ids) for ids, _ in rows)
        ids = torch.tensor([one + [0] * (longest - len(one)) for one, _ in rows])
        mask = torch.tensor([[1] * len(one) + [0] * (longest - len(one)) for one, _ in rows])
        targets = torch.tensor([one + [-100] * (longest - len(one)) for _, one in rows])
        return ids, mask, targets

    def fit(part: list[Sentence], rate: float):
        torch.manual_seed(0)
        model = AutoModelForTokenClassification.from_pretrained(minilm, num_labels=len(names))
        rows, steps = encoded(part), epochs * -(-len(part) // batch)
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
        model.train()
        for _ in range(epochs):
            order = torch.randperm(len(rows)).tolist()
            for begin in range(0, len(rows), batch):
                ids, mask, targets = padded([rows[i] for i in order[begin : begin + batch]])
                model(input_ids=ids, attention_mask=mask, labels=targets).loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                schedule.step()
        return model.eval()

    @torch.inference_mode()
    def on(model, part: list[Sentence]) -> dict[str, float]:
        rows, told = encoded(part), []
        for begin in range(0, len(rows), batch):
            ids, mask, targets = padded(rows[begin : begin + batch])
            best = model(input_ids=ids, attention_mask=mask).logits.argmax(-1)
            told += [[names[n] for n, t in zip(own, of, strict=True) if t != -100] for own, of in zip(best.tolist(), targets.tolist(), strict=True)]
        return of_tags(part, told)

    rates = (1e-4, 3e-4)
    reached = [on(fit(data["train"], rate), data["validation"])["f1"] for rate in rates]
    best = rates[max(range(len(rates)), key=lambda i: reached[i])]
    return {**on(fit(data["train"] + data["validation"], best), data["test"]), "validation": max(reached), "rate": best}


def deepfit(program: Path, slots: Path, test: list[Sentence], settings: list[str], folder: Path) -> dict[str, float]:
    run = folder / "-".join(["run", *settings]).replace("/", "_")
    command = [str(program), "train", str(slots), "--out", str(run), "--json", *settings]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    told = subprocess.run(
        [str(program), "predict", str(run), str(slots / "test.jsonl"), "--json"], check=True, capture_output=True, text=True
    )
    predicted = []
    for (words, _), one in zip(test, json.loads(told.stdout), strict=True):
        begins, at = {}, 0
        for place, word in enumerate(words):
            begins[at] = place
            at += len(word) + 1
        ends = {begin + len(words[place]): place + 1 for begin, place in begins.items()}
        predicted.append({(e["label"], begins[e["start"]], ends[e["end"]]) for e in one["entities"]})
    own = scores([spans(tags) for _, tags in test], predicted)
    told_by_itself = report["metrics"]["test"]
    for name, value in own.items():
        if abs(value - told_by_itself[name]) > 1e-9:
            sys.exit(f"deepfit tells {name} {told_by_itself[name]}, and its predictions have {value}")
    evaluated = json.loads(
        subprocess.run(
            [str(program), "evaluate", str(run), str(slots / "test.jsonl"), "--json"], check=True, capture_output=True, text=True
        ).stdout
    )
    if abs(evaluated["metrics"]["f1"] - own["f1"]) > 1e-9:
        sys.exit(f"deepfit evaluate tells {evaluated['metrics']['f1']}, and its predictions have {own['f1']}")
    more = {"token_accuracy": told_by_itself["token_accuracy"], "validation": report["metrics"]["validation"]["f1"]}
    return {**own, **more, "interval": report["metrics"]["test_intervals"]["f1"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slots", type=Path)
    parser.add_argument("--minilm", type=Path)
    parser.add_argument("--deepfit", type=Path)
    parser.add_argument("--without", nargs="*", default=[], choices=ROWS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    data = {part: read(given.slots / f"{part}.jsonl") for part in PARTS}
    rows = [row for row in ROWS if row not in given.without and (given.minilm or row not in OF_MINILM)]
    rows = [row for row in rows if given.deepfit or not row.startswith("deepfit")]
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "deepfit": ["--from", "scratch"],
            "deepfit-tuned": ["--from", str(given.minilm)],
            "deepfit-frozen": ["--from", str(given.minilm), "--freeze"],
        }
        for row in rows:
            begun = time.perf_counter()
            if row == "crf":
                found = crf(data)
            elif row == "finetuned":
                found = finetuned(data, given.minilm)
            else:
                found = deepfit(given.deepfit, given.slots, data["test"], settings[row], Path(folder))
            results[row] = {**found, "seconds": time.perf_counter() - begun}
            shown = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in results[row].items())
            print(f"{row:15}{shown}", flush=True)
    if given.json:
        given.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
