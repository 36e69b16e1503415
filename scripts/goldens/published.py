"""Golden files of published architectures: names and shapes of their weights, and what they make of two images.

Neither weights nor images are stored: both sides draw them from the same numbers, see `draw`.
"""

import json
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision
import transformers
from efficientnet_lite_pytorch import EfficientNet as LiteEfficientNet
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import nn
from torchvision.models import convnext, resnet

OUTPUTS = 7
COUNTER = "num_batches_tracked"


def uniform(name: str, count: int) -> np.ndarray:
    """Numbers from 0 to 1 that are a function of name and position: SplitMix64 begun at the name's CRC-32."""
    state = np.uint64(zlib.crc32(name.encode())) << np.uint64(32)
    with np.errstate(over="ignore"):
        z = state + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2**24


def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The values of a tensor: such as keep what flows through a network at its size."""
    u = uniform(name, int(np.prod(shape, dtype=np.int64))).reshape(shape)
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "running_var":
        values = 0.5 + u
    elif leaf in ("gamma", "layer_scale", "layer_scale_parameter"):
        values = 0.25 + 0.5 * u
    elif leaf == "weight" and len(shape) == 1:
        values = 0.8 + 0.4 * u
    elif name.endswith(("fc2.bias", "conv_expand.bias", "_se_expand.bias")) and "mlp" not in name:
        # Gates that are nearly open: of what many half-open ones leave, nothing could be told.
        values = 2 + u
    elif len(shape) == 1:
        values = 0.2 * (u - 0.5)
    elif len(shape) == 3:
        values = u - 0.5
    else:
        values = (2 * u - 1) * np.sqrt(6 / np.prod(shape[1:], dtype=np.float64))
    return values.astype(np.float32)


class Published:
    """A case: a network, the names that its weights are published by, and what is known beside them."""

    def __init__(self, name, model, side, *, preprocessor, config=None, file="model", saved=False, features=None):
        self.name, self.model, self.side = name, model.eval(), side
        self.preprocessor, self.config, self.file, self.saved = preprocessor, config, file, saved
        self.features = features

    def write(self, folder: Path) -> Path:
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(self.content(), separators=(",", ":")) + "\n", encoding="utf-8")
        return path

    def differences(self, folder: Path) -> list[str]:
        path = folder / f"{self.name}.json"
        if not path.exists():
            return [f"{path.name}: missing"]
        there, here = json.loads(path.read_text(encoding="utf-8")), self.content()
        outputs = there.pop("outputs"), here.pop("outputs")
        found = [] if there == here else [f"{path.name}: differs"]
        if not np.allclose(*outputs, rtol=1e-6, atol=1e-6):
            found.append(f"{path.name}: outputs differ")
        return found

    def content(self) -> dict:
        shapes = self.fill()
        mean, std = (np.array(self.preprocessor[key]) for key in ("image_mean", "image_std"))
        shape = (2, self.side, self.side, 3)
        image = np.floor(uniform("image", int(np.prod(shape))) * 256).reshape(shape)
        pixels = torch.from_numpy((image / 255 - mean) / std).permute(0, 3, 1, 2)
        model = self.model.double()
        with torch.no_grad():
            outputs = model(pixels)
        outputs = getattr(outputs, "logits", outputs)
        outputs = outputs.to(torch.float32).numpy()
        assert 0.01 < np.abs(outputs).max() < 1000, f"{self.name}: {outputs}"
        return {
            "file": self.file,
            "config": self.config,
            "preprocessor": self.preprocessor,
            "tensors": {name: list(shape) for name, shape in shapes.items()},
            "outputs": [[float(f"{v:.7g}") for v in row] for row in outputs],
        }

    def fill(self) -> dict[str, tuple[int, ...]]:
        """Fills the network with drawn weights; their published names and shapes."""
        if not self.saved:
            state = {n: v for n, v in self.model.state_dict().items() if not n.endswith(COUNTER)}
            values = {n: torch.from_numpy(draw(n, tuple(v.shape))) for n, v in state.items()}
            missing = self.model.load_state_dict(values, strict=False).missing_keys
            assert all(n.endswith(COUNTER) for n in missing), missing
            return {n: tuple(v.shape) for n, v in state.items()}
        # Names in files of transformers are not those in memory.
        with tempfile.TemporaryDirectory() as folder:
            self.model.save_pretrained(folder)
            path = Path(folder) / "model.safetensors"
            with safe_open(path, "numpy") as file:
                shapes = {n: tuple(file.get_slice(n).get_shape()) for n in file.keys()}  # noqa: SIM118
            shapes = {n: s for n, s in shapes.items() if not n.endswith(COUNTER)}
            save_file({n: draw(n, s) for n, s in shapes.items()}, path, metadata={"format": "pt"})
            self.model = type(self.model).from_pretrained(folder).eval()
        return shapes


def square(side: int, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)) -> dict:
    return {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": side, "width": side},
        "resample": 3,
        "image_mean": list(mean),
        "image_std": list(std),
    }


def transformers_cases() -> Iterator[Published]:
    labels = {"num_labels": OUTPUTS}
    for kind in ("basic", "bottleneck"):
        sizes = {"hidden_sizes": [32, 64, 128, 256], "depths": [1, 2, 1, 1], "embedding_size": 8}
        if kind == "basic":
            sizes["embedding_size"] = 32
        config = transformers.ResNetConfig(**sizes, layer_type=kind, **labels)
        model = transformers.ResNetForImageClassification(config)
        yield Published(f"resnet-{kind}-transformers", model, 64, preprocessor=square(64), saved=True)
    config = transformers.ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 2, 1], **labels)
    yield Published(
        "convnext-transformers", transformers.ConvNextForImageClassification(config), 64, preprocessor=square(64), saved=True
    )
    sizes = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 96}
    sizes |= {"image_size": 32, "patch_size": 8, **labels}
    half = (0.5,) * 3
    known = {"num_attention_heads": 3, "layer_norm_eps": 1e-12, "hidden_act": "gelu"}
    known["id2label"] = {str(i): f"class {i}" for i in range(OUTPUTS)}
    for name, kind, model in (
        ("vit", transformers.ViTConfig, transformers.ViTForImageClassification),
        ("deit", transformers.DeiTConfig, transformers.DeiTForImageClassification),
        ("deit-teacher", transformers.DeiTConfig, transformers.DeiTForImageClassificationWithTeacher),
    ):
        for saved in (True, False):
            yield Published(
                f"{name}-transformers" + ("" if saved else "-memory"),
                model(kind(**sizes)),
                32,
                preprocessor=square(32, half, half),
                config=known,
                saved=saved,
            )


def torchvision_cases() -> Iterator[Published]:
    models = torchvision.models
    number = {"num_classes": OUTPUTS}
    plain = square(64)
    yield Published("resnet-basic", resnet.ResNet(resnet.BasicBlock, [2, 1, 1, 1], **number), 64, preprocessor=plain)
    yield Published(
        "resnet-bottleneck", resnet.ResNet(resnet.Bottleneck, [1, 2, 1, 1], **number), 64, preprocessor=plain
    )
    yield Published("mobilenet-v2", models.mobilenet_v2(width_mult=0.35, **number), 64, preprocessor=plain)
    yield Published("mobilenet-v3-small", models.mobilenet_v3_small(**number), 64, preprocessor=plain)
    yield Published("mobilenet-v3-large", models.mobilenet_v3_large(**number), 64, preprocessor=plain)
    yield Published("efficientnet-b0", models.efficientnet_b0(**number), 64, preprocessor=plain)
    stages = [(16, 32, 1), (32, 48, 1), (48, 64, 2), (64, None, 1)]
    stages = [convnext.CNBlockConfig(*stage) for stage in stages]
    yield Published("convnext", convnext.ConvNeXt(stages, **number), 64, preprocessor=plain)
    vit = models.VisionTransformer(32, 8, num_layers=2, num_heads=2, hidden_dim=128, mlp_dim=192, **number)
    nn.init.normal_(vit.heads.head.weight)
    yield Published("vit", vit, 32, preprocessor=square(32))


def timm_cases() -> Iterator[Published]:
    def case(name: str, side: int = 64, file: str | None = None, **options) -> Published:
        model = timm.create_model(name, num_classes=OUTPUTS, **options)
        title = f"{name.replace('_', '-')}-timm"
        config = None if file else {"architecture": name}
        return Published(title, model, side, preprocessor=square(side), config=config, file=file or "model")

    yield Published(
        "resnet-timm",
        timm.models.ResNet(timm.models.resnet.Bottleneck, [1, 1, 2, 1], num_classes=OUTPUTS),
        64,
        preprocessor=square(64),
    )
    yield case("mobilenetv2_035")
    yield case("mobilenetv3_small_050")
    yield case("tf_mobilenetv3_small_075")
    yield case("efficientnet_b0")
    yield case("tf_efficientnet_b0", side=61)
    yield case("tf_efficientnet_lite0", file="tf_efficientnet_lite0-0aa007d2")
    yield case("efficientnet_lite1")
    sizes = {"depths": (1, 1, 2, 1), "dims": (16, 24, 32, 48)}
    yield Published(
        "convnext-timm", timm.models.ConvNeXt(**sizes, num_classes=OUTPUTS), 64, preprocessor=square(64)
    )
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 128, "depth": 2, "num_heads": 2, "num_classes": OUTPUTS}
    yield Published("vit-timm", timm.models.VisionTransformer(**sizes), 32, preprocessor=square(32))
    yield Published(
        "deit-timm", timm.models.deit.VisionTransformerDistilled(**sizes), 32, preprocessor=square(32)
    )


def efficientnet_pytorch_cases() -> Iterator[Published]:
    for name in ("efficientnet-lite0", "efficientnet-lite2", "efficientnet-b0"):
        side = 61 if name == "efficientnet-b0" else 64
        model = LiteEfficientNet.from_name(name, num_classes=OUTPUTS, image_size=side)
        yield Published(f"{name}-pytorch", model, side, preprocessor=square(side, (0.498,) * 3, (0.502,) * 3))


PARTS: tuple[Callable[[], Iterator[Published]], ...] = (
    torchvision_cases,
    timm_cases,
    transformers_cases,
    efficientnet_pytorch_cases,
)


def cases() -> Iterator[Published]:
    for part in PARTS:
        yield from part()
