"""Golden files of whole networks: logits, gradients, ten losses, what ten steps leave."""

import copy
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from .case import Case, buffers

STEPS = 10


class Mlp(nn.Module):
    """A network for tables: numbers beside embedded categories."""

    architecture = [
        "embeddings.0 = Embedding(4, 3)",
        "embeddings.1 = Embedding(7, 4)",
        "x = concat(input.numeric, embeddings.0(input.category[:, 0]), embeddings.1(input.category[:, 1]))",
        "linear1 = Linear(12, 32)",
        "ReLU",
        "norm1 = BatchNorm1d(32)",
        "output = Linear(32, 3)",
    ]

    def __init__(self):
        super().__init__()
        self.embeddings = nn.ModuleList([nn.Embedding(4, 3), nn.Embedding(7, 4)])
        self.linear1 = nn.Linear(12, 32)
        self.norm1 = nn.BatchNorm1d(32)
        self.output = nn.Linear(32, 3)

    def forward(self, numeric, category):
        embedded = [table(category[:, i]) for i, table in enumerate(self.embeddings)]
        x = torch.cat([numeric, *embedded], dim=1)
        return self.output(self.norm1(functional.relu(self.linear1(x))))


class Cnn(nn.Module):
    """A small convolutional network for 8x8 grey images."""

    architecture = [
        "conv1 = Conv2d(1, 8, 3, padding=1, bias=False)",
        "bn1 = BatchNorm2d(8)",
        "ReLU",
        "MaxPool2d(2)",
        "conv2 = Conv2d(8, 16, 3, padding=1, bias=False)",
        "bn2 = BatchNorm2d(16)",
        "ReLU",
        "global average pool",
        "fc = Linear(16, 10)",
    ]

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(16)
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 2)
        x = functional.relu(self.bn2(self.conv2(x)))
        return self.fc(x.mean(dim=(2, 3)))


class BasicBlock(nn.Module):
    """The block of ResNet-18 and ResNet-34 (He et al. 2016): two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet(nn.Module):
    """A small residual network with torchvision's parameter names and a 3x3 stem without pooling."""

    architecture = [
        "conv1 = Conv2d(3, 8, 3, padding=1, bias=False)",
        "bn1 = BatchNorm2d(8)",
        "ReLU",
        "layer1.0 = BasicBlock(8, 8, stride=1)",
        "layer2.0 = BasicBlock(8, 16, stride=2)",
        "global average pool",
        "fc = Linear(16, 10)",
    ]

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(BasicBlock(8, 8, 1))
        self.layer2 = nn.Sequential(BasicBlock(8, 16, 2))
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer2(self.layer1(x))
        return self.fc(x.mean(dim=(2, 3)))


class InvertedResidual(nn.Module):
    """The block of MobileNetV2 (Sandler et al. 2018), with torchvision's parameter names."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int):
        super().__init__()
        hidden = inputs * expansion
        layers = [] if expansion == 1 else [convolution(inputs, hidden, 1)]
        layers.append(convolution(hidden, hidden, 3, stride, hidden))
        self.conv = nn.Sequential(*layers, nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.adds_input = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.conv(x) if self.adds_input else self.conv(x)


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6())


class MobilenetV2(nn.Module):
    """A small MobileNetV2 with a block of each kind."""

    architecture = [
        "features.0 = Conv2d(3, 8, 3, stride=2, padding=1), BatchNorm2d, ReLU6",
        "features.1 = InvertedResidual(8, 8, stride=1, expansion=1)",
        "features.2 = InvertedResidual(8, 12, stride=2, expansion=6)",
        "features.3 = InvertedResidual(12, 12, stride=1, expansion=6)",
        "features.4 = Conv2d(12, 24, 1), BatchNorm2d, ReLU6",
        "global average pool",
        "classifier.1 = Linear(24, 10)",
    ]

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            convolution(3, 8, 3, stride=2),
            InvertedResidual(8, 8, 1, 1),
            InvertedResidual(8, 12, 2, 6),
            InvertedResidual(12, 12, 1, 6),
            convolution(12, 24, 1),
        )
        self.classifier = nn.Sequential(nn.Dropout(0.0), nn.Linear(24, 10))

    def forward(self, x):
        return self.classifier(self.features(x).mean(dim=(2, 3)))


def initialise(network: nn.Module, case: Case) -> None:
    """Random parameters of PyTorch's sizes; normalisations that are not the identity."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.weight.copy_(case.uniform(*module.weight.shape, low=0.5, high=1.5))
                module.bias.copy_(case.normal(*module.bias.shape, scale=0.1))
            elif isinstance(module, nn.Embedding):
                module.weight.copy_(case.normal(*module.weight.shape))
            elif isinstance(module, nn.Linear | nn.Conv2d):
                bound = module.weight[0].numel() ** -0.5
                for value in module.parameters():
                    value.copy_(case.uniform(*value.shape, low=-bound, high=bound))


