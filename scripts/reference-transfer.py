#!/usr/bin/env python3
"""What other programs reach on the draws of make-transfer-pictures.py: with a pre-trained network and without one.

    .venv/bin/python scripts/reference-transfer.py PICTURES --json transfer.json
    .venv/bin/python scripts/reference-transfer.py PICTURES --sets google lfw --full

PICTURES is the folder that make-transfer-pictures.py wrote. The rows of the table:

    features  scikit-learn's logistic regression as it comes on the 1280 features of EfficientNet-Lite0, which sees the
              pictures as it was trained: shorter side 256, the middle 224
    stages    logistic regression on averages and maxima of four depths of it, see `stages`; pictures are 224 at once
    forest    500 trees on the pixels, made small, and histograms of the colours
    cnn       a small convolutional network from scratch; two draws, all five with --full: minutes each

--without leaves rows out. With --deepfit FILE there are two more: `deepfit train` as it comes (deepfit), and with `--from scratch` (scratch).

Also told is how many pictures a second PyTorch turns into features, Pillow's reading and scaling included. All rows of a set see
the same pictures in training and test, those that `deepfit train PICTURES/draws/...` sees.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "crates" / "deepfit-backbone-efficientnet-lite0" / "model.safetensors"
DRAWS = range(5)
FEW_DRAWS = range(2)
BATCH = 32
# (rows of training, classes of training, rows to score) -> predicted classes
Learner = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def pixels(path: Path, size: int) -> np.ndarray:
    """[size, size, 3] of bytes."""
    image = Image.open(path).convert("RGB")
    return np.asarray(image if image.size == (size, size) else image.resize((size, size), Image.BICUBIC))


def as_published(path: Path) -> np.ndarray:
    return pixels(path, 256)[16:240, 16:240]


def whole(path: Path) -> np.ndarray:
    """Drawings fill their frames: nothing is cut off."""
    return pixels(path, 224)


def backbone() -> nn.Module:
    network = timm.create_model("tf_efficientnet_lite0").eval()
    missing, unexpected = network.load_state_dict({k: v.float() for k, v in load_file(WEIGHTS).items()}, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing), (missing, unexpected)
    return network.to(memory_format=torch.channels_last)


def prepared(paths: list[Path], read: Callable[[Path], np.ndarray]) -> torch.Tensor:
    batch = torch.from_numpy(np.stack([read(path) for path in paths])).permute(0, 3, 1, 2)
    return (batch.contiguous(memory_format=torch.channels_last).float() - 127) / 128


@torch.inference_mode()
def embed(network: nn.Module, paths: list[Path]) -> np.ndarray:
    """The 1280 features of each picture."""
    rows = []
    for start in range(0, len(paths), BATCH):
        features = network.forward_features(prepared(paths[start : start + BATCH], as_published))
        rows.append(features.mean((2, 3)))
    return torch.cat(rows).numpy()


@torch.inference_mode()
def embed_stages(network: nn.Module, paths: list[Path]) -> np.ndarray:
    """Averages and maxima over the places, of the last three stages and of the features.

    Stages before the last know shapes and textures that ImageNet's classes have no use for and drawings may have.
    Square roots shorten the long tails of the features. Blocks of columns follow each other, as wide as their channels.
    """
    rows = []
    for start in range(0, len(paths), BATCH):
        x = network.bn1(network.conv_stem(prepared(paths[start : start + BATCH], whole)))
        found = []
        for number, stage in enumerate(network.blocks):
            x = stage(x)
            if number >= 4:
                found += [x.mean((2, 3)), x.amax((2, 3))]
        x = network.bn2(network.conv_head(x))
        found += [x.mean((2, 3)).sqrt(), x.amax((2, 3)).sqrt()]
        rows.append(torch.cat(found, 1))
    return torch.cat(rows).numpy()


def logistic(train: np.ndarray, classes: np.ndarray, test: np.ndarray) -> np.ndarray:
    return LogisticRegression(max_iter=1000).fit(train, classes).predict(test)


def stages(train: np.ndarray, classes: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Columns standardised, blocks of columns of the same weight; mean cross-entropy + 1e-4 / 2 * |weights|^2."""
    mean, deviation = train.mean(0), train.std(0)
    # A column that hardly differs in training would be nothing but noise in test.
    deviation = np.maximum(deviation, 1e-3 * np.median(deviation))
    widths = np.repeat([112, 192, 320, 1280], 2)
    scale = np.repeat(1 / np.sqrt(widths * len(widths)), widths) / deviation
    train, test = (train - mean) * scale, (test - mean) * scale
    # scikit-learn's C weighs the sum over rows.
    return LogisticRegression(C=1 / (1e-4 * len(train)), max_iter=1000).fit(train, classes).predict(test)


