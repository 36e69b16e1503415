#!/usr/bin/env python3
"""Writes small sets of pictures for trying what a pre-trained network is worth, with draws into training and test.

    .venv/bin/python scripts/make-transfer-pictures.py OUT                     three vendors' emoji, and faces or not
    .venv/bin/python scripts/make-transfer-pictures.py OUT --sets google lfw   some of them

OUT then holds

    google/CLASS/*.png                  1,906 emoji as Google draws them, 64x64 on white, 9 classes; the same emoji by
    apple/, twitter/                    other hands, for what a change of style costs
    lfw/face/*.png, lfw/other/*.png     200 grey pictures, 25x25
    draws/google-10-0/train/CLASS/*     10 pictures a class, and
    draws/google-10-0/test/CLASS/*      all others; so for 10 and 50, for draws 0 to 4 and for each vendor
    draws/lfw-0/train/CLASS/*, test/    four fifths and a fifth, for draws 0 to 4

Such a draw is a data set for `deepfit train OUT/draws/google-10-0`; `reference-transfer.py` takes the same draws, so
that numbers can be compared. Which picture is drawn depends on its name and the draw alone: it is the same with every
version of Python, an emoji is on the same side for all vendors, and 50 hold the 10.

The emoji are those of the npm packages emoji-datasource-google, -apple and -twitter, fetched with npm, which must be
there. Faces or not are those of scikit-image (from Labeled Faces in the Wild). Nothing of either is part of deepfit.
"""

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import skimage
from PIL import Image

VENDORS = ("google", "apple", "twitter")
# Another version has other pictures, and numbers could not be compared.
VERSION = "16.0.0"
DRAWS = range(5)
SIZES = (10, 50)


def fetch(package: str, folder: str) -> Path:
    """The package as npm packs it; npm knows the registry."""
    # Without a shell, Windows finds only the program's full name.
    npm = "npm.cmd" if os.name == "nt" else "npm"
    try:
        subprocess.run([npm, "pack", "--silent", package], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    except FileNotFoundError:
        sys.exit("make-transfer-pictures: npm is not there; install it, or ask for `--sets lfw`")
    except subprocess.CalledProcessError:
        sys.exit(f"make-transfer-pictures: npm could not fetch {package}")
    return next(Path(folder).glob("*.tgz"))


def on_white(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content)).convert("RGBA")
    ground = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(ground, image).convert("RGB")


def write_vendor(out: Path, vendor: str) -> int:
    """Emoji by category; "Component" are colours of skin and hair, five or so, not pictures of something."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fetch(f"emoji-datasource-{vendor}@{VERSION}", folder)) as archive:
            emoji = json.load(archive.extractfile("package/emoji.json"))
            category = {entry["image"]: entry["category"] for entry in emoji}
            prefix = f"package/img/{vendor}/64/"
            written = 0
            for member in archive:
                name = member.name.removeprefix(prefix)
                # Others are tones of skin of the same picture.
                if not member.name.startswith(prefix) or category.get(name, "Component") == "Component":
                    continue
                path = out / vendor / category[name].lower().replace(" & ", "-") / name
                path.parent.mkdir(parents=True, exist_ok=True)
                on_white(archive.extractfile(member).read()).save(path)
                written += 1
    return written


def write_faces(out: Path) -> int:
    """The first hundred are faces."""
    pictures = np.load(Path(skimage.__file__).parent / "data" / "lfw_subset.npy")
    for index, picture in enumerate(pictures):
        path = out / "lfw" / ("face" if index < 100 else "other") / f"{index:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.round(picture * 255).astype(np.uint8)).save(path)
    return len(pictures)


def write_draw(data: Path, out: Path, draw: int, size: int | None) -> None:
    """Links pictures of each class: `size` of them to training or, without it, four fifths; the rest to test."""
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        paths = sorted(folder.iterdir(), key=lambda path: hashlib.sha256(f"{draw}/{path.name}".encode()).digest())
        count = size or len(paths) * 4 // 5
        for part, chosen in (("train", paths[:count]), ("test", paths[count:])):
            target = out / part / folder.name
            target.mkdir(parents=True)
            for path in chosen:
                os.link(path, target / path.name)


def main() -> None:
    parser = argparse.ArgumentParser(description="write small sets of pictures and draws of them")
    parser.add_argument("out", type=Path, help="a folder that is empty or not there yet")
    parser.add_argument("--sets", nargs="+", choices=[*VENDORS, "lfw"], default=[*VENDORS, "lfw"])
    arguments = parser.parse_args()
    out = arguments.out
    if out.exists() and any(out.iterdir()):
        sys.exit(f"make-transfer-pictures: {out} is not empty; name another folder")
    for name in arguments.sets:
        count = write_faces(out) if name == "lfw" else write_vendor(out, name)
        for draw in DRAWS:
            for size in (None,) if name == "lfw" else SIZES:
                title = f"{name}-{draw}" if size is None else f"{name}-{size}-{draw}"
                write_draw(out / name, out / "draws" / title, draw, size)
        print(f"{out / name}: {count:,} pictures")


if __name__ == "__main__":
    main()