def train(network: nn.Module, inputs: list[torch.Tensor], target, optimizer: str, arguments: dict):
    """Ten steps on one batch: first logits, first gradients, losses, logits of evaluation."""
    stepper = getattr(torch.optim, optimizer)(network.parameters(), **arguments)
    losses = []
    first_logits, first_gradients = None, {}
    for step in range(STEPS):
        stepper.zero_grad()
        logits = network(*inputs)
        loss = functional.cross_entropy(logits, target)
        loss.backward()
        if step == 0:
            first_logits = logits.detach().clone()
            first_gradients = {n: p.grad.clone() for n, p in network.named_parameters()}
        losses.append(loss.detach())
        stepper.step()
    network.eval()
    with torch.no_grad():
        evaluated = network(*inputs)
    return first_logits, first_gradients, torch.stack(losses), evaluated


def network_case(case: Case, network: nn.Module, inputs: list[torch.Tensor], classes: int) -> Case:
    target = case.integers(inputs[0].shape[0], below=classes)
    case.put("target", target)
    network = network.double().train()
    initialise(network, case)
    for name, value in network.named_parameters():
        case.put(f"param.{name}", value)
    for name, value in buffers(network).items():
        case.put(f"buffer.{name}", value)
    single = copy.deepcopy(network).float()

    arguments = dict(case.config["optimizer"])
    optimizer = arguments.pop("name")
    logits, gradients, losses, evaluated = train(network, inputs, target, optimizer, arguments)
    case.put("logits", logits)
    for name, value in gradients.items():
        case.put(f"grad.param.{name}", value)
    case.put("losses", losses)
    case.put("eval_logits", evaluated)
    for name, value in [*network.named_parameters(), *buffers(network).items()]:
        case.put(f"after.{name}", value)

    # Ten steps amplify rounding. A case in which float32 strays from float64
    # could not be tested strictly, so it must not be written.
    halved = [x.float() if x.is_floating_point() else x for x in inputs]
    _, _, single_losses, single_evaluated = train(single, halved, target, optimizer, arguments)
    strayed = max((single_losses - losses).abs().max(), (single_evaluated - evaluated).abs().max())
    assert strayed < 2e-5, f"{case.name}: float32 strays by {strayed:.2g}"
    return case


SGD = {"name": "SGD", "lr": 0.05, "momentum": 0.9, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False}
ADAMW = {"name": "AdamW", "lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01, "amsgrad": False}


def network(name: str, kind: type[nn.Module], optimizer: dict) -> Case:
    return Case(
        name,
        "network",
        architecture=kind.architecture,
        optimizer=optimizer,
        loss="CrossEntropyLoss",
        steps=STEPS,
        batch_norm={"eps": 1e-5, "momentum": 0.1},
    )


def cases() -> Iterator[Case]:
    case = network("network-mlp", Mlp, ADAMW)
    numeric = case.normal(16, 5)
    category = torch.stack([case.integers(16, below=4), case.integers(16, below=7)], dim=1)
    case.put("input.numeric", numeric)
    case.put("input.category", category)
    yield network_case(case, Mlp(), [numeric, category], 3)

    case = network("network-cnn", Cnn, SGD)
    pixels = case.random.integers(0, 256, (16, 8, 8, 1), dtype="uint8")
    case.put_array("input_u8", pixels)
    images = (torch.from_numpy(pixels).float() / 255).double()
    case.put("input", images)
    yield network_case(case, Cnn(), [images.permute(0, 3, 1, 2)], 10)

    case = network("network-resnet", ResNet, SGD)
    images = case.normal(4, 3, 16, 16)
    case.put_image("input", images)
    yield network_case(case, ResNet(), [images], 10)

    case = network("network-mobilenet", MobilenetV2, SGD)
    images = case.normal(8, 3, 16, 16)
    case.put_image("input", images)
    yield network_case(case, MobilenetV2(), [images], 10)
