#!/usr/bin/env python3
"""Trains the networks that continue texts in PyTorch and by deepfit, as many steps on the same bytes, and compares them.

    .venv/bin/python scripts/reference-language.py TEXT --deepfit target/release/deepfit

TEXT is a file of English text, of which the first 1,000,000 bytes are used; so is, where Debian's package vim-runtime is
installed, `cat /usr/share/vim/vim90/doc/usr_*.txt /usr/share/vim/vim90/doc/{change,motion,insert,options}.txt`. The tokens are
its bytes. For each network are told: bits per byte of the last tenth of the text, seconds of the training, and how many tokens
a second are made when the trained network continues a text, by PyTorch with the states or the keys and values kept.

The networks are those that deepfit trains: lstm (256 numbers a byte, 512 states) and transformer (GPT-2 of 4 layers, 256 wide,
in PyTorch by transformers). Both sides take windows of 128 bytes, 32 at a time, AdamW, gradients of norm 1 at most,
and one cycle of the learning rate. PyTorch's schedule would also cycle the momentum, which deepfit's does not;
--cycle-momentum tells what that does.
"""

import argparse
import json
import math
import subprocess
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel

BYTES = 1_000_000
WINDOW = 128
BATCH = 32
RATE, DECAY = 2e-3, 0.1
WIDTH, STATES = 256, 512
PROMPT = "The command "


class Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(256, WIDTH)
        self.drop = nn.Dropout(0.1)
        self.layers = nn.LSTM(WIDTH, STATES, batch_first=True)
        self.head = nn.Linear(STATES, 256)

    def forward(self, tokens: torch.Tensor, state=None) -> tuple:
        hidden, state = self.layers(self.drop(self.words(tokens)), state)
        return self.head(self.drop(hidden)), state


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        config = GPT2Config(vocab_size=256, n_positions=WINDOW, n_embd=WIDTH, n_layer=4, n_head=4, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
        self.gpt = GPT2LMHeadModel(config)

    def forward(self, tokens: torch.Tensor, state=None) -> tuple:
        made = self.gpt(tokens, past_key_values=state, use_cache=not self.training)
        return made.logits, made.past_key_values


def parts(text: bytes) -> tuple[bytes, bytes, bytes]:
    """Four fifths, a tenth and a tenth, where lines end."""

    def cut(text: bytes, share: float) -> tuple[bytes, bytes]:
        at = int(len(text) * share)
        at = text.find(b"\n", at) + 1
        return text[:at], text[at:]

    learned, after = cut(text, 0.8)
    return learned, *cut(after, 0.5)


def windows(text: bytes) -> torch.Tensor:
    """Rows of WINDOW + 1 bytes, the last of which begins the next."""
    data = torch.tensor(list(text))
    count = (len(data) - 1) // WINDOW
    return torch.stack([data[i * WINDOW : i * WINDOW + WINDOW + 1] for i in range(count)])


@torch.inference_mode()
def bits(model: nn.Module, rows: torch.Tensor) -> float:
    model.eval()
    losses = [functional.cross_entropy(model(r[:, :-1])[0].flatten(0, 1), r[:, 1:].flatten(), reduction="sum") for r in rows.split(BATCH)]
    return float(sum(losses)) / rows[:, 1:].numel() / math.log(2)


@torch.inference_mode()
def pace(model: nn.Module, tokens: int) -> float:
    """Tokens a second, the likeliest each time."""
    model.eval()
    best = math.inf
    for _ in range(3):
        logits, state = model(torch.tensor([list(PROMPT.encode())]))
        start = time.perf_counter()
        for _ in range(tokens):
            logits, state = model(logits[:, -1:].argmax(-1), state)
        best = min(best, time.perf_counter() - start)
    return tokens / best


def of_torch(name: str, text: bytes, epochs: int, tokens: int, seed: int, cycles: bool) -> dict:
    torch.manual_seed(seed)
    learned, _, last = parts(text)
    rows, test = windows(learned), windows(last)
    model = {"lstm": Lstm, "transformer": Transformer}[name]()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    steps = epochs * -(-len(rows) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=RATE, total_steps=steps, cycle_momentum=cycles)
    start = time.perf_counter()
    for _ in range(epochs):
        model.train()
        for chosen in torch.randperm(len(rows)).split(BATCH):
            batch = rows[chosen]
            loss = functional.cross_entropy(model(batch[:, :-1])[0].flatten(0, 1), batch[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    seconds = time.perf_counter() - start
    return {"bits_per_byte": bits(model, test), "seconds": seconds, "tokens_per_second": pace(model, tokens)}


def of_deepfit(name: str, deepfit: Path, text: Path, epochs: int, threads: int, tokens: int, seed: int) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        run, more = f"{folder}/run", ["--json", "--threads", str(threads)]
        train = [deepfit, "train", text, "--model", name, "vocabulary=257", f"batch={BATCH}", "--epochs", str(epochs), "--seed", str(seed)]
        report = json.loads(subprocess.run([*train, "--quiet", "--out", run, *more], check=True, stdout=subprocess.PIPE).stdout)
        def seconds_of(tokens: int) -> float:
            best = math.inf
            for _ in range(5):
                start = time.perf_counter()
                command = [deepfit, "generate", run, PROMPT, "--max-tokens", str(tokens), *more]
                made = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
                assert made["tokens"] == tokens
                best = min(best, time.perf_counter() - start)
            return best

        # Without the start of the program and the reading of the prompt.
        best = (seconds_of(tokens) - seconds_of(1)) / (tokens - 1)
    seconds = report["data"]["training"]
    return {"bits_per_byte": report["metrics"]["test"]["bits_per_byte"], "seconds": seconds, "tokens_per_second": 1 / best}


def main() -> None:
    parser = argparse.ArgumentParser(description="networks that continue texts, in PyTorch and by deepfit")
    parser.add_argument("text", type=Path)
    parser.add_argument("--deepfit", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", default=["lstm", "transformer"])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="how many trainings, each of which begins with other weights in another order")
    parser.add_argument("--cycle-momentum", action="store_true", help="PyTorch's momentum from 0.95 to 0.85 and back")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    text = arguments.text.read_bytes()[:BYTES]
    for name in arguments.networks:
        # A transformer continues as far as it has positions.
        tokens = 100 if name == "transformer" else 500
        found = {"deepfit": [], "PyTorch": []}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "text.txt"
            path.write_bytes(text)
            for seed in range(1, arguments.seeds + 1):
                found["deepfit"].append(of_deepfit(name, arguments.deepfit.resolve(), path, arguments.epochs, arguments.threads, tokens, seed))
                found["PyTorch"].append(of_torch(name, text, arguments.epochs, tokens, seed, arguments.cycle_momentum))
                for side, runs in found.items():
                    print(f"{name:12} {side:8} seed {seed}: {shown(runs[-1:])}", flush=True)
        if arguments.seeds > 1:
            for side, runs in found.items():
                print(f"{name:12} {side:8} mean:   {shown(runs)}", flush=True)


def shown(runs: list[dict]) -> str:
    means = {key: sum(run[key] for run in runs) / len(runs) for key in runs[0]}
    return "{bits_per_byte:.4f} bits per byte, {seconds:.1f} s of training, {tokens_per_second:.0f} tokens/s".format(**means)


if __name__ == "__main__":
    main()
