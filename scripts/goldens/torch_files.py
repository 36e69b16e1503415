"""Small files of `torch.save` in its forms, with what is in them."""

import io
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn


class TorchFile:
    """A file of `torch.save`, with what is in it."""

    def __init__(self, name: str, content, **options):
        self.name, self.content, self.options = name, content, options

    def data(self) -> bytes:
        buffer = io.BytesIO()
        torch.save(self.content, buffer, **self.options)
        return buffer.getvalue()

    def write(self, folder: Path) -> Path:
        path = folder / self.name
        path.write_bytes(self.data())
        return path

    def differences(self, folder: Path) -> list[str]:
        path = folder / self.name
        if not path.exists():
            return [f"{self.name}: missing"]
        # Names of storages are addresses in the older form, so what is in the files is compared. They are the project's own,
        # so that even a whole module, which is code, may be read; its weights are drawn anew each time, and not compared.
        there = torch.load(path, weights_only=False)
        same = repr(there) == repr(torch.load(io.BytesIO(self.data()), weights_only=False))
        return [] if same else [f"{self.name}: differs"]


def state() -> OrderedDict:
    """Tensors of each type, of odd strides, of one storage, without elements, and a parameter."""
    base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    found = OrderedDict(
        whole=base,
        turned=base.permute(2, 0, 1),
        part=base[1, :, 1:3],
        scalar=torch.tensor(2.5),
        empty=torch.zeros(0, 3),
        parameter=nn.Parameter(torch.tensor([[-1.0, 0.5]])),
    )
    for dtype in ("float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"):
        found[dtype] = torch.tensor([0, 1, 3], dtype=torch.float32).to(getattr(torch, dtype))
    return found


def cases() -> Iterator[TorchFile]:
    older = {"_use_new_zipfile_serialization": False}
    yield TorchFile("zip.pth", state())
    yield TorchFile("older.pth", state(), **older)
    layer = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with torch.no_grad():
        for value in layer.state_dict().values():
            value.fill_(0.25)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(3, 2)).sum().backward()
    optimizer.step()
    with torch.no_grad():
        for value in layer.state_dict().values():
            value.fill_(0.25)
    checkpoint = {"epoch": 3, "model": layer.state_dict(), "optimizer": optimizer.state_dict(), "loss": 0.5}
    yield TorchFile("checkpoint.pt", checkpoint)
    yield TorchFile("checkpoint-older.pt", checkpoint, **older)
    yield TorchFile("module-older.pt", nn.Linear(2, 1), **older)
