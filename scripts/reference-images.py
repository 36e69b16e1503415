#!/usr/bin/env python3
"""Trains a small CNN in PyTorch on small grey images: what a person gets there.

    .venv/bin/python scripts/reference-images.py examples/digits.zip --seeds 1 2 3 4 5
    .venv/bin/python scripts/reference-images.py MNIST5K_FOLDER --seeds 1 2 3

DATA is a folder of class folders, or a zip of it. Each seed splits 70/10/20 by
class, trains with random shifts, keeps the weights that were best on the
validation part and scores them on the test part.
"""

import argparse
import io
import sys
import time
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional


def read_images(data: Path) -> tuple[torch.Tensor, np.ndarray]:
    """Images [n, 1, height, width] in 0..1 and their class ids."""
    found: list[tuple[str, bytes]] = []
    if data.is_dir():
        for path in sorted(data.glob("*/*.png")):
            found.append((path.parent.name, path.read_bytes()))
    elif zipfile.is_zipfile(data):
        with zipfile.ZipFile(data) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith(".png"):
                    found.append((PurePosixPath(name).parent.name, archive.read(name)))
    if not found:
        sys.exit(f"reference-images: no class folders with PNG files in {data}")
    classes = sorted({label for label, _ in found})
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(content)).convert("L")) for _, content in found])
    labels = np.array([classes.index(label) for label, _ in found])
    return torch.from_numpy(pixels).float().div(255).unsqueeze(1), labels


def network(size: int, classes: int) -> nn.Module:
    """Three convolutions for 8x8 images, four for larger ones, and a linear head."""

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]

    layers = block(1, 32) + block(32, 32) + [nn.MaxPool2d(2)]
    layers += block(32, 64) + ([nn.MaxPool2d(2)] + block(64, 64) if size > 8 else [])
    layers += [nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Dropout(0.25), nn.Linear(64 * 4, classes)]
    return nn.Sequential(*layers)


def shift(images: torch.Tensor, most: int) -> torch.Tensor:
    """Moves each image by up to `most` pixels each way; zeros come in."""
    height, width = images.shape[2:]
    padded = functional.pad(images, (most, most, most, most))
    offsets = torch.randint(0, 2 * most + 1, (len(images), 2))
    moved = [padded[i, :, y : y + height, x : x + width] for i, (y, x) in enumerate(offsets.tolist())]
    return torch.stack(moved)


def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    model.eval()
    with torch.no_grad():
        right = sum((model(x).argmax(1) == y).sum().item() for x, y in zip(images.split(512), labels.split(512)))
    return right / len(labels)


def train(images: torch.Tensor, labels: np.ndarray, seed: int, epochs: int, batch: int) -> float:
    """Test accuracy of one seed."""
    torch.manual_seed(seed)
    rows = np.arange(len(labels))
    rest, test = train_test_split(rows, test_size=0.2, stratify=labels, random_state=seed)
    fit, validation = train_test_split(rest, test_size=0.125, stratify=labels[rest], random_state=seed)
    targets = torch.from_numpy(labels)
    size = images.shape[-1]
    model = network(size, int(labels.max()) + 1)
    steps = len(fit) // batch
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=epochs * steps)
    best, best_weights = -1.0, {}
    for _ in range(epochs):
        model.train()
        order = torch.from_numpy(fit)[torch.randperm(len(fit))]
        for step in range(steps):
            chosen = order[step * batch : (step + 1) * batch]
            logits = model(shift(images[chosen], max(1, size // 12)))
            loss = functional.cross_entropy(logits, targets[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        # Of equals the later: the learning rate falls to the end.
        score = accuracy(model, images[validation], targets[validation])
        if score >= best:
            best = score
            best_weights = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(best_weights)
    return accuracy(model, images[test], targets[test])


def main() -> None:
    parser = argparse.ArgumentParser(description="a small CNN in PyTorch on grey images")
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    images, labels = read_images(arguments.data)
    print(f"{len(labels):,} images {images.shape[3]}x{images.shape[2]}, {labels.max() + 1} classes")
    scores = []
    for seed in arguments.seeds:
        start = time.perf_counter()
        scores.append(train(images, labels, seed, arguments.epochs, arguments.batch))
        print(f"seed {seed}: test accuracy {scores[-1]:.4f}, {time.perf_counter() - start:.1f} s", flush=True)
    print(f"mean {np.mean(scores):.4f}, lowest {min(scores):.4f}")


if __name__ == "__main__":
    main()
