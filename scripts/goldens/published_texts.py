"""Golden files of published networks for texts: what transformers makes of texts of different lengths, in f64, and of
some that continue texts, the loss of a batch of windows with its gradients. Of some, attention roll-out of each text.

Weights are not stored: both sides draw them from the same numbers, see `published.draw`.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors import safe_open
from safetensors.numpy import save_file

from .published import draw, uniform

VOCABULARY = 101
LENGTHS = (11, 4, 1)
# Of pairs of texts, where the second begins; in the last there is none.
SECOND = (6, 1, 1)
CLASSES = 3
# Of windows that are learned: how many, and their tokens. Gradients are stored as their length and what they are along
# some drawn directions, which no wrong element leaves as they are.
WINDOWS = (3, 12)
DIRECTIONS = 6


class PublishedText:
    """A case: a network, and what it makes of three texts, two of which are padded."""

    def __init__(self, name, kind, config, *, published_config=None, pairs=False, trained=False, reads=None):
        self.name, self.kind, self.config, self.published_config = name, kind, config, published_config
        self.pairs, self.trained = pairs, trained
        # Which tokens the last layer reads: `first`, `all` or `last`.
        self.reads = reads

    def write(self, folder: Path) -> Path:
        path = folder / "texts" / f"{self.name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(self.content(), separators=(",", ":")) + "\n", encoding="utf-8")
        return path

    def differences(self, folder: Path) -> list[str]:
        path = folder / "texts" / f"{self.name}.json"
        if not path.exists():
            return [f"{path.name}: missing"]
        there, here = json.loads(path.read_text(encoding="utf-8")), self.content()
        numbers = [(there.pop(key), here.pop(key)) for key in ("hidden", "logits", "rollout") if key in there and key in here]
        # Computed in f64, and compared with what f32 makes of it.
        for one in (there, here):
            trained = one.pop("trained", None)
            if trained:
                one["directions"] = sorted(trained["gradients"])
                values = [[trained["loss"]], *(trained["gradients"][name] for name in one["directions"])]
                one["trained"] = [f"{value:.4g}" for row in values for value in row]
        found = [] if there == here else [f"{path.name}: differs"]
        for old, new in numbers:
            flat = [np.concatenate([np.zeros(1), *map(np.ravel, rows)]) for rows in (old, new)]
            if flat[0].shape != flat[1].shape or not np.allclose(*flat, rtol=1e-4, atol=1e-5):
                found.append(f"{path.name}: outputs differ")
        return found

    def content(self) -> dict:
        model, shapes, config = self.published("sdpa")
        tokens = np.floor(uniform("tokens", sum(LENGTHS)) * (VOCABULARY - 3)).astype(np.int64) + 3
        texts = np.split(tokens, np.cumsum(LENGTHS)[:-1])
        longest = max(LENGTHS)
        padding = model.config.pad_token_id
        ids = np.full((len(LENGTHS), longest), padding)
        mask = np.zeros((len(LENGTHS), longest), dtype=np.int64)
        for i, text in enumerate(texts):
            ids[i, : len(text)], mask[i, : len(text)] = text, 1
        with torch.no_grad():
            ids, mask = torch.from_numpy(ids), torch.from_numpy(mask)
            inputs = {"input_ids": ids, "attention_mask": mask}
            if self.pairs:
                inputs["token_type_ids"] = (torch.arange(longest) >= torch.tensor(SECOND)[:, None]).long()
            outputs = model(**inputs, output_hidden_states=False)
            base = getattr(model, model.base_model_prefix, model)
            hidden = base(**inputs).last_hidden_state
        logits = getattr(outputs, "logits", None)
        if logits is not None and logits.ndim == 3:
            logits = torch.stack([logits[i, n - 1] for i, n in enumerate(LENGTHS)])
        rounded = lambda values: [float(f"{v:.6g}") for v in np.ravel(values.numpy())]  # noqa: E731
        content = {
            "config": config,
            "tensors": {name: list(shape) for name, shape in shapes.items()},
            "texts": [text.tolist() for text in texts],
            "hidden": [rounded(hidden[i, :n]) for i, n in enumerate(LENGTHS)],
            "logits": [] if logits is None else [rounded(row) for row in logits],
            "continued": self.continued(model, texts[0][:4]),
        }
        if self.pairs:
            content["second"] = list(SECOND)
        if self.trained:
            content["trained"] = self.steps(model)
        if self.reads:
            content["rollout"] = [rounded(row) for row in self.rollout(texts)]
        return content

    def rollout(self, texts: list[np.ndarray]) -> list[torch.Tensor]:
        """Attention roll-out (Abnar and Zuidema, 2020), of each text the row of what the last layer reads. Each is read by
        itself: padding that sees nothing would spread NaN."""
        model = self.published("eager")[0]
        rows = []
        for text in texts:
            with torch.no_grad():
                layers = model(input_ids=torch.from_numpy(text)[None], output_attentions=True).attentions
            same = torch.eye(len(text), dtype=torch.float64)
            whole = same
            for weights in layers:
                one = weights[0].mean(dim=0) / 2 + same / 2
                whole = one / one.sum(dim=1, keepdim=True) @ whole
            rows.append({"first": whole[0], "last": whole[-1], "all": whole.mean(dim=0)}[self.reads])
        return rows

    def steps(self, model) -> dict:
        """The loss of windows whose tokens are foreseen each, and its gradients; without dropout, as it is trained here."""
        count, length = WINDOWS
        tokens = np.floor(uniform("windows", count * (length + 1)) * VOCABULARY).astype(np.int64)
        windows = torch.from_numpy(tokens).reshape(count, length + 1)
        logits = model(input_ids=windows[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
        names, values = zip(*model.named_parameters(), strict=True)
        gradients = {}
        for name, gradient in zip(names, torch.autograd.grad(loss, values), strict=True):
            flat = gradient.numpy().ravel()
            along = [float(flat @ (2 * uniform(f"{k} {name}", flat.size) - 1)) for k in range(DIRECTIONS)]
            gradients[name] = [float(f"{v:.9g}") for v in (np.linalg.norm(flat), *along)]
        return {"windows": windows.tolist(), "loss": float(f"{loss.item():.9g}"), "gradients": gradients}

    def continued(self, model, start: np.ndarray) -> list[int]:
        """The likeliest tokens behind some others, one after another, as many as there are positions."""
        if not model.can_generate():
            return []
        room = 15 - len(start)
        with torch.no_grad():
            ids = model.generate(torch.from_numpy(start)[None], max_new_tokens=room, do_sample=False)[0]
        found = ids[len(start) :].tolist()
        end = model.config.eos_token_id
        return found[: found.index(end)] if end in found else found

    def published(self, attention: str):
        """The network with drawn weights, their names and shapes in its file, and its `config.json`."""
        with tempfile.TemporaryDirectory() as folder:
            self.kind(self.config).save_pretrained(folder)
            path = Path(folder) / "model.safetensors"
            with safe_open(path, "numpy") as file:
                shapes = {n: tuple(file.get_slice(n).get_shape()) for n in file.keys()}  # noqa: SIM118
            save_file({n: draw(n, s) for n, s in shapes.items()}, path, metadata={"format": "pt"})
            model = self.kind.from_pretrained(folder, dtype=torch.float64, attn_implementation=attention).eval()
            config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        config.pop("transformers_version", None)
        return model, shapes, config | (self.published_config or {})


def cases() -> Iterator[PublishedText]:
    labels = {"num_labels": CLASSES}
    sizes = {"vocab_size": VOCABULARY, "num_hidden_layers": 2, "max_position_embeddings": 15}
    odd = {**sizes, "hidden_size": 35, "num_attention_heads": 5, "intermediate_size": 51}
    t = transformers
    yield PublishedText("bert", t.BertModel, t.BertConfig(**odd, pad_token_id=0))
    yield PublishedText(
        "bert-classes",
        t.BertForSequenceClassification,
        t.BertConfig(**odd, **labels, hidden_act="gelu_new", id2label={0: "bad", 1: "fair", 2: "good"}),
        reads="first",
    )
    yield PublishedText("bert-pairs", t.BertForSequenceClassification, t.BertConfig(**odd, **labels), pairs=True)
    yield PublishedText("bert-words", t.BertForMaskedLM, t.BertConfig(**odd))
    distil = {"vocab_size": VOCABULARY, "dim": 35, "n_layers": 2, "n_heads": 5, "hidden_dim": 51}
    yield PublishedText(
        "distilbert-classes",
        t.DistilBertForSequenceClassification,
        t.DistilBertConfig(**distil, **labels, max_position_embeddings=15),
        reads="first",
    )
    yield PublishedText(
        "roberta-classes",
        t.RobertaForSequenceClassification,
        t.RobertaConfig(**odd, **labels, pad_token_id=1),
        reads="first",
    )
    even = {**sizes, "hidden_size": 36, "num_attention_heads": 3, "intermediate_size": 51}
    modern = {**even, "num_hidden_layers": 4, "pad_token_id": 0, "local_attention": 6, **labels}
    yield PublishedText(
        "modernbert-classes", t.ModernBertForSequenceClassification, t.ModernBertConfig(**modern), reads="first"
    )
    biases = {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True}
    yield PublishedText(
        "modernbert-biases",
        t.ModernBertForSequenceClassification,
        t.ModernBertConfig(**modern, **biases, classifier_pooling="mean"),
        reads="all",
    )
    gpt2 = {"vocab_size": VOCABULARY, "n_positions": 15, "n_embd": 35, "n_layer": 2, "n_head": 5, "pad_token_id": 0}
    yield PublishedText("gpt2", t.GPT2LMHeadModel, t.GPT2Config(**gpt2), trained=True, reads="last")
    yield PublishedText("gpt2-body", t.GPT2Model, t.GPT2Config(**gpt2))
    yield PublishedText("gpt2-classes", t.GPT2ForSequenceClassification, t.GPT2Config(**gpt2, **labels, n_inner=51))
    llama = {**even, "num_attention_heads": 6, "num_key_value_heads": 2, "pad_token_id": 0}
    yield PublishedText("llama", t.LlamaForCausalLM, t.LlamaConfig(**llama), trained=True, reads="last")
    stretched = {
        "rope_type": "llama3",
        "rope_theta": 500.0,
        "factor": 4.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 12,
    }
    yield PublishedText(
        "llama-tied",
        t.LlamaForCausalLM,
        t.LlamaConfig(**llama, head_dim=8, tie_word_embeddings=True, rope_parameters=stretched),
        trained=True,
    )
    theta = {"rope_theta": 500.0}
    linear = {**theta, "rope_type": "linear", "factor": 3.0}
    dynamic = {**theta, "rope_type": "dynamic", "factor": 3.0}
    # Between these turns lie some of the four pairs of a head.
    yarn = {**theta, "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 12}
    ramp = {"beta_fast": 2.0, "beta_slow": 0.25}
    for name, positions in [
        ("llama-linear", linear),
        ("llama-dynamic", dynamic),
        ("llama-yarn-plain", {**yarn, **ramp, "truncate": False, "attention_factor": 1.5}),
    ]:
        config = t.LlamaConfig(**llama, head_dim=8, rope_parameters=positions)
        yield PublishedText(name, t.LlamaForCausalLM, config)
    config = t.LlamaConfig(**llama, head_dim=8, rope_parameters={**yarn, **ramp})
    yield PublishedText("llama-yarn", t.LlamaForCausalLM, config, trained=True)
    yield PublishedText("llama-classes", t.LlamaForSequenceClassification, t.LlamaConfig(**llama, **labels))
    yield PublishedText("mistral", t.MistralForCausalLM, t.MistralConfig(**llama, sliding_window=3), reads="last")
    yield PublishedText("qwen2", t.Qwen2ForCausalLM, t.Qwen2Config(**llama))
    yield PublishedText("qwen3", t.Qwen3ForCausalLM, t.Qwen3Config(**llama, head_dim=8), trained=True)
