#!/usr/bin/env python3
"""What other programs reach on the draws of make-synopses.py: with published embeddings, with words alone, by fine-tuning.

    .venv/bin/python scripts/reference-texts.py TEXTS --minilm MODEL --json texts.json
    .venv/bin/python scripts/reference-texts.py TEXTS --minilm MODEL --full --deepfit target/release/deepfit

TEXTS is the folder that make-synopses.py wrote, MODEL that of sentence-transformers/all-MiniLM-L6-v2. The rows of the table:

    minilm     scikit-learn's logistic regression as it comes on the embeddings of all-MiniLM-L6-v2 by transformers
    tfidf      logistic regression on TF-IDF of the words of the training texts, as TfidfVectorizer comes
    static     logistic regression on the static embeddings that are part of deepfit: means of tokens, of length 1
    finetuned  with --full: all of all-MiniLM-L6-v2 and a linear layer, trained by PyTorch; at 50 texts a class

--without leaves rows out; without minilm and finetuned, --minilm is not needed. With --deepfit FILE there are more:
`deepfit train` as it comes (deepfit), and with --minilm `--from MODEL` (deepfit-minilm).

Also told is how many texts a second transformers turns into embeddings, sorted by length as `deepfit embed` sorts them. All rows
see the same texts in training and test.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

STATIC = Path(__file__).resolve().parent.parent / "crates" / "deepfit-backbone-minilm-static"
DRAWS = range(5)
SIZES = (10, 50)
# Longer texts are cut, as all-MiniLM-L6-v2 was trained.
TOKENS = 256
Part = tuple[list[str], list[str]]
# (texts of training, their sections, texts to score) -> predicted sections
Learner = Callable[[list[str], list[str], list[str]], np.ndarray]


def read(path: Path) -> Part:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["section"] for row in rows]


def of_length_1(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


class MiniLM:
    """all-MiniLM-L6-v2 as transformers runs it."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.network = AutoModel.from_pretrained(folder).eval()

    def pooled(self, texts: list[str]) -> torch.Tensor:
        """The mean of each text's hidden states."""
        batch = self.tokenizer(texts, padding=True, truncation=True, max_length=TOKENS, return_tensors="pt")
        mask = batch["attention_mask"][..., None]
        return (self.network(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)

    @torch.inference_mode()
    def embed(self, texts: list[str], size: int) -> np.ndarray:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        rows = np.zeros((len(texts), self.network.config.hidden_size), np.float32)
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            rows[chosen] = functional.normalize(self.pooled([texts[i] for i in chosen])).numpy()
        return rows


def static(texts: list[str]) -> np.ndarray:
    tokenizer = Tokenizer.from_file(str(STATIC / "tokenizer.json"))
    tensors = load_file(STATIC / "model.safetensors")
    table = tensors["embeddings.weight"].astype(np.float32) * tensors["embeddings.scale"][:, None]
    rows = [table[encoding.ids].sum(0) for encoding in tokenizer.encode_batch(texts)]
    return of_length_1(np.stack(rows))


def logistic(train: np.ndarray, sections: list[str], test: np.ndarray) -> np.ndarray:
    return LogisticRegression(max_iter=1000).fit(train, sections).predict(test)


def on_rows(texts: list[str], rows: np.ndarray) -> Learner:
    """Logistic regression on what the rows hold of the texts."""
    place = {text: row for row, text in enumerate(texts)}
    return lambda train, sections, test: logistic(
        rows[[place[text] for text in train]], sections, rows[[place[text] for text in test]]
    )


def tfidf(train: list[str], sections: list[str], test: list[str]) -> np.ndarray:
    words = TfidfVectorizer()
    return logistic(words.fit_transform(train), sections, words.transform(test))


class Finetuned:
    """All weights of all-MiniLM-L6-v2 and a linear layer; tells how fast it learned."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.speeds = folder, []

    def __call__(self, train: list[str], sections: list[str], test: list[str]) -> np.ndarray:
        epochs, size = 10, 32
        torch.manual_seed(0)
        names = sorted(set(sections))
        classes = torch.tensor([names.index(section) for section in sections])
        model = MiniLM(self.folder)
        head = torch.nn.Linear(model.network.config.hidden_size, len(names))
        # What is new learns faster than what is known already.
        groups = [{"params": model.network.parameters(), "lr": 1e-4}, {"params": head.parameters(), "lr": 3e-3}]
        optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
        steps = epochs * -(-len(train) // size)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / (0.1 * steps), (steps - step) / (0.9 * steps))
        )
        start = time.perf_counter()
        model.network.train()
        for _ in range(epochs):
            for chosen in torch.randperm(len(train)).split(size):
                loss = functional.cross_entropy(head(model.pooled([train[i] for i in chosen])), classes[chosen])
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_([p for group in groups for p in group["params"]], 1)
                optimizer.step()
                schedule.step()
        self.speeds.append(epochs * len(train) / (time.perf_counter() - start))
        model.network.eval()
        order = sorted(range(len(test)), key=lambda i: len(test[i]))
        found = np.zeros(len(test), int)
        with torch.inference_mode():
            for first in range(0, len(order), size):
                some = order[first : first + size]
                found[some] = head(model.pooled([test[i] for i in some])).argmax(1).numpy()
        return np.array(names)[found]


def of_deepfit(program: Path, draw: Path, threads: int, more: list[str]) -> dict:
    """What `deepfit train --json` says."""
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "train", draw / "train.csv", "--target", "section", "--test", draw / "test.csv", "--json", "--quiet"]
        command += ["--threads", str(threads), "--out", f"{folder}/run", *more]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def told(title: str, method: str, scores: list[float], seconds: float, more: str = "") -> None:
    error = np.std(scores, ddof=1) / len(scores) ** 0.5
    shown = f"{np.mean(scores):.4f} +- {error:.4f} of {len(scores)} draws, {seconds:.1f} s each"
    print(f"  {title:12} {method:14} {shown}{more}", flush=True)


def measure(arguments: argparse.Namespace) -> dict:
    """For each number of texts a class and each row of the table: accuracies of the draws, seconds of one."""
    texts, _ = read(arguments.texts / "synopses.csv")
    wanted = [row for row in ("minilm", "tfidf", "static", "finetuned") if row not in arguments.without]
    if not arguments.full:
        wanted = [row for row in wanted if row != "finetuned"]
    if arguments.minilm is None and {"minilm", "finetuned"} & set(wanted):
        sys.exit("reference-texts: name the folder of all-MiniLM-L6-v2 with --minilm, or leave these rows out: `--without minilm finetuned`")
    found: dict = {"texts": len(texts), "results": {}}
    print(f"{len(texts):,} texts", flush=True)
    methods: dict[str, Learner] = {}
    if "minilm" in wanted:
        model = MiniLM(arguments.minilm)
        start = time.perf_counter()
        rows = model.embed(texts, arguments.batch)
        found["texts_per_second"] = len(texts) / (time.perf_counter() - start)
        print(f"transformers: {found['texts_per_second']:.0f} texts/s to embeddings, {arguments.batch} at once", flush=True)
        methods["minilm"] = on_rows(texts, rows)
    if "tfidf" in wanted:
        methods["tfidf"] = tfidf
    if "static" in wanted:
        methods["static"] = on_rows(texts, static(texts))
    if "finetuned" in wanted:
        methods["finetuned"] = Finetuned(arguments.minilm)
    programs = {"deepfit": [], "deepfit-minilm": ["--from", str(arguments.minilm)]}
    for size in SIZES:
        title = f"synopses-{size}"
        draws = [arguments.texts / "draws" / f"{title}-{draw}" for draw in DRAWS]
        results = found["results"].setdefault(title, {})
        for method, learner in methods.items():
            if method == "finetuned" and size != 50:
                continue
            scores, start = [], time.perf_counter()
            for draw in draws:
                (train, sections), (test, expected) = read(draw / "train.csv"), read(draw / "test.csv")
                scores.append(float((learner(train, sections, test) == np.array(expected)).mean()))
            seconds = (time.perf_counter() - start) / len(scores)
            results[method] = {"accuracy": scores, "seconds": seconds}
            more = ""
            if isinstance(learner, Finetuned):
                speed, memory = float(np.median(learner.speeds)), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
                results[method] |= {"texts_per_second": speed, "megabytes": memory}
                more = f", {speed:.0f} texts/s learned, {memory:.0f} MB"
            told(title, method, scores, seconds, more)
        for method, more in programs.items():
            if not arguments.deepfit or method in arguments.without or (more and arguments.minilm is None):
                continue
            reports = [of_deepfit(arguments.deepfit.resolve(), draw, arguments.threads, more) for draw in draws]
            scores = [report["metrics"]["test"]["accuracy"] for report in reports]
            seconds = float(np.median([report["seconds"] for report in reports]))
            memory = max(report["peak_memory_bytes"] for report in reports) / 1e6
            results[method] = {"accuracy": scores, "seconds": seconds, "megabytes": memory}
            told(title, method, scores, seconds, f", {memory:.0f} MB")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="what published embeddings of texts are worth")
    parser.add_argument("texts", type=Path, help="what make-synopses.py wrote")
    parser.add_argument("--minilm", type=Path, metavar="MODEL", help="the folder of all-MiniLM-L6-v2")
    parser.add_argument("--without", nargs="+", default=[], metavar="ROW", help="rows to leave out, such as minilm")
    parser.add_argument("--full", action="store_true", help="the slow row as well")
    parser.add_argument("--deepfit", type=Path, metavar="FILE", help="the program, to train on the same draws")
    parser.add_argument("--batch", type=int, default=64, help="texts that transformers embeds at once")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE", help="a file for all numbers")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found = measure(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
