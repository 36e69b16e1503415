"""Golden files of recurrent layers and cells: outputs, last states and all gradients."""

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from .case import Case, randomise

INPUTS, HIDDEN, BATCH, STEPS = 4, 3, 3, 5

EVERYTHING = {"num_layers": 2, "bidirectional": True}
# name: (arguments beside the sizes, lengths, whether first states are given)
VARIANTS = {
    "plain": ({}, None, False),
    "no-bias": ({"bias": False}, None, True),
    "states": ({"batch_first": True}, None, True),
    "lengths": ({"batch_first": True}, (2, 5, 1), False),
    "two-layers": ({"num_layers": 2}, None, True),
    "bidirectional": ({"bidirectional": True}, None, False),
    "everything": ({**EVERYTHING, "batch_first": True}, (4, 1, 5), True),
    "everything-time-first": (EVERYTHING, (3, 5, 2), True),
}
PROJECTED = {
    "plain": ({}, None, False),
    "no-bias": ({"bias": False, "batch_first": True}, None, True),
    "lengths": ({"bidirectional": True}, (2, 5, 1), True),
    "everything": ({**EVERYTHING, "batch_first": True}, (4, 1, 5), True),
    "two-ways": (EVERYTHING, None, True),
}
DEFAULTS = {"num_layers": 1, "bias": True, "batch_first": False, "bidirectional": False}
LAYERS = {
    "rnn-tanh": ("RNN", {"nonlinearity": "tanh"}),
    "rnn-relu": ("RNN", {"nonlinearity": "relu"}),
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {}),
}


def put_gradients(case: Case, module: nn.Module, wanted: dict[str, torch.Tensor]) -> None:
    """The gradients of all parameters and of what else is wanted."""
    for name, value in wanted.items():
        case.put(f"grad.{name}", value.grad)
    for name, value in module.named_parameters():
        case.put(f"grad.param.{name}", value.grad)


def sequence_case(name: str, layer: str, arguments: dict, lengths, with_states: bool) -> Case:
    """Runs the layer over a batch of sequences, and back from random gradients of all results."""
    case = Case(f"recurrent-{name}", "recurrent", layer=layer, states=with_states, **arguments)
    module = getattr(nn, layer)(INPUTS, HIDDEN, **arguments).double()
    randomise(module, case)
    for parameter, value in module.named_parameters():
        case.put(f"param.{parameter}", value)
    batch_first = arguments["batch_first"]
    shape = (BATCH, STEPS, INPUTS) if batch_first else (STEPS, BATCH, INPUTS)
    wanted = {"input": case.normal(*shape)}
    count = arguments["num_layers"] * (2 if arguments["bidirectional"] else 1)
    if with_states:
        for state in ("h_0", "c_0") if layer == "LSTM" else ("h_0",):
            width = arguments.get("proj_size", HIDDEN) if state == "h_0" else HIDDEN
            wanted[state] = case.normal(count, BATCH, width)
    for key, value in wanted.items():
        case.put(key, value)
        value.requires_grad_()
    states = None
    if with_states:
        states = (wanted["h_0"], wanted["c_0"]) if layer == "LSTM" else wanted["h_0"]
    given = wanted["input"]
    if lengths is not None:
        case.put("lengths", torch.tensor(lengths))
        given = pack_padded_sequence(given, torch.tensor(lengths), batch_first, enforce_sorted=False)
    output, last = module(given, states)
    if lengths is not None:
        output, _ = pad_packed_sequence(output, batch_first, total_length=STEPS)
    results = {"output": output}
    if layer == "LSTM":
        results["h_n"], results["c_n"] = last
    else:
        results["h_n"] = last
    loss = 0.0
    for key, value in results.items():
        case.put(key, value)
        upstream = case.normal(*value.shape)
        case.put(f"upstream.{key}", upstream)
        loss = loss + (value * upstream).sum()
    loss.backward()
    put_gradients(case, module, wanted)
    return case


def cell_case(name: str, layer: str, arguments: dict) -> Case:
    """Runs the cell for two steps from a given state, and back from random gradients of the last one."""
    case = Case(f"recurrent-cell-{name}", "recurrent-cell", layer=layer, **arguments)
    module = getattr(nn, layer)(INPUTS, HIDDEN, **arguments).double()
    randomise(module, case)
    for parameter, value in module.named_parameters():
        case.put(f"param.{parameter}", value)
    wanted = {"first": case.normal(BATCH, INPUTS), "second": case.normal(BATCH, INPUTS)}
    wanted["h_0"] = case.normal(BATCH, HIDDEN)
    if layer == "LSTMCell":
        wanted["c_0"] = case.normal(BATCH, HIDDEN)
    for key, value in wanted.items():
        case.put(key, value)
        value.requires_grad_()
    state = (wanted["h_0"], wanted["c_0"]) if layer == "LSTMCell" else wanted["h_0"]
    state = module(wanted["second"], module(wanted["first"], state))
    loss = 0.0
    for key, value in zip(("h_n", "c_n"), state if layer == "LSTMCell" else (state,)):
        case.put(key, value)
        upstream = case.normal(*value.shape)
        case.put(f"upstream.{key}", upstream)
        loss = loss + (value * upstream).sum()
    loss.backward()
    put_gradients(case, module, wanted)
    return case


def cases() -> Iterator[Case]:
    for name, (layer, own) in LAYERS.items():
        for variant, (arguments, lengths, with_states) in VARIANTS.items():
            yield sequence_case(f"{name}-{variant}", layer, {**DEFAULTS, **own, **arguments}, lengths, with_states)
    for variant, (arguments, lengths, with_states) in PROJECTED.items():
        arguments = {**DEFAULTS, **arguments, "proj_size": 2}
        yield sequence_case(f"projected-{variant}", "LSTM", arguments, lengths, with_states)
    for name, layer, arguments in (
        ("rnn-tanh", "RNNCell", {"bias": True, "nonlinearity": "tanh"}),
        ("rnn-relu", "RNNCell", {"bias": False, "nonlinearity": "relu"}),
        ("lstm", "LSTMCell", {"bias": True}),
        ("gru", "GRUCell", {"bias": True}),
    ):
        yield cell_case(name, layer, arguments)
