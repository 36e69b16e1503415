#!/usr/bin/env python3
"""Passes models between deepfit and PyTorch, and checks that both predict the same.

    .venv/bin/python scripts/interop.py compare runs/digits-1 pictures.zip
    .venv/bin/python scripts/interop.py make runs/digits-1 OUT --dtype f16
    .venv/bin/python scripts/interop.py goldens

`compare` loads the model of a run into the equivalent PyTorch module
(equivalents.py) and compares its probabilities or values with those of
`deepfit predict` for the inputs: a CSV table, a PNG file, or a zip or folder
of PNG files of the model's size. It fails if they differ by more than 1e-4,
of values: 1e-4 of the target's deviation.

`make` writes a model folder with the network and the preparation of another
one and weights from PyTorch, drawn at random and trained for some steps, that
deepfit can use; then it compares.

`goldens` writes the folders of crates/deepfit/tests/interop/ anew.
"""

import argparse
import csv
import io
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from equivalents import module

ROOT = Path(__file__).resolve().parent.parent
GOLDENS = ROOT / "crates/deepfit/tests/interop"
TOLERANCE = 1e-4
DTYPES = {"f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def describe(folder: Path) -> tuple[Path, dict]:
    """The model folder of a run and its description."""
    folder = folder if (folder / "config.json").is_file() else folder / "model"
    return folder, json.loads((folder / "config.json").read_text())


def scaled(value: float, scale: dict) -> float:
    match scale["scaling"]:
        case "standard":
            return (value - scale["mean"]) / scale["deviation"]
        case "robust":
            z = scale["factor"] * (value - scale["median"])
            return z / (1 + (z / 3) ** 2) ** 0.5
    sys.exit(f"interop: the scaling '{scale['scaling']}' is not known here")


def table(preprocessor: dict, path: Path) -> dict[str, torch.Tensor]:
    """Numbers and category indices of a CSV table with a header: 0 for a missing word, 1 for an unknown one."""
    numeric, categories = [], []
    for row in csv.DictReader(path.read_text().splitlines()):
        numbers, indices = [], []
        for column in preprocessor["columns"]:
            text = row[column["name"]].strip()
            if column["kind"] not in ("number", "category"):
                sys.exit(f"interop: the column '{column['name']}' is neither numbers nor words")
            if column["kind"] == "category":
                words = column["words"]
                indices.append(words.index(text) + 2 if text in words else 1 if text else 0)
            else:
                value = float(text) if text else column["fill"]
                numbers += [scaled(value, scale) for _, scale in column["facets"]]
                numbers += [float(not text)] if column["indicator"] else []
        numeric.append(numbers)
        categories.append(indices)
    return {"numeric": torch.tensor(numeric, dtype=torch.float32), "categories": torch.tensor(categories).long()}


def images(preprocessor: dict, path: Path) -> dict[str, torch.Tensor]:
    """Bytes [images, height, width, channels] of PNG files, which must have the model's size already."""
    if path.is_dir():
        files = [file.read_bytes() for file in sorted(path.rglob("*.png"))]
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            files = [archive.read(name) for name in sorted(archive.namelist()) if name.endswith(".png")]
    else:
        files = [path.read_bytes()]
    height, width, channels = (preprocessor[key] for key in ("height", "width", "channels"))
    pixels = []
    for content in files:
        image = Image.open(io.BytesIO(content)).convert("L" if channels == 1 else "RGB")
        if image.size != (width, height):
            sys.exit(f"interop: an image has {image.size} pixels; this script does not resize to {(width, height)}")
        pixels.append(np.asarray(image).reshape(height, width, channels))
    return {"image": torch.from_numpy(np.stack(pixels))}


def predict(network: torch.nn.Module, description: dict, path: Path) -> list:
    """PyTorch's predictions: the probability of each class by name, or a value, for each input."""
    preprocessor = description["preprocessor"]
    inputs = (table if preprocessor["input"] == "table" else images)(preprocessor, path)
    network.eval()
    with torch.no_grad():
        outputs = network(inputs)
    task = preprocessor["task"]
    if task["kind"] == "classification":
        probabilities = outputs.double().softmax(dim=1).tolist()
        return [dict(zip(task["classes"], row, strict=True)) for row in probabilities]
    scale = preprocessor["target_scale"]
    return [row[0] * scale["deviation"] + scale["mean"] for row in outputs.double().tolist()]


def load(folder: Path, description: dict) -> torch.nn.Module:
    """The PyTorch module with the weights of a model folder; nothing may be missing or left over."""
    network = module(description["model"])
    weights = {name: value.float() for name, value in load_file(folder / "model.safetensors").items()}
    counters = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    network.load_state_dict(counters | weights)
    return network


def difference(deepfit: Path, folder: Path, description: dict, expected: list, inputs: Path) -> float:
    """The largest difference of probabilities, or of values in deviations of the target."""
    command = [deepfit, "predict", folder, inputs, "--json"]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if len(told) != len(expected):
        sys.exit(f"interop: {len(expected)} predictions by PyTorch, but {len(told)} by deepfit")
    scale = description["preprocessor"].get("target_scale")
    largest = 0.0
    for ours, theirs in zip(told, expected, strict=True):
        if scale is None:
            if ours["probabilities"].keys() != theirs.keys():
                sys.exit("interop: the classes differ")
            largest = max([largest, *(abs(ours["probabilities"][name] - p) for name, p in theirs.items())])
        else:
            largest = max(largest, abs(ours["value"] - theirs) / scale["deviation"])
    return largest


def compare(deepfit: Path, run: Path, inputs: Path) -> list:
    """Compares; gives PyTorch's predictions."""
    folder, description = describe(run)
    expected = predict(load(folder, description), description, inputs)
    found = difference(deepfit, folder, description, expected, inputs)
    print(f"{folder}: {len(expected)} predictions differ by {found:.1e} at most")
    if not found <= TOLERANCE:
        sys.exit(f"interop: more than {TOLERANCE}")
    return expected


def make(description: dict, out: Path, seed: int, dtype: str, inputs: Path, counters: bool) -> None:
    """A model folder with weights of PyTorch: random ones that have learned random classes or values of the inputs, so
    that no running statistic is as it was and predictions differ."""
    torch.manual_seed(seed)
    network = module(description["model"])
    preprocessor = description["preprocessor"]
    prepared = (table if preprocessor["input"] == "table" else images)(preprocessor, inputs)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    classify = preprocessor["task"]["kind"] == "classification"
    with torch.no_grad():
        outputs = network(prepared)
    targets = torch.randint(0, outputs.shape[1], outputs.shape[:1]) if classify else torch.randn(outputs.shape)
    criterion = torch.nn.functional.cross_entropy if classify else torch.nn.functional.mse_loss
    for _ in range(20):
        loss = criterion(network(prepared), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    state = network.state_dict()
    if not counters:
        state = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    kept = {n: v.to(DTYPES[dtype]) if v.is_floating_point() else v for n, v in state.items()}
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(description, indent=2) + "\n")
    save_file({name: value.contiguous() for name, value in kept.items()}, out / "model.safetensors")


def picture(random: np.random.Generator, height: int, width: int, channels: int) -> bytes:
    shape = (height, width) if channels == 1 else (height, width, channels)
    content = io.BytesIO()
    Image.fromarray(random.integers(0, 256, shape, dtype="uint8")).save(content, "png")
    return content.getvalue()


def write_pictures(path: Path, image: dict) -> None:
    random = np.random.default_rng(7)
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(8):
            entry = zipfile.ZipInfo(f"{i}.png", (1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, picture(random, image["height"], image["width"], image["channels"]))


def write_fruit(path: Path, rows: int) -> None:
    """A made table with numbers, missing ones among them, and words."""
    random = np.random.default_rng(3)
    lines = ["size,colour,shape,weight,kind"]
    for i in range(rows):
        size, weight = random.normal(10, 4), random.normal(3, 1)
        colour, shape = random.choice(["red", "blue", "green"]), random.choice(["round", "square", "long"])
        apple = int(colour == "red") + int(shape == "round") + int(weight > 3) >= 2
        kind = "apple" if apple else "plum" if size > 10 else "pear"
        lines.append(f"{size:.2f},{colour},{shape},{'' if i % 7 == 0 else f'{weight:.2f}'},{kind}")
    path.write_text("\n".join(lines) + "\n")


def images_description(model: dict) -> dict:
    image = model["image"]
    sides = {key: image[key] for key in ("height", "width", "channels")}
    classes = [f"class {i}" for i in range(model["outputs"])]
    task = {"kind": "classification", "classes": classes}
    preprocessor = {"input": "image", "version": 1, **sides, "task": task}
    return {"version": 1, "model": model, "name": model["model_type"], "preprocessor": preprocessor}


def made_networks(tables: dict) -> dict[str, tuple[dict, str, bool]]:
    """What PyTorch makes for the tests: description, type of the file, whether it has counters of batches."""
    grey = {"height": 8, "width": 8, "channels": 1, "mean": [0.3], "std": [0.4]}
    colour = {"height": 16, "width": 12, "channels": 3, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}
    mlp = {"hidden": [8, 6], "activation": "gelu", "batch_norm": True, "skip": False}
    cnn = {"model_type": "cnn", "image": grey, "outputs": 3, "stages": [[4], [6, 8]], "head": "global_average"}
    resnet = {"model_type": "resnet", "outputs": 4, "small_stem": True}
    block = {"expansion": 1, "channels": 6, "stride": 1}
    wider = {"expansion": 2, "channels": 8, "stride": 2}
    same = {"expansion": 2, "channels": 8, "stride": 1}
    mobilenet = {"model_type": "mobilenet_v2", "image": colour, "outputs": 3, "stem": 6}
    return {
        "pytorch-mlp": ({**tables, "model": {**tables["model"], **mlp}}, "f64", True),
        "pytorch-cnn": (images_description({**cnn, "hidden": 5, "activation": "silu"}), "f32", False),
        "pytorch-resnet-basic": (
            images_description({**resnet, "image": grey, "block": "basic", "depths": [1, 1], "widths": [6, 8]}),
            "f32",
            True,
        ),
        "pytorch-resnet-bottleneck": (
            images_description(
                {**resnet, "image": colour, "block": "bottleneck", "depths": [1, 2], "widths": [4, 6], "small_stem": False}
            ),
            "f16",
            True,
        ),
        "pytorch-mobilenet": (images_description({**mobilenet, "blocks": [block, wider, same], "last": 16}), "bf16", True),
    }


def write_goldens(deepfit: Path) -> None:
    shutil.rmtree(GOLDENS, ignore_errors=True)
    GOLDENS.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        write_fruit(place / "fruit.csv", 160)
        trained = {
            "trained-mlp": (place / "fruit.csv", ["hidden=[8,8]", "--epochs", "20"], "inputs.csv"),
            "trained-regression": (ROOT / "examples/diabetes.csv", ["hidden=[12]", "--epochs", "10"], "inputs.csv"),
            "trained-cnn": (ROOT / "examples/digits.zip", ["--epochs", "3"], "inputs.zip"),
        }
        for name, (data, settings, inputs) in trained.items():
            run = place / name
            command = [deepfit, "train", data, "--out", run, "--quiet", "folds=1", *settings]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            out = GOLDENS / name
            shutil.copytree(run / "model", out)
            if inputs.endswith("csv"):
                (out / inputs).write_text("\n".join(data.read_text().splitlines()[:13]) + "\n")
            else:
                write_pictures(out / inputs, describe(run)[1]["model"]["image"])
        _, tables = describe(GOLDENS / "trained-mlp")
        for seed, (name, (description, dtype, counters)) in enumerate(made_networks(tables).items()):
            out = GOLDENS / name
            out.mkdir()
            if name == "pytorch-mlp":
                shutil.copy(GOLDENS / "trained-mlp/inputs.csv", out / "inputs.csv")
            else:
                write_pictures(out / "inputs.zip", description["model"]["image"])
            make(description, out, seed, dtype, next(out.glob("inputs.*")), counters)
    for out in sorted(GOLDENS.iterdir()):
        expected = compare(deepfit, out, next(out.glob("inputs.*")))
        (out / "pytorch.json").write_text(json.dumps(expected, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="models between deepfit and PyTorch")
    parser.add_argument("--deepfit", type=Path, default=ROOT / "target/release/deepfit", help="the program")
    commands = parser.add_subparsers(dest="command", required=True)
    sub = commands.add_parser("compare", help="a model of deepfit, or one that `make` made, in PyTorch")
    sub.add_argument("model", type=Path)
    sub.add_argument("inputs", type=Path)
    sub = commands.add_parser("make", help="a model folder with weights of PyTorch")
    sub.add_argument("model", type=Path, help="a run or model folder: network and preparation are its")
    sub.add_argument("out", type=Path)
    sub.add_argument("inputs", type=Path)
    sub.add_argument("--seed", type=int, default=1)
    sub.add_argument("--dtype", choices=DTYPES, default="f32")
    commands.add_parser("goldens", help="the golden folders of the tests")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    if arguments.command == "goldens":
        write_goldens(arguments.deepfit)
        return
    if arguments.command == "make":
        _, description = describe(arguments.model)
        make(description, arguments.out, arguments.seed, arguments.dtype, arguments.inputs, counters=True)
    compare(arguments.deepfit, arguments.out if arguments.command == "make" else arguments.model, arguments.inputs)


if __name__ == "__main__":
    main()