def forest(train: np.ndarray, classes: np.ndarray, test: np.ndarray) -> np.ndarray:
    return RandomForestClassifier(500, random_state=0, n_jobs=-1).fit(train, classes).predict(test)


def describe(images: np.ndarray) -> np.ndarray:
    """Pixels of 16x16 and, for each colour, how often it has each of 16 strengths."""
    small = [np.asarray(Image.fromarray(image).resize((16, 16), Image.BOX)).ravel() / 255 for image in images]
    counts = [[np.histogram(image[..., c], 16, (0, 256))[0] for c in range(3)] for image in images]
    return np.hstack([small, np.array(counts).reshape(len(images), -1) / images[0, ..., 0].size])


def small_cnn(size: int, classes: int) -> nn.Module:
    layers, inputs = [], 3
    for outputs in (32, 64, 128, 128) if size >= 48 else (32, 64, 128):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.25), nn.Linear(inputs, classes))


def cnn(train: np.ndarray, classes: np.ndarray, test: np.ndarray) -> np.ndarray:
    """About 1,000 steps whatever the size of the set; pictures are shifted and mirrored."""
    torch.manual_seed(0)
    images, others = (torch.from_numpy(x).permute(0, 3, 1, 2).float() / 127.5 - 1 for x in (train, test))
    targets = torch.from_numpy(classes)
    size = images.shape[-1]
    model = small_cnn(size, int(classes.max()) + 1)
    per_epoch = -(-len(images) // BATCH)
    epochs = max(1, 1000 // per_epoch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.004, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.004, total_steps=epochs * per_epoch)
    most = max(1, size // 10)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images)).split(BATCH):
            batch = functional.pad(images[chosen], [most] * 4, mode="replicate")
            y, x = torch.randint(0, 2 * most + 1, (2,)).tolist()
            batch = batch[..., y : y + size, x : x + size]
            if torch.rand(()) < 0.5:
                batch = batch.flip(3)
            loss = functional.cross_entropy(model(batch), targets[chosen], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.inference_mode():
        return torch.cat([model(x).argmax(1) for x in others.split(256)]).numpy()


def part(folder: Path, places: dict[tuple[str, str], int]) -> np.ndarray:
    """Where the pictures of `train` or `test` are among all."""
    return np.array([places[path.parent.name, path.name] for path in sorted(folder.glob("*/*.png"))])


def train(deepfit: Path, data: Path, threads: int, cache: Path, *more: str) -> dict:
    """What `deepfit train --json` says; features are kept in the folder `cache`."""
    with tempfile.TemporaryDirectory() as folder:
        command = [deepfit, "train", data, "--json", "--quiet", "--threads", str(threads), "--out", f"{folder}/run", *more]
        environment = {**os.environ, "DEEPFIT_CACHE": str(cache)}
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout)


def of_deepfit(arguments: argparse.Namespace, title: str, draws: list[Path]) -> dict:
    """Accuracies of the draws, seconds of one with features that are known already, most memory."""
    ways = {"deepfit": (draws, []), "scratch": (draws if arguments.full else draws[: len(FEW_DRAWS)], ["--from", "scratch"])}
    found = {}
    for method, (chosen, more) in ways.items():
        cache = arguments.pictures / "features"
        reports = [train(arguments.deepfit.resolve(), data, arguments.threads, cache, *more) for data in chosen]
        scores = [report["metrics"]["test"]["accuracy"] for report in reports]
        seconds = [report["seconds"] for report in reports]
        memory = max(report["peak_memory_bytes"] for report in reports) / 1e6
        found[method] = {"accuracy": scores, "seconds": float(np.median(seconds)), "megabytes": memory}
        error = np.std(scores, ddof=1) / len(scores) ** 0.5
        shown = f"{np.mean(scores):.4f} +- {error:.4f} of {len(scores)} draws, {np.median(seconds):.1f} s each"
        print(f"  {title:12} {method:9} {shown} (the slowest {max(seconds):.1f} s), {memory:.0f} MB", flush=True)
    return found


def measure(arguments: argparse.Namespace, name: str, network: nn.Module) -> dict:
    """For each number of pictures a class and each row of the table: accuracies of the draws, seconds of one."""
    pictures, every_draw = arguments.pictures, arguments.full
    paths = sorted((pictures / name).glob("*/*.png"))
    if not paths:
        sys.exit(f"reference-transfer: no pictures in {pictures / name}; make-transfer-pictures.py makes them")
    names = sorted({path.parent.name for path in paths})
    classes = np.array([names.index(path.parent.name) for path in paths])
    places = {(path.parent.name, path.name): index for index, path in enumerate(paths)}
    size = Image.open(paths[0]).size[0]
    images = np.stack([pixels(path, size) for path in paths])
    start = time.perf_counter()
    features = embed(network, paths)
    speed = len(paths) / (time.perf_counter() - start)
    methods: dict[str, tuple[np.ndarray, Learner, range]] = {
        "features": (features, logistic, DRAWS),
        "stages": (embed_stages(network, paths), stages, DRAWS),
        "forest": (describe(images), forest, DRAWS),
        "cnn": (images, cnn, DRAWS if every_draw else FEW_DRAWS),
    }
    methods = {method: row for method, row in methods.items() if method not in arguments.without}
    print(f"{name}: {len(paths):,} pictures, {len(names)} classes, {speed:.1f} pictures/s to features", flush=True)
    found: dict = {"pictures": len(paths), "pictures_per_second": speed, "results": {}}
    for draws in ["{}-{}"] if name == "lfw" else ["{}-10-{}", "{}-50-{}"]:
        title = draws.removesuffix("-{}").format(name)
        for method, (rows, learner, chosen) in methods.items():
            scores, start = [], time.perf_counter()
            for draw in chosen:
                folder = pictures / "draws" / draws.format(name, draw)
                train, test = part(folder / "train", places), part(folder / "test", places)
                scores.append(float((learner(rows[train], classes[train], rows[test]) == classes[test]).mean()))
            seconds = (time.perf_counter() - start) / len(scores)
            found["results"].setdefault(title, {})[method] = {"accuracy": scores, "seconds": seconds}
            error = np.std(scores, ddof=1) / len(scores) ** 0.5
            shown = f"{np.mean(scores):.4f} +- {error:.4f}"
            print(f"  {title:12} {method:9} {shown} of {len(scores)} draws, {seconds:.1f} s each", flush=True)
        if arguments.deepfit:
            folders = [pictures / "draws" / draws.format(name, draw) for draw in DRAWS]
            found["results"][title].update(of_deepfit(arguments, title, folders))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="what a pre-trained network is worth elsewhere")
    parser.add_argument("pictures", type=Path, help="what make-transfer-pictures.py wrote")
    parser.add_argument("--sets", nargs="+", default=["google", "apple", "twitter", "lfw"])
    parser.add_argument("--without", nargs="+", default=[], metavar="ROW", help="rows to leave out, such as cnn")
    parser.add_argument("--full", action="store_true", help="all draws for the slow rows as well")
    parser.add_argument("--deepfit", type=Path, help="the program, to train on the same draws")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="a file for all numbers")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    network = backbone()
    found = {name: measure(arguments, name, network) for name in arguments.sets}
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
