#!/usr/bin/env python3
"""Bits per byte of the example `bytes` and of the same network in PyTorch, from the same weights after the same steps.

    cargo build --release -p deepfit --example bytes
    .venv/bin/python scripts/compare-bytes.py [--steps 400] [--text FILE]

The text is a megabyte that `make-texts.py` makes, if no other is given. Ends with 1 if PyTorch is better by more than
rounding explains.
"""

import argparse
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parent.parent
# As in the example.
ROWS, WINDOW, WIDTH, HIDDEN, RATE, NORM = 32, 64, 64, 128, 0.004, 1.0
# Two runs in f32 part by rounding alone: after 400 steps PyTorch in f32 is 6e-3 from PyTorch in f64.
TOLERANCE = 5e-3


class Network(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(256, WIDTH)
        self.lstm = torch.nn.LSTM(WIDTH, HIDDEN)
        self.head = torch.nn.Linear(HIDDEN, 256)

    def forward(self, text: torch.Tensor, state: tuple) -> tuple[torch.Tensor, tuple]:
        output, state = self.lstm(self.embedding(text), state)
        return self.head(output), state


def rows(text: bytes) -> tuple[torch.Tensor, int]:
    """Columns of places that are read at once, and how many windows they have."""
    windows = (len(text) - 1) // ROWS // WINDOW
    length = windows * WINDOW
    numbers = np.frombuffer(text, np.uint8).astype(np.int64)
    return torch.from_numpy(np.stack([numbers[r * length : (r + 1) * length + 1] for r in range(ROWS)], 1)), windows


def reference(network: Network, text: bytes, steps: int) -> float:
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    cut = len(text) // 10 * 9
    zero = (torch.zeros(1, ROWS, HIDDEN), torch.zeros(1, ROWS, HIDDEN))

    def loss_of(part: torch.Tensor, window: int, state: tuple) -> tuple[torch.Tensor, tuple]:
        piece = part[window * WINDOW : (window + 1) * WINDOW + 1]
        logits, state = network(piece[:-1], state)
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), piece[1:].flatten()), state

    part, windows = rows(text[:cut])
    for step in range(steps):
        state = zero if step % windows == 0 else tuple(s.detach() for s in state)
        loss, state = loss_of(part, step % windows, state)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), NORM)
        optimizer.step()
    part, windows = rows(text[cut:])
    total, state = 0.0, zero
    with torch.no_grad():
        for window in range(windows):
            loss, state = loss_of(part, window, state)
            total += loss.item()
    return total / windows / math.log(2)


def main() -> None:
    parser = argparse.ArgumentParser(description="compare the example `bytes` with PyTorch")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--program", default=ROOT / "target/release/examples/bytes")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    network = Network()
    with tempfile.TemporaryDirectory() as folder:
        text, weights = arguments.text or Path(folder) / "text", Path(folder) / "weights.safetensors"
        if not arguments.text:
            make = [sys.executable, "-W", "ignore", ROOT / "scripts/make-texts.py", "--large", text]
            subprocess.run(make, check=True)
        save_file(network.state_dict(), weights)
        begin = time.time()
        command = [arguments.program, text, str(arguments.steps), weights]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        between = time.time()
        theirs = reference(network, text.read_bytes(), arguments.steps)
        end = time.time()
        size = text.stat().st_size
    ours = float(told.split()[0])
    print(f"{arguments.steps} steps, {size} bytes of text")
    print(f"deepfit  {ours:.4f} bits per byte  ({between - begin:.0f} s)")
    print(f"PyTorch  {theirs:.4f} bits per byte  ({end - between:.0f} s)")
    sys.exit(0 if ours <= theirs + TOLERANCE else 1)


if __name__ == "__main__":
    main()
