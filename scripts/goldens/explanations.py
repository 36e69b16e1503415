"""Golden files of explanations: Grad-CAM and integrated gradients by Captum, Shapley values by SHAP."""

from collections.abc import Iterator

import numpy as np
import shap
import torch
from captum.attr import IntegratedGradients, LayerGradCam
from torch import nn
from torch.nn import functional

from .case import Case, buffers, channels_last, randomise
from .networks import Mlp, ResNet

STEPS = 50


def integrated(forward, inputs, baselines, target):
    """Attributions of the inputs, and how far their sum is from what it should be."""
    method = IntegratedGradients(forward)
    return method.attribute(
        inputs, baselines, target=target, n_steps=STEPS, method="gausslegendre", return_convergence_delta=True
    )


def put_weights(case: Case, network: nn.Module) -> None:
    for name, value in network.named_parameters():
        case.put(f"param.{name}", value)
    for name, value in buffers(network).items():
        case.put(f"param.{name}", value)


def pictures() -> Case:
    case = Case("explain-resnet", "explanation", steps=STEPS, classes=[3, 7], layer="layer2")
    network = ResNet().double().eval()
    randomise(network, case, scale=0.2)
    images = case.uniform(2, 3, 16, 16, low=0.0, high=1.0)
    target = torch.tensor(case.config["classes"])
    case.put_image("input", images)
    put_weights(case, network)
    case.put("logits", network(images))
    cam = LayerGradCam(network, network.layer2).attribute(images, target=target, relu_attributions=True)
    case.put("grad_cam", cam[:, 0])
    found, delta = integrated(network, images, torch.zeros_like(images), target)
    case.put("integrated", channels_last(found))
    case.put("delta", delta)
    return case


def tables() -> Case:
    case = Case("explain-mlp", "explanation", steps=STEPS, classes=[0, 1, 2])
    network = Mlp().double().eval()
    randomise(network, case)
    numeric, category = case.normal(3, 5), torch.stack([case.integers(3, below=4), case.integers(3, below=7)], dim=1)
    others, other = case.normal(12, 5), torch.stack([case.integers(12, below=4), case.integers(12, below=7)], dim=1)
    for name, value in [("numeric", numeric), ("category", category), ("others.numeric", others)]:
        case.put(f"input.{name}", value)
    case.put("input.others.category", other)
    put_weights(case, network)

    def row(numbers, categories):
        return torch.cat([numbers, categories.double()], dim=1).numpy()

    background = shap.maskers.Independent(row(others, other), max_samples=len(others))
    shapley, expectation = [], []
    for i, target in enumerate(case.config["classes"]):

        def probability(rows: np.ndarray, target=target):
            rows = torch.from_numpy(rows)
            with torch.no_grad():
                logits = network(rows[:, :5], rows[:, 5:].round().long())
            return functional.softmax(logits, dim=1)[:, target].numpy()

        found = shap.explainers.Exact(probability, background)(row(numeric[i : i + 1], category[i : i + 1]), silent=True)
        shapley.append(found.values[0])
        expectation.append(found.base_values[0])
    case.put("shapley", torch.tensor(np.array(shapley)))
    case.put("expectation", torch.tensor(np.array(expectation, dtype=np.float64)))

    # What is looked up moves from the mean of its table, numbers from the mean of the other rows.
    def forward(numbers, first, second):
        x = torch.cat([numbers, first, second], dim=1)
        return network.output(network.norm1(functional.relu(network.linear1(x))))

    vectors = [table(category[:, i]).detach() for i, table in enumerate(network.embeddings)]
    means = [table.weight.detach().mean(dim=0, keepdim=True).expand(3, -1) for table in network.embeddings]
    baseline = others.mean(dim=0, keepdim=True).expand(3, -1)
    found, delta = integrated(
        forward, (numeric, *vectors), (baseline, *means), torch.tensor(case.config["classes"])
    )
    case.put("integrated", torch.cat([found[0], *(part.sum(dim=1, keepdim=True) for part in found[1:])], dim=1))
    case.put("delta", delta)
    return case


class Reader(nn.Module):
    """A GRU on tokens whose last state decides."""

    def __init__(self):
        super().__init__()
        self.embeddings = nn.Embedding(13, 6)
        self.recurrent = nn.GRU(6, 8, batch_first=True)
        self.head = nn.Linear(8, 3)

    def read(self, vectors):
        return self.head(self.recurrent(vectors)[0][:, -1])


def texts() -> Case:
    case = Case("explain-gru", "explanation", steps=STEPS, classes=[2])
    network = Reader().double().eval()
    randomise(network, case)
    tokens = case.integers(1, 9, below=13)
    case.put("input.tokens", tokens)
    put_weights(case, network)
    vectors = network.embeddings(tokens).detach()
    mean = network.embeddings.weight.detach().mean(dim=0).expand_as(vectors)
    found, delta = integrated(network.read, vectors, mean, torch.tensor(case.config["classes"]))
    case.put("integrated", found.sum(dim=2))
    case.put("delta", delta)
    return case


def cases() -> Iterator[Case]:
    yield pictures()
    yield tables()
    yield texts()
