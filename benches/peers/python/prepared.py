"""The prepared batches of the workloads in use, for engines that shall not load PyTorch."""

import numpy as np


def batch(workload: str) -> np.ndarray:
    random = np.random.default_rng(1)
    if workload == "resnet18_224_infer":
        return random.random((8, 3, 224, 224), dtype=np.float32)
    return random.integers(0, 30522, (16, 128))
