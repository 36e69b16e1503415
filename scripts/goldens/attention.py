"""Golden files of attention and transformer layers: outputs, weights and gradients, batch first."""

import math
from collections.abc import Iterator

import torch
from torch import nn

from .case import Case, randomise


def run(case: Case, module: nn.Module, inputs: dict[str, torch.Tensor], call) -> Case:
    """Runs `call(**inputs)` forward and backward; `call` returns the output, perhaps with more to save."""
    randomise(module, case, scale=0.3)
    for name, value in module.named_parameters():
        case.put(f"param.{name}", value)
    for name, value in inputs.items():
        case.put(f"input.{name}", value)
        if value.is_floating_point():
            value.requires_grad_()
    output, others = call(**inputs)
    upstream = case.normal(*output.shape)
    output.backward(upstream)
    case.put("output", output)
    case.put("upstream", upstream)
    for name, value in others.items():
        case.put(name, value)
    for name, value in inputs.items():
        if value.is_floating_point():
            case.put(f"grad.input.{name}", value.grad)
    for name, value in module.named_parameters():
        case.put(f"grad.param.{name}", value.grad)
    return case


def padding(*lengths: int, width: int) -> torch.Tensor:
    """True where a key is behind the length of its row."""
    return torch.arange(width)[None, :] >= torch.tensor(lengths)[:, None]


def multihead() -> Iterator[Case]:
    """`nn.MultiheadAttention` with its masks, and with key and value of other widths."""
    variants = {
        "self": {},
        "causal": {"causal": True},
        "padding": {"padding": True},
        "mask": {"mask": True},
        "bias": {"bias_mask": True},
        "no-bias": {"bias": False},
        "cross": {"cross": True},
        "widths": {"cross": True, "kdim": 5, "vdim": 7, "padding": True},
        "bias-kv": {"add_bias_kv": True},
        "zero-attn": {"add_zero_attn": True, "cross": True, "mask": True},
        "more-keys": {"add_bias_kv": True, "add_zero_attn": True, "causal": True, "padding": True},
        "time-first": {"batch_first": False, "cross": True, "padding": True},
        "time-first-self": {"batch_first": False, "causal": True},
    }
    for name, options in variants.items():
        cross = options.get("cross", False)
        kdim, vdim = options.get("kdim", 8), options.get("vdim", 8)
        bias = options.get("bias", True)
        more = {k: options[k] for k in ("add_bias_kv", "add_zero_attn", "batch_first") if k in options}
        batch_first = options.get("batch_first", True)
        case = Case(
            f"attention-{name}", "attention", embed_dim=8, num_heads=2, kdim=kdim, vdim=vdim, bias=bias,
            causal=options.get("causal", False), cross=cross, **more,
        )
        module = nn.MultiheadAttention(
            8, 2, bias=bias, **{"batch_first": True} | more,
            kdim=kdim if kdim != 8 else None, vdim=vdim if vdim != 8 else None,
        ).double()
        length, keys = 5, 6 if cross else 5
        axes = (lambda length: (2, length)) if batch_first else (lambda length: (length, 2))
        inputs = {"query": case.normal(*axes(length), 8)}
        if cross:
            inputs["key"] = case.normal(*axes(keys), kdim)
            inputs["value"] = case.normal(*axes(keys), vdim)
        masks = {}
        if options.get("padding"):
            masks["key_padding_mask"] = padding(keys, 3, width=keys)
        if options.get("mask"):
            mask = torch.from_numpy(case.random.uniform(size=(length, keys)) < 0.4)
            mask[:, 0] = False
            masks["attn_mask"] = mask
        if options.get("bias_mask"):
            masks["attn_mask"] = case.normal(length, keys)
        for mask, value in masks.items():
            case.put(f"mask.{mask}", value if value.is_floating_point() else value.to(torch.uint8))
        if options.get("causal"):
            masks["attn_mask"] = nn.Transformer.generate_square_subsequent_mask(length).double()

        def call(query, key=None, value=None, module=module, masks=masks):
            key, value = (query, query) if key is None else (key, value)
            output, weights = module(query, key, value, average_attn_weights=False, **masks)
            return output, {"weights": weights}

        yield run(case, module, inputs, call)


def layers() -> Iterator[Case]:
    """Encoder and decoder layers, both orders of normalisation, both activations."""
    arguments = {"d_model": 8, "nhead": 2, "dim_feedforward": 12, "dropout": 0.0, "batch_first": True}
    for name, activation, norm_first in (("post", "relu", False), ("pre", "gelu", True)):
        case = Case(f"transformer-encoder-layer-{name}", "encoder_layer", activation=activation, norm_first=norm_first)
        module = nn.TransformerEncoderLayer(**arguments, activation=activation, norm_first=norm_first).double()
        mask = padding(5, 3, width=5)
        case.put("mask.key_padding_mask", mask.to(torch.uint8))
        yield run(
            case, module, {"src": case.normal(2, 5, 8)},
            lambda src, module=module, mask=mask: (module(src, src_key_padding_mask=mask), {}),
        )
        case = Case(f"transformer-decoder-layer-{name}", "decoder_layer", activation=activation, norm_first=norm_first)
        module = nn.TransformerDecoderLayer(**arguments, activation=activation, norm_first=norm_first).double()
        causal = nn.Transformer.generate_square_subsequent_mask(4).double()
        mask = padding(5, 2, width=5)
        case.put("mask.key_padding_mask", mask.to(torch.uint8))
        yield run(
            case, module, {"tgt": case.normal(2, 4, 8), "memory": case.normal(2, 5, 8)},
            lambda tgt, memory, module=module, mask=mask, causal=causal: (
                module(tgt, memory, tgt_mask=causal, memory_key_padding_mask=mask), {}
            ),
        )


