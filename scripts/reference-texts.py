#!/usr/bin/env python3
"""What other programs reach on the draws of make-synopses.py: with published embeddings, with words alone, by fine-tuning.

    .venv/bin/python scripts/reference-texts.py TEXTS --minilm MODEL --json texts.json
    .venv/bin/python scripts/reference-texts.py TEXTS --minilm MODEL --full --deepfit target/release/deepfit

TEXTS is the folder that make-synopses.py wrote, MODEL that of sentence-transformers/all-MiniLM-L6-v2. The rows of the table:

    sentences       scikit-learn's logistic regression as it comes on the embeddings of all-MiniLM-L6-v2 by transformers:
                    means of hidden states, of length 1
    words           logistic regression on TF-IDF of the words of the training texts, as TfidfVectorizer comes
    static          logistic regression on the static embeddings that are part of deepfit: means of tokens, of length 1
    finetuned       with --full: all of all-MiniLM-L6-v2 and a linear layer on the mean, trained by PyTorch; one draw of 50
                    texts a class, minutes
    deepfit         with --deepfit FILE: `deepfit train` as it comes
    deepfit-frozen  the same `--from MODEL --freeze`
    deepfit-tuned   the same `--from MODEL --unfreeze all`; 50 texts a class only

--without leaves rows out; rows that need MODEL are left out without --minilm. --draws takes fewer draws than all 5.

Also told is how many texts a second transformers turns into embeddings, as they come and sorted by length, without loading
anything and as a process, and beside that, in turns, `deepfit embed` with all that a process does. Memory is the most that was resident;
that of fine-tuning is measured in a process of its own. Seconds of the rows of scikit-learn are without embedding; those of
deepfit are whole runs with an empty cache, reading and the test included; those of fine-tuning are training alone. All rows
see the same texts in training and test.
"""

import argparse
import csv
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
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
DRAWS = 5
SIZES = (10, 50)
# Rows that take long are at this size alone.
LARGER = 50
# Longer texts are cut, as all-MiniLM-L6-v2 was trained.
TOKENS = 256
ROWS = ("sentences", "words", "static", "finetuned", "deepfit", "deepfit-frozen", "deepfit-tuned")
OF_MINILM = ("sentences", "finetuned", "deepfit-frozen", "deepfit-tuned")
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
    def embed(self, texts: list[str], size: int, by_length: bool = True) -> np.ndarray:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]) if by_length else 0)
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


def by_words(train: list[str], sections: list[str], test: list[str]) -> np.ndarray:
    words = TfidfVectorizer()
    return logistic(words.fit_transform(train), sections, words.transform(test))


