"""One golden file: its random numbers, its tensors, its configuration."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file


class Case:
    """Collects the tensors of the golden file `name`.

    The random numbers depend on the name alone: a new case changes no other.
    """

    def __init__(self, name: str, kind: str, **config):
        self.name = name
        # As it comes back from the file: JSON knows no tuples.
        self.config = json.loads(json.dumps({"name": name, "kind": kind, **config}))
        self.tensors: dict[str, np.ndarray] = {}
        self.random = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))

    def normal(self, *shape: int, scale: float = 1.0, mean: float = 0.0) -> torch.Tensor:
        """Normal random numbers, exact in float32, as a float64 tensor."""
        return exact(self.random.standard_normal(shape) * scale + mean)

    def uniform(self, *shape: int, low: float, high: float) -> torch.Tensor:
        """Uniform random numbers, exact in float32, as a float64 tensor."""
        return exact(self.random.uniform(low, high, shape))

    def integers(self, *shape: int, below: int) -> torch.Tensor:
        """Random integers 0..below as an int64 tensor."""
        return torch.from_numpy(self.random.integers(0, below, shape))

    def put(self, name: str, value: torch.Tensor) -> None:
        """Adds a tensor: floating-point values as float32, integers as they are."""
        value = value.detach()
        if value.is_floating_point():
            value = value.to(torch.float32)
        self.put_array(name, value.numpy())

    def put_image(self, name: str, value: torch.Tensor) -> None:
        """Adds a tensor, from NCHW to NHWC if it has four axes."""
        self.put(name, channels_last(value))

    def put_array(self, name: str, value: np.ndarray) -> None:
        """Adds an array in its own type."""
        assert name not in self.tensors, f"{self.name}: {name} twice"
        assert np.isfinite(value).all(), f"{self.name}: {name} is not finite"
        self.tensors[name] = np.array(value, order="C")

    def write(self, folder: Path) -> Path:
        """Writes `<name>.safetensors`. One metadata key only: their order is not fixed."""
        path = folder / f"{self.name}.safetensors"
        save_file(self.tensors, path, metadata={"config": json.dumps(self.config)})
        path.chmod(0o644)
        return path

    def differences(self, folder: Path) -> list[str]:
        """What differs from the file in `folder`: empty if nothing does."""
        path = folder / f"{self.name}.safetensors"
        if not path.exists():
            return [f"{path.name}: missing"]
        found = []
        with safe_open(path, "numpy") as file:
            if json.loads(file.metadata()["config"]) != self.config:
                found.append(f"{path.name}: config differs")
            names = set(file.keys())
            for name in sorted(names ^ set(self.tensors)):
                found.append(f"{path.name}: {name} is in one of the two only")
            floats = [np.abs(t).max(initial=0.0) for t in self.tensors.values() if t.dtype.kind == "f"]
            for name in sorted(names & set(self.tensors)):
                there, here = file.get_tensor(name), self.tensors[name]
                found += _difference(f"{path.name}: {name}", there, here, max(floats, default=0.0))
        return found


def _difference(label: str, there: np.ndarray, here: np.ndarray, largest: float) -> list[str]:
    if there.dtype != here.dtype or there.shape != here.shape:
        return [f"{label}: {there.dtype}{there.shape} is not {here.dtype}{here.shape}"]
    if here.dtype.kind != "f":
        return [] if np.array_equal(there, here) else [f"{label}: integers differ"]
    # Computed in float64: another machine may round the last bit of float32 the
    # other way, and what cancels to nearly nothing by float64's own error: within an
    # array, or, as the gradient of a bias before a normalisation, as a whole.
    scale = np.abs(here).max(initial=0.0)
    if np.allclose(there, here, rtol=1e-6, atol=2e-7 * scale + 1e-15 * largest):
        return []
    return [f"{label}: differs by {np.abs(there - here).max():.3g}"]


def exact(values: np.ndarray) -> torch.Tensor:
    """`values` rounded to float32, as float64."""
    return torch.from_numpy(np.asarray(values, dtype=np.float32).astype(np.float64))


def channels_last(value: torch.Tensor) -> torch.Tensor:
    """NCHW to NHWC; anything but four axes stays as it is."""
    return value.permute(0, 2, 3, 1) if value.dim() == 4 else value


def randomise(module: torch.nn.Module, case: Case, scale: float = 0.5) -> None:
    """Gives all parameters and buffers of `module` random values, exact in float32.

    Normalisation weights lie around 1 and running variances above 0; running
    statistics differ from their start so that a test sees whether they are used.
    """
    with torch.no_grad():
        for name, value in module.named_parameters():
            is_scale = value.dim() == 1 and name.endswith("weight")
            value.copy_(case.normal(*value.shape, scale=scale, mean=1.0 if is_scale else 0.0))
        for name, value in module.named_buffers():
            if name.endswith("running_mean"):
                value.copy_(case.normal(*value.shape, scale=0.5))
            elif name.endswith("running_var"):
                value.copy_(case.uniform(*value.shape, low=0.5, high=2.0))


def buffers(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The buffers that hold statistics; the count of batches only of a normalisation that needs it."""
    counts = getattr(module, "momentum", 0) is None
    return {n: b for n, b in module.named_buffers() if counts or not n.endswith("num_batches_tracked")}