def without_biases() -> Iterator[Case]:
    """Layers and a network with `bias=False`."""
    arguments = {"d_model": 8, "nhead": 2, "dim_feedforward": 12, "dropout": 0.0, "batch_first": True, "bias": False}
    module = nn.TransformerEncoderLayer(**arguments).double()
    case = Case("transformer-plain-encoder", "encoder_layer", norm_first=False)
    yield run(case, module, {"src": case.normal(2, 5, 8)}, lambda src, module=module: (module(src), {}))
    module = nn.TransformerDecoderLayer(**arguments, norm_first=True).double()
    case = Case("transformer-plain-decoder", "decoder_layer", norm_first=True)
    yield run(
        case, module, {"tgt": case.normal(2, 4, 8), "memory": case.normal(2, 5, 8)},
        lambda tgt, memory, module=module: (module(tgt, memory), {}),
    )
    module = nn.Transformer(num_encoder_layers=1, num_decoder_layers=1, **arguments).double()
    case = Case("transformer-plain-whole", "transformer", training=True)
    yield run(
        case, module, {"src": case.normal(2, 5, 8), "tgt": case.normal(2, 4, 8)},
        lambda src, tgt, module=module: (module(src, tgt), {}),
    )


def whole() -> Iterator[Case]:
    """A small `nn.Transformer`, learning and in use."""
    for training in (True, False):
        case = Case(f"transformer-whole-{'train' if training else 'eval'}", "transformer", training=training)
        # In use dropout passes, whatever its probability.
        module = nn.Transformer(
            d_model=8, nhead=2, num_encoder_layers=2, num_decoder_layers=2, dim_feedforward=12,
            dropout=0.0 if training else 0.5, batch_first=True,
        ).double().train(training)
        causal = nn.Transformer.generate_square_subsequent_mask(4).double()
        yield run(
            case, module, {"src": case.normal(2, 5, 8), "tgt": case.normal(2, 4, 8)},
            lambda src, tgt, module=module, causal=causal: (module(src, tgt, tgt_mask=causal), {}),
        )


def rotate(x: torch.Tensor, interleaved: bool, base: float = 10000.0) -> torch.Tensor:
    """Rotary positions of `[batch, length, heads, width]` by complex numbers (Su et al., 2021)."""
    width = x.shape[-1]
    pairs = x.unflatten(-1, (width // 2, 2)) if interleaved else x.unflatten(-1, (2, width // 2)).transpose(-1, -2)
    numbers = torch.view_as_complex(pairs.contiguous())
    speed = base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = torch.arange(x.shape[1], dtype=torch.float64)[:, None] * speed
    turned = torch.view_as_real(numbers * torch.polar(torch.ones_like(angle), angle)[None, :, None, :])
    return turned.flatten(-2) if interleaved else turned.transpose(-1, -2).flatten(-2)


def positions() -> Iterator[Case]:
    """Encodings of position, from their formulas."""
    for interleaved in (False, True):
        case = Case(f"positions-rotary-{'interleaved' if interleaved else 'half'}", "rotary", interleaved=interleaved)
        x = case.normal(2, 7, 3, 6).requires_grad_()
        output = rotate(x, interleaved)
        upstream = case.normal(*output.shape)
        output.backward(upstream)
        case.put("input", x)
        case.put("output", output)
        case.put("upstream", upstream)
        case.put("grad.input", x.grad)
        yield case

    case = Case("positions-sinusoidal", "sinusoidal")
    place = torch.arange(9, dtype=torch.float64)[:, None]
    speed = torch.exp(torch.arange(0, 6, 2, dtype=torch.float64) * (-math.log(10000.0) / 6))
    table = torch.zeros(9, 6, dtype=torch.float64)
    table[:, 0::2], table[:, 1::2] = torch.sin(place * speed), torch.cos(place * speed)
    case.put("table", table)
    yield case

    for bidirectional in (True, False):
        case = Case(f"positions-buckets-{'both' if bidirectional else 'one'}", "buckets", bidirectional=bidirectional)
        relative = torch.arange(180)[None, :] - torch.arange(150)[:, None]
        buckets, offset = 32, torch.zeros_like(relative)
        if bidirectional:
            buckets = 16
            offset = (relative > 0).long() * buckets
            distance = relative.abs()
        else:
            distance = (-relative).clamp(min=0)
        exact = buckets // 2
        large = exact + (
            torch.log(distance.float() / exact) / math.log(128 / exact) * (buckets - exact)
        ).long().clamp(max=buckets - exact - 1)
        case.put("buckets", (offset + torch.where(distance < exact, distance, large)).to(torch.uint8))
        yield case


def cases() -> Iterator[Case]:
    yield from multihead()
    yield from layers()
    yield from whole()
    yield from without_biases()
    yield from positions()