def finetune(folder: Path, draw: Path, threads: int) -> dict:
    """All weights of all-MiniLM-L6-v2 and a linear layer: accuracy, seconds, texts a second of training, memory.

    To be called in a process of its own, since the most memory that was resident is that of a whole process.
    """
    epochs, size = 6, 32
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    (train, sections), (test, expected) = read(draw / "train.csv"), read(draw / "test.csv")
    names = sorted(set(sections))
    classes = torch.tensor([names.index(section) for section in sections])
    model = MiniLM(folder)
    head = torch.nn.Linear(model.network.config.hidden_size, len(names))
    optimizer = torch.optim.AdamW([*model.network.parameters(), *head.parameters()], lr=5e-5)
    start = time.perf_counter()
    model.network.train()
    for _ in range(epochs):
        for chosen in torch.randperm(len(train)).split(size):
            loss = functional.cross_entropy(head(model.pooled([train[i] for i in chosen])), classes[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    model.network.eval()
    order, right = sorted(range(len(test)), key=lambda i: len(test[i])), 0
    with torch.inference_mode():
        for first in range(0, len(order), size):
            chosen = order[first : first + size]
            found = head(model.pooled([test[i] for i in chosen])).argmax(1).tolist()
            right += sum(names[k] == expected[i] for k, i in zip(found, chosen, strict=True))
    speed = epochs * len(train) / seconds
    return {"accuracy": [right / len(test)], "seconds": seconds, "texts_per_second": speed, "megabytes": memory}


def apart(folder: Path, draw: Path, threads: int) -> dict:
    """`finetune` in a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(finetune, folder, draw, threads).result()


def train_deepfit(program: Path, draw: Path, threads: int, more: list[str]) -> dict:
    """What `deepfit train --json` says; embeddings that earlier runs have kept are not used."""
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "train", draw / "train.csv", "--target", "section", "--test", draw / "test.csv", *more]
        command += ["--json", "--quiet", "--threads", str(threads), "--out", f"{folder}/run"]
        environment = {**os.environ, "DEEPFIT_CACHE": f"{folder}/cache"}
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout)


def of_deepfit(arguments: argparse.Namespace, draws: list[Path], more: list[str]) -> dict:
    """Accuracies of the draws, seconds of one, most memory."""
    reports = [train_deepfit(arguments.deepfit.resolve(), draw, arguments.threads, more) for draw in draws]
    return {
        "accuracy": [report["metrics"]["test"]["accuracy"] for report in reports],
        "seconds": float(np.median([report["seconds"] for report in reports])),
        "megabytes": max(report["peak_memory_bytes"] for report in reports) / 1e6,
    }


def of_learner(learner: Learner, draws: list[Path]) -> dict:
    """Accuracies of the draws, seconds of one."""
    scores, start = [], time.perf_counter()
    for draw in draws:
        (train, sections), (test, expected) = read(draw / "train.csv"), read(draw / "test.csv")
        scores.append(float((learner(train, sections, test) == np.array(expected)).mean()))
    return {"accuracy": scores, "seconds": (time.perf_counter() - start) / len(scores)}


def tell(title: str, method: str, row: dict) -> None:
    scores = row["accuracy"]
    shown = f"{np.mean(scores):.4f}"
    if len(scores) > 1:
        shown += f" +- {np.std(scores, ddof=1) / len(scores) ** 0.5:.4f}"
    shown += f" of {len(scores)} draw{'s' * (len(scores) > 1)}, {row['seconds']:.1f} s each"
    if "texts_per_second" in row:
        shown += f", {row['texts_per_second']:.0f} texts/s in training"
    if "megabytes" in row:
        shown += f", {row['megabytes']:.0f} MB"
    print(f"  {title:12} {method:14} {shown}", flush=True)


def embedding_speeds(arguments: argparse.Namespace, texts: list[str]) -> tuple[dict[str, float], np.ndarray]:
    """Texts a second to embeddings, the fastest of three turns of each way; and the embeddings."""
    model, seconds = MiniLM(arguments.minilm), {}
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "lines.txt"
        lines.write_text("".join(text.replace("\n", " ") + "\n" for text in texts), encoding="utf-8")
        command = [arguments.deepfit, "embed", arguments.minilm, lines, "--json", "--threads", str(arguments.threads)]

        same = [sys.executable, __file__, arguments.texts, "--minilm", arguments.minilm, "--only-embed"]
        same += ["--threads", str(arguments.threads), "--batch", str(arguments.batch)]

        def run(command: list) -> None:
            with (Path(folder) / "out.json").open("wb") as out:
                subprocess.run([str(part) for part in command], check=True, stdout=out, stderr=subprocess.DEVNULL)

        ways = {
            "transformers, texts as they come": lambda: model.embed(texts, arguments.batch, by_length=False),
            "transformers, sorted by length": lambda: model.embed(texts, arguments.batch),
            "transformers, sorted by length, the whole process": lambda: run(same),
        }
        if arguments.deepfit:
            ways["deepfit embed, the whole process"] = lambda: run(command)
        made = {}
        for _ in range(3):
            for way, call in ways.items():
                start = time.perf_counter()
                made[way] = call()
                seconds[way] = min(time.perf_counter() - start, seconds.get(way, np.inf))
    speeds = {way: len(texts) / took for way, took in seconds.items()}
    for way, speed in speeds.items():
        print(f"{way}: {speed:.0f} texts/s to embeddings, {arguments.batch} at once", flush=True)
    return speeds, made["transformers, sorted by length"]


def learners(arguments: argparse.Namespace, wanted: Callable[[str], bool], found: dict) -> dict[str, Learner]:
    """Rows of scikit-learn's. Embeds all texts once, and notes how fast."""
    texts, _ = read(arguments.texts / "synopses.csv")
    found["texts"] = len(texts)
    print(f"{len(texts):,} texts", flush=True)
    rows: dict[str, Learner] = {}
    if wanted("sentences"):
        found["texts_per_second"], embedded = embedding_speeds(arguments, texts)
        rows["sentences"] = on_rows(texts, embedded)
    if wanted("words"):
        rows["words"] = by_words
    if wanted("static"):
        rows["static"] = on_rows(texts, static(texts))
    return rows


def measure(arguments: argparse.Namespace) -> dict:
    """For each number of texts a class and each row of the table: accuracies of the draws, seconds of one."""

    def wanted(row: str) -> bool:
        possible = arguments.minilm is not None or row not in OF_MINILM
        return possible and row not in arguments.without

    found: dict = {"threads": arguments.threads, "results": {}}
    methods = learners(arguments, wanted, found)
    begin = ["--from", str(arguments.minilm)]
    programs = {"deepfit": [], "deepfit-frozen": [*begin, "--freeze"], "deepfit-tuned": [*begin, "--unfreeze", "all"]}
    for size in SIZES:
        title = f"synopses-{size}"
        draws = [arguments.texts / "draws" / f"{title}-{draw}" for draw in range(arguments.draws)]
        results = found["results"].setdefault(title, {})
        for method, learner in methods.items():
            results[method] = of_learner(learner, draws)
            tell(title, method, results[method])
        if arguments.full and wanted("finetuned") and size == LARGER:
            results["finetuned"] = apart(arguments.minilm, draws[0], arguments.threads)
            tell(title, "finetuned", results["finetuned"])
        for method, more in programs.items():
            if arguments.deepfit and wanted(method) and (method != "deepfit-tuned" or size == LARGER):
                results[method] = of_deepfit(arguments, draws, more)
                tell(title, method, results[method])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="what published embeddings of texts are worth")
    parser.add_argument("texts", type=Path, help="what make-synopses.py wrote")
    parser.add_argument("--minilm", type=Path, metavar="MODEL", help="the folder of all-MiniLM-L6-v2")
    parser.add_argument("--without", nargs="+", default=[], choices=ROWS, metavar="ROW", help="rows to leave out")
    parser.add_argument("--full", action="store_true", help="fine-tuning by PyTorch as well")
    parser.add_argument("--deepfit", type=Path, metavar="FILE", help="the program, to train on the same draws")
    parser.add_argument("--only-embed", action="store_true", help="embed all texts by transformers, write nothing")
    parser.add_argument("--batch", type=int, default=64, help="texts that transformers embeds at once")
    counts = range(1, DRAWS + 1)
    parser.add_argument("--draws", type=int, default=DRAWS, choices=counts, metavar="N", help="the first N draws alone")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE", help="a file for all numbers")
    arguments = parser.parse_args()
    if not (arguments.texts / "synopses.csv").exists():
        sys.exit(f"reference-texts: no synopses.csv in {arguments.texts}; make-synopses.py makes it")
    if arguments.full and arguments.minilm is None:
        sys.exit("reference-texts: --full fine-tunes all-MiniLM-L6-v2; name its folder with --minilm")
    torch.set_num_threads(arguments.threads)
    if arguments.only_embed:
        MiniLM(arguments.minilm).embed(read(arguments.texts / "synopses.csv")[0], arguments.batch)
        return
    found = measure(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
