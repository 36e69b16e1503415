"""The networks of `deepfit bench` in PyTorch, with the names that deepfit gives their parameters."""

import torch
from torch import nn
from torch.nn import functional


class Mlp(nn.Module):
    """Layers of neurons with rectifiers between them."""

    def __init__(self, *widths: int):
        super().__init__()
        *hidden, outputs = widths
        for i, (before, after) in enumerate(zip(hidden, hidden[1:]), 1):
            setattr(self, f"linear{i}", nn.Linear(before, after))
        self.hidden = len(hidden) - 1
        self.output = nn.Linear(hidden[-1], outputs)

    def forward(self, numeric):
        x = numeric
        for i in range(1, self.hidden + 1):
            x = functional.relu(getattr(self, f"linear{i}")(x))
        return self.output(x)


class Lenet(nn.Module):
    """Two convolutions, a pooling, two linear layers."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.fc1 = nn.Linear(12544, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, image):
        x = functional.relu(self.conv2(functional.relu(self.conv1(image))))
        x = functional.max_pool2d(x, 2).flatten(1)
        return self.fc2(functional.relu(self.fc1(x)))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(x)) + shortcut)


class Resnet18(nn.Module):
    """ResNet-18; the small stem keeps the resolution."""

    def __init__(self, outputs: int, small_stem: bool):
        super().__init__()
        stem = (3, 1, 1) if small_stem else (7, 2, 3)
        self.conv1 = nn.Conv2d(3, 64, *stem, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.Identity() if small_stem else nn.MaxPool2d(3, 2, 1)
        widths = [64, 64, 128, 256, 512]
        for i in range(1, 5):
            blocks = [BasicBlock(widths[i - 1], widths[i], 1 if i == 1 else 2), BasicBlock(widths[i], widths[i], 1)]
            setattr(self, f"layer{i}", nn.Sequential(*blocks))
        self.fc = nn.Linear(512, outputs)

    def forward(self, image):
        x = self.maxpool(functional.relu(self.bn1(self.conv1(image))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean(dim=(2, 3)))


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution with its normalisation and activation."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6())


class InvertedResidual(nn.Module):
    """The block of MobileNetV2 (Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int):
        super().__init__()
        hidden = inputs * expansion
        layers = [] if expansion == 1 else [convolution(inputs, hidden, 1)]
        layers.append(convolution(hidden, hidden, 3, stride, hidden))
        self.conv = nn.Sequential(*layers, nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.adds_input = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.conv(x) if self.adds_input else self.conv(x)


class Dwconv(nn.Module):
    """Inverted residuals on small images."""

    def __init__(self):
        super().__init__()
        blocks = [(16, 1), (24, 2), (24, 1), (40, 2), (40, 1), (80, 2), (80, 1)]
        layers = [convolution(3, 32, 3, 2)]
        channels = 32
        for i, (outputs, stride) in enumerate(blocks):
            layers.append(InvertedResidual(channels, outputs, stride, 1 if i == 0 else 6))
            channels = outputs
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Identity(), nn.Linear(channels, 10))

    def forward(self, image):
        return self.classifier(self.features(image).mean(dim=(2, 3)))


class Lstm(nn.Module):
    """Two layers of long short-term memory; the last step is classified."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(64, 256, num_layers=2, batch_first=True)
        self.fc = nn.Linear(256, 10)

    def forward(self, sequence):
        return self.fc(self.lstm(sequence)[0][:, -1])


class Attention(nn.Module):
    """Self-attention with BERT's names."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.self = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        self.output = nn.ModuleDict({"dense": nn.Linear(width, width), "LayerNorm": nn.LayerNorm(width, eps=1e-12)})

    def forward(self, x):
        query, key, value = (
            self.self[name](x).unflatten(2, (self.heads, -1)).transpose(1, 2) for name in ("query", "key", "value")
        )
        mixed = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        return self.output["LayerNorm"](x + self.output["dense"](mixed))


class BertLayer(nn.Module):
    """Attention, then a feed-forward network, each normalised after its shortcut."""

    def __init__(self, width: int, heads: int, feed_forward: int):
        super().__init__()
        self.attention = Attention(width, heads)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, feed_forward)})
        norm = nn.LayerNorm(width, eps=1e-12)
        self.output = nn.ModuleDict({"dense": nn.Linear(feed_forward, width), "LayerNorm": norm})

    def forward(self, x):
        x = self.attention(x)
        hidden = functional.gelu(self.intermediate["dense"](x))
        return self.output["LayerNorm"](x + self.output["dense"](hidden))


class Minilm(nn.Module):
    """A BERT encoder of MiniLM's size; the mean over all tokens is classified."""

    def __init__(self, vocabulary=30522, width=384, layers=6, heads=12, feed_forward=1536, positions=512):
        super().__init__()
        tables = {"word_embeddings": vocabulary, "position_embeddings": positions, "token_type_embeddings": 2}
        self.embeddings = nn.ModuleDict({name: nn.Embedding(rows, width) for name, rows in tables.items()})
        self.embeddings["LayerNorm"] = nn.LayerNorm(width, eps=1e-12)
        blocks = [BertLayer(width, heads, feed_forward) for _ in range(layers)]
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(blocks)})
        self.classifier = nn.Linear(width, 2)

    def forward(self, tokens):
        tables = self.embeddings
        positions = torch.arange(tokens.shape[1])
        kinds = torch.zeros_like(tokens)
        x = tables["word_embeddings"](tokens) + tables["position_embeddings"](positions)
        x = tables["LayerNorm"](x + tables["token_type_embeddings"](kinds))
        for layer in self.encoder["layer"]:
            x = layer(x)
        return self.classifier(x.mean(dim=1))


class Gpt(nn.Module):
    """A decoder that predicts the next byte at each position."""

    def __init__(self, vocabulary=256, width=256, layers=4, heads=8, feed_forward=1024, positions=256):
        super().__init__()
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.position_embedding = nn.Embedding(positions, width)
        block = {"activation": "gelu", "dropout": 0.0, "batch_first": True, "norm_first": True}
        blocks = [nn.TransformerEncoderLayer(width, heads, feed_forward, **block) for _ in range(layers)]
        self.layers = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens):
        length = tokens.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        x = self.token_embedding(tokens) + self.position_embedding(torch.arange(length))
        for layer in self.layers:
            x = layer(x, src_mask=mask.to(x.dtype), is_causal=True)
        return self.head(self.norm(x))
