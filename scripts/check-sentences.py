#!/usr/bin/env python3
"""Holds what `deepfit embed` makes of sentences against transformers in PyTorch, and measures the speed of both.

    .venv/bin/python scripts/check-sentences.py MODEL              hidden states and embeddings
    .venv/bin/python scripts/check-sentences.py MODEL --speed      the synopses of Debian's packages, in turns

MODEL is the folder of a model with mean pooling, such as all-MiniLM-L6-v2.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import transformers

ROOT = Path(__file__).resolve().parent.parent
DEEPFIT = ROOT / "target" / "release" / "deepfit"
SENTENCES = [
    "A man is playing a guitar on the stage.",
    "Someone performs music in front of an audience.",
    "The stock market fell by three per cent on Tuesday.",
    "x",
    "",
    "Straße, café, naïve, Ελλάδα, Москва, 漢字 and 🙂: not only English.",
    " ".join(f"word{i}" for i in range(90)),
    "Deep learning on the computer you have. " * 40,
]


class Reference:
    """Mean pooling over the mask, then length 1, as the card of all-MiniLM-L6-v2 has it."""

    def __init__(self, folder: Path, dtype: torch.dtype):
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.model = transformers.AutoModel.from_pretrained(folder, dtype=dtype).eval()
        settings = folder / "sentence_bert_config.json"
        self.most = json.loads(settings.read_text())["max_seq_length"] if settings.is_file() else 512

    @torch.inference_mode()
    def hidden(self, texts: list[str], most: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = self.tokenizer(texts, padding=True, truncation=True, max_length=most or self.most, return_tensors="pt")
        return self.model(**inputs).last_hidden_state, inputs["attention_mask"]

    def embed(self, texts: list[str]) -> np.ndarray:
        hidden, mask = self.hidden(texts)
        mask = mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(mean).numpy()

    def embed_all(self, texts: list[str], batch: int, by_length: bool) -> np.ndarray:
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i])) if by_length else range(len(texts))
        order, rows = list(order), [None] * len(texts)
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            for i, row in zip(part, self.embed([texts[i] for i in part]), strict=True):
                rows[i] = row
        return np.stack(rows)


def embed_here(folder: Path, file: Path, *options: str) -> list[dict]:
    run = [DEEPFIT, "embed", folder, file, "--json", *options]
    return json.loads(subprocess.run(run, check=True, capture_output=True).stdout)


def check(folder: Path) -> bool:
    reference = Reference(folder, torch.float64)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "sentences.txt"
        file.write_text("".join(f"{sentence}\n" for sentence in SENTENCES))
        embeddings = np.array([row["embedding"] for row in embed_here(folder, file)], dtype=np.float64)
        hidden = [np.array(row["hidden"]) for row in embed_here(folder, file, "--hidden")]
    positions = reference.model.config.max_position_embeddings
    error = 0.0
    for sentence, found in zip(SENTENCES, hidden, strict=True):
        expected = reference.hidden([sentence], positions)[0][0].numpy()
        assert found.shape == expected.shape, (found.shape, expected.shape)
        error = max(error, np.abs(found - expected).max())
    expected = reference.embed(SENTENCES)
    cosine = (embeddings * expected).sum(1) / np.linalg.norm(embeddings, axis=1) / np.linalg.norm(expected, axis=1)
    print(f"hidden states of {len(SENTENCES)} texts: at most {error:.1e} from transformers in f64")
    print(f"embeddings: cosine at least 1 - {1 - cosine.min():.1e}, lengths from 1 at most {abs(np.linalg.norm(embeddings, axis=1) - 1).max():.1e}")
    return error < 1e-4 and cosine.min() > 1 - 1e-6


def synopses(count: int) -> list[str]:
    """The first synopses of Debian's packages, each once."""
    dump = subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True).stdout.decode(errors="replace")
    found = dict.fromkeys(
        line.split(": ", 1)[1] for line in dump.splitlines() if line.startswith(("Description: ", "Description-en: "))
    )
    return list(found)[:count]


def speed(folder: Path, count: int, threads: int, rounds: int) -> bool:
    torch.set_num_threads(threads)
    texts = synopses(count)
    reference = Reference(folder, torch.float32)
    times: dict[str, list[float]] = {"deepfit": [], "transformers": [], "transformers, by length": []}
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "synopses.txt"
        file.write_text("".join(f"{text}\n" for text in texts))
        for _ in range(rounds):
            for name in times:
                start = time.perf_counter()
                if name == "deepfit":
                    # The whole command, with start, reading of the weights and writing.
                    run = [DEEPFIT, "embed", folder, file, "--threads", str(threads)]
                    out = subprocess.run(run, check=True, capture_output=True).stdout
                else:
                    there = reference.embed_all(texts, 32, name.endswith("length"))
                times[name].append(time.perf_counter() - start)
                print(f"  {name}: {times[name][-1]:.1f} s", flush=True)
    here = np.array([row.split(b",")[-there.shape[1] :] for row in out.splitlines()[1:]], dtype=np.float64)
    print(f"cosine at least 1 - {1 - (here * there).sum(1).min():.1e}")
    median = {name: statistics.median(seconds) for name, seconds in times.items()}
    for name, seconds in median.items():
        print(f"{name}: {seconds:.1f} s, {len(texts) / seconds:.0f} texts a second, {seconds / median['deepfit']:.2f} times deepfit's")
    return median["transformers, by length"] > 2 * median["deepfit"]


def main() -> None:
    parser = argparse.ArgumentParser(description="hold embeddings of sentences against transformers")
    parser.add_argument("model", type=Path)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--texts", type=int, default=13_272)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    good = (
        speed(arguments.model, arguments.texts, arguments.threads, arguments.rounds)
        if arguments.speed
        else check(arguments.model)
    )
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
