"""PyTorch: eager, with channels last, and compiled."""

import time

import torch
from bench.workloads import WORKLOADS
from measure import Measurement


def run(arguments) -> None:
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    if arguments.workload == "matmul":
        return matmul(arguments)
    measurement = Measurement(
        arguments.engine, arguments.workload, arguments.seconds, arguments.threads, {"torch": torch.__version__}
    )
    workload = WORKLOADS[arguments.workload]
    network = workload.network()
    data = workload.data(seed=1)
    inputs = workload.tensor(data, torch.float32)
    if arguments.engine == "pytorch-channels-last":
        network = network.to(memory_format=torch.channels_last)
        inputs = inputs.to(memory_format=torch.channels_last)
    compiled = arguments.engine == "pytorch-compile"
    if workload.optimizer is None:
        measurement.run(used(network.eval(), inputs, compiled))
    else:
        target = torch.from_numpy(data["target"]).long()
        measurement.run(trained(workload, network.train(), inputs, target, compiled))


def used(network, inputs, compiled: bool):
    if compiled:
        # Weights are constants: normalisations are folded into convolutions, weights are packed once.
        import torch._inductor.config as inductor

        inductor.freezing = True
        network = torch.compile(network)

    def step() -> float:
        with torch.inference_mode() if not compiled else torch.no_grad():
            return network(inputs).flatten()[0].item()

    return step


def trained(workload, network, inputs, target, compiled: bool):
    # Faster than the optimiser by default, and than a compiled one.
    optimizer = workload.stepper(network, fused=True)

    def loss() -> torch.Tensor:
        return workload.loss(network(inputs), target)

    if compiled:
        loss = torch.compile(loss)

    def step() -> float:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        return value.item()

    return step


def matmul(arguments) -> None:
    """Square products, not trained: what the best kernels of the machine reach."""
    measurement = Measurement("pytorch", "matmul", arguments.seconds, arguments.threads, {"torch": torch.__version__})
    best = 0.0
    for size in (512, 1024, 2048):
        a, b = torch.rand(size, size), torch.rand(size, size)
        out = torch.empty(size, size)
        torch.mm(a, b, out=out)
        start = time.perf_counter()
        while time.perf_counter() - start < arguments.seconds / 3:
            begin = time.perf_counter()
            torch.mm(a, b, out=out)
            best = max(best, 2 * size**3 / (time.perf_counter() - begin))
    measurement.report({"gflops": best / 1e9})
