"""Golden files of losses with several inputs: `in.*` have gradients, `fixed.*` have none."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F

from .case import Case

Tensors = dict[str, torch.Tensor]
# Of the inputs that have gradients, those that have none, and the name of a reduction.
Loss = Callable[[Tensors, Tensors, str], torch.Tensor]

WEIGHTS = [0.5, 1.0, 2.0, 0.25, 1.5]


def reduced(losses: torch.Tensor, reduction: str) -> torch.Tensor:
    """For losses that PyTorch does not have."""
    return {"mean": torch.mean, "sum": torch.sum, "none": lambda x: x}[reduction](losses)


def criterion(
    loss: Loss, inputs: Tensors, fixed: Tensors, case: Case, reductions=("mean", "sum", "none")
) -> Case:
    """The loss and all gradients for each reduction."""
    for key, value in inputs.items():
        case.put(f"in.{key}", value)
    for key, value in fixed.items():
        case.put(f"fixed.{key}", value)
    for reduction in reductions:
        leaves = {key: value.clone().requires_grad_() for key, value in inputs.items()}
        value = loss(leaves, fixed, reduction)
        if reduction == "none":
            upstream = case.normal(*value.shape)
            case.put("upstream.none", upstream)
            value.backward(upstream)
        else:
            value.backward()
        case.put(f"loss.{reduction}", value)
        for key, leaf in leaves.items():
            case.put(f"grad.{reduction}.{key}", leaf.grad)
    return case


def start(name: str, loss: str, **arguments) -> Case:
    return Case(f"criterion-{name}", "criterion", loss=loss, **arguments)


def weights() -> torch.Tensor:
    return torch.tensor(WEIGHTS, dtype=torch.float64)


def classes() -> Iterator[Case]:
    """Losses of scores against classes; `[batch, sequence, classes]` is `[batch, classes, sequence]` in PyTorch."""
    for name, weighted, smoothing, ignore in (
        ("ignore", False, 0.0, -100),
        ("ignore-weighted-smoothing", True, 0.1, -100),
        ("ignore-class", True, 0.0, 2),
    ):
        arguments = {"label_smoothing": smoothing, "ignore_index": ignore}
        case = start(f"cross-entropy-{name}", "cross_entropy", **arguments)
        x, target = case.normal(3, 6, 5, scale=2.0), case.integers(3, 6, below=5)
        target[0, 1] = target[2, 3] = target[1, 5] = ignore
        fixed = {"target": target} | ({"weight": weights()} if weighted else {})
        yield criterion(
            lambda i, f, r, a=arguments: F.cross_entropy(
                i["x"].transpose(1, 2), f["target"], weight=f.get("weight"), reduction=r, **a
            ),
            {"x": x},
            fixed,
            case,
        )
    for name, weighted, smoothing in (("", False, 0.0), ("-weighted-smoothing", True, 0.2)):
        case = start(f"soft-cross-entropy{name}", "soft_cross_entropy", label_smoothing=smoothing)
        fixed = {"target": case.normal(7, 5).softmax(-1).float().double()}
        if weighted:
            fixed["weight"] = weights()
        yield criterion(
            lambda i, f, r, s=smoothing: F.cross_entropy(
                i["x"], f["target"], weight=f.get("weight"), reduction=r, label_smoothing=s
            ),
            {"x": case.normal(7, 5, scale=2.0)},
            fixed,
            case,
        )
    for name, weighted in (("", False), ("-weighted", True)):
        case = start(f"nll{name}", "nll", ignore_index=-100)
        target = case.integers(8, below=5)
        target[3] = -100
        yield criterion(
            lambda i, f, r: F.nll_loss(i["x"], f["target"], weight=f.get("weight"), reduction=r),
            {"x": case.normal(8, 5).log_softmax(-1).float().double()},
            {"target": target} | ({"weight": weights()} if weighted else {}),
            case,
        )

    def many_focal(i: Tensors, f: Tensors, r: str, gamma: float) -> torch.Tensor:
        surprise = F.cross_entropy(i["x"], f["target"], reduction="none")
        losses = (1 - (-surprise).exp()) ** gamma * surprise
        if "weight" in f:
            losses = losses * f["weight"][f["target"]]
        return reduced(losses, r)

    for name, gamma, weighted in (("2", 2.0, False), ("1.5-weighted", 1.5, True), ("0", 0.0, False)):
        case = start(f"focal-{name}", "focal", gamma=gamma)
        yield criterion(
            lambda i, f, r, g=gamma: many_focal(i, f, r, g),
            {"x": case.normal(8, 5, scale=2.0)},
            {"target": case.integers(8, below=5)} | ({"weight": weights()} if weighted else {}),
            case,
        )
    for name, p, margin, weighted in (("", 1, 1.0, False), ("-squared-weighted", 2, 0.7, True)):
        case = start(f"multi-margin{name}", "multi_margin", p=p, margin=margin)
        yield criterion(
            lambda i, f, r, p=p, m=margin: F.multi_margin_loss(
                i["x"], f["target"], p=p, margin=m, weight=f.get("weight"), reduction=r
            ),
            {"x": case.normal(8, 5)},
            {"target": case.integers(8, below=5)} | ({"weight": weights()} if weighted else {}),
            case,
        )
    for log_target in (False, True):
        case = start("kl-log-target" if log_target else "kl", "kl_divergence", log_target=log_target)
        target = case.normal(6, 5).softmax(-1).float().double()
        if not log_target:
            target[2, 1] = 0.0
        yield criterion(
            lambda i, f, r, log=log_target: F.kl_div(i["x"], f["target"], log_target=log, reduction=r),
            {"x": case.normal(6, 5).log_softmax(-1).float().double()},
            {"target": target.log().float().double() if log_target else target},
            case,
            ("mean", "sum", "batchmean", "none"),
        )


def labels() -> Iterator[Case]:
    """Losses of scores against labels that are true or not."""
    for name, keys in (("", ()), ("-weighted", ("weight",)), ("-pos-weight", ("weight", "pos_weight"))):
        case = start(f"bce-with-logits{name}", "bce_with_logits")
        fixed = {"target": case.uniform(6, 5, low=0.0, high=1.0)} | {key: weights() for key in keys}
        yield criterion(
            lambda i, f, r: F.binary_cross_entropy_with_logits(
                i["x"], f["target"], weight=f.get("weight"), pos_weight=f.get("pos_weight"), reduction=r
            ),
            {"x": case.normal(6, 5, scale=4.0)},
            fixed,
            case,
        )
    case = start("bce", "bce")
    yield criterion(
        lambda i, f, r: F.binary_cross_entropy(i["x"], f["target"], weight=f["weight"], reduction=r),
        {"x": case.uniform(6, 5, low=0.01, high=0.99)},
        {"target": case.uniform(6, 5, low=0.0, high=1.0), "weight": weights()},
        case,
    )

    def focal(i: Tensors, f: Tensors, r: str, alpha: float, gamma: float) -> torch.Tensor:
        x, t = i["x"], f["target"]
        p = x.sigmoid()
        losses = F.binary_cross_entropy_with_logits(x, t, reduction="none")
        losses = losses * (1 - (p * t + (1 - p) * (1 - t))) ** gamma
        if alpha >= 0:
            losses = losses * (alpha * t + (1 - alpha) * (1 - t))
        return reduced(losses, r)

    for name, alpha, gamma in (("default", 0.25, 2.0), ("plain", -1.0, 1.0)):
        case = start(f"sigmoid-focal-{name}", "sigmoid_focal", alpha=alpha, gamma=gamma)
        yield criterion(
            lambda i, f, r, a=alpha, g=gamma: focal(i, f, r, a, g),
            {"x": case.normal(6, 5, scale=2.0)},
            {"target": case.integers(6, 5, below=2).double()},
            case,
        )
    case = start("soft-margin", "soft_margin")
    yield criterion(
        lambda i, f, r: F.soft_margin_loss(i["x"], f["target"], reduction=r),
        {"x": case.normal(6, 5, scale=2.0)},
        {"target": case.integers(6, 5, below=2).double() * 2 - 1},
        case,
    )
    case = start("multi-label-soft-margin", "multi_label_soft_margin")
    yield criterion(
        lambda i, f, r: F.multilabel_soft_margin_loss(i["x"], f["target"], weight=f["weight"], reduction=r),
        {"x": case.normal(6, 5, scale=2.0)},
        {"target": case.integers(6, 5, below=2).double(), "weight": weights()},
        case,
    )


def likelihoods() -> Iterator[Case]:
    """Negative log-likelihoods of counts and of numbers."""
    for name, log_input, full in (("log", True, False), ("log-full", True, True), ("rate-full", False, True)):
        case = start(f"poisson-nll-{name}", "poisson_nll", log_input=log_input, full=full)
        x = case.normal(6, 4) if log_input else case.uniform(6, 4, low=0.1, high=4.0)
        yield criterion(
            lambda i, f, r, log=log_input, full=full: F.poisson_nll_loss(
                i["x"], f["target"], log_input=log, full=full, reduction=r
            ),
            {"x": x},
            {"target": case.integers(6, 4, below=6).double()},
            case,
        )
    for full in (False, True):
        case = start("gaussian-nll-full" if full else "gaussian-nll", "gaussian_nll", full=full)
        yield criterion(
            lambda i, f, r, full=full: F.gaussian_nll_loss(i["x"], f["target"], i["variance"], full=full, reduction=r),
            {"x": case.normal(6, 4), "variance": case.uniform(6, 4, low=0.2, high=3.0)},
            {"target": case.normal(6, 4)},
            case,
        )


def contrastive(i: Tensors, f: Tensors, r: str, margin: float) -> torch.Tensor:
    distance = F.pairwise_distance(i["a"], i["b"], eps=1e-6)
    alike = (i["a"] - i["b"]).square().sum(-1)
    return reduced(0.5 * torch.where(f["target"] == 0, alike, (margin - distance).clamp(min=0) ** 2), r)


def info_nce(i: Tensors, f: Tensors, r: str, temperature: float) -> torch.Tensor:
    logits = F.normalize(i["a"]) @ F.normalize(i["b"]).T / temperature
    return F.cross_entropy(logits, torch.arange(len(logits)), reduction=r)


def nt_xent(i: Tensors, f: Tensors, r: str, temperature: float) -> torch.Tensor:
    n = len(i["a"])
    z = F.normalize(torch.cat([i["a"], i["b"]]))
    logits = (z @ z.T / temperature).masked_fill(torch.eye(2 * n, dtype=torch.bool), float("-inf"))
    partner = torch.arange(2 * n).roll(n)
    losses = F.cross_entropy(logits, partner, reduction="none")
    return reduced(losses.reshape(2, n).T, r)


def pairs() -> Iterator[Case]:
    """Losses of what belongs together and what does not."""

    def signs(case: Case) -> torch.Tensor:
        return torch.tensor([1.0, -1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0], dtype=torch.float64)

    for margin in (0.0, 0.3):
        case = start(f"cosine-embedding-{margin}", "cosine_embedding", margin=margin)
        yield criterion(
            lambda i, f, r, m=margin: F.cosine_embedding_loss(i["a"], i["b"], f["target"], margin=m, reduction=r),
            {"a": case.normal(8, 3), "b": case.normal(8, 3)},
            {"target": signs(case)},
            case,
        )
    for name, p, swap in (("2", 2.0, False), ("2-swap", 2.0, True), ("1", 1.0, False), ("3-swap", 3.0, True)):
        case = start(f"triplet-margin-{name}", "triplet_margin", p=p, swap=swap, margin=0.8)
        yield criterion(
            lambda i, f, r, p=p, swap=swap: F.triplet_margin_loss(
                i["a"], i["b"], i["c"], margin=0.8, p=p, swap=swap, reduction=r
            ),
            {key: case.normal(8, 3) for key in "abc"},
            {},
            case,
        )
    case = start("margin-ranking", "margin_ranking", margin=0.5)
    yield criterion(
        lambda i, f, r: F.margin_ranking_loss(i["a"], i["b"], f["target"], margin=0.5, reduction=r),
        {"a": case.normal(8), "b": case.normal(8)},
        {"target": signs(case)},
        case,
    )
    case = start("hinge-embedding", "hinge_embedding", margin=1.0)
    yield criterion(
        lambda i, f, r: F.hinge_embedding_loss(i["a"], f["target"], margin=1.0, reduction=r),
        {"a": case.normal(8)},
        {"target": signs(case)},
        case,
    )
    case = start("contrastive", "contrastive", margin=2.0)
    yield criterion(
        lambda i, f, r: contrastive(i, f, r, 2.0),
        {"a": case.normal(8, 3), "b": case.normal(8, 3)},
        {"target": case.integers(8, below=2).double()},
        case,
    )
    for name, loss, temperature in (("info-nce", info_nce, 0.2), ("nt-xent", nt_xent, 0.5)):
        case = start(name, name.replace("-", "_"), temperature=temperature)
        yield criterion(
            lambda i, f, r, loss=loss, t=temperature: loss(i, f, r, t),
            {"a": case.normal(6, 4), "b": case.normal(6, 4)},
            {},
            case,
        )


def limits() -> Iterator[Case]:
    """Losses where a root, a logarithm or a variance is limited: rows of zeros, probabilities of 0 and 1."""

    def rows(case: Case) -> Tensors:
        a, b = case.normal(8, 3), case.normal(8, 3)
        a[1], b[2], a[3], b[3] = 0.0, 0.0, 0.0, 0.0
        return {"a": a, "b": b}

    case = start("cosine-similarity", "cosine_similarity", eps=0.5)
    inputs = rows(case)
    # Shorter than `eps`, but not zero.
    inputs["a"][4] *= 0.1
    yield criterion(
        lambda i, f, r: reduced(F.cosine_similarity(i["a"], i["b"], eps=0.5), r), inputs, {}, case
    )
    case = start("cosine-embedding-zero", "cosine_embedding", margin=-0.5)
    yield criterion(
        lambda i, f, r: F.cosine_embedding_loss(i["a"], i["b"], f["target"], margin=-0.5, reduction=r),
        rows(case),
        {"target": torch.tensor([1.0, -1.0, -1.0, 1.0, 0.0, 1.0, 1.0, -1.0], dtype=torch.float64)},
        case,
    )
    # All slopes are of one size: beside 1e12 nothing else would be compared.
    case = start("bce-limits", "bce")
    yield criterion(
        lambda i, f, r: F.binary_cross_entropy(i["x"], f["target"], weight=f["weight"], reduction=r),
        {"x": torch.tensor([[0.0, 1.0, 1e-13, 0.0, 1.0]], dtype=torch.float32).double()},
        {"target": torch.tensor([[1.0, 0.0, 1.0, 0.5, 0.25]], dtype=torch.float64), "weight": weights()},
        case,
    )
    case = start("gaussian-nll-limits", "gaussian_nll", full=False, eps=0.5)
    yield criterion(
        lambda i, f, r: F.gaussian_nll_loss(i["x"], f["target"], i["variance"], eps=0.5, reduction=r),
        {"x": case.normal(6, 4), "variance": case.uniform(6, 4, low=0.0, high=1.5)},
        {"target": case.normal(6, 4)},
        case,
    )


def ctc() -> Iterator[Case]:
    """CTC of logits; repeated labels, lengths, an empty sequence, and one that does not fit."""

    def loss(i: Tensors, f: Tensors, r: str, blank: int, zero: bool) -> torch.Tensor:
        scores = i["x"].log_softmax(-1).transpose(0, 1)
        frames, batch = scores.shape[:2]
        target = f["target"]
        inputs = f.get("input_lengths", torch.full((batch,), frames))
        targets = f.get("target_lengths", torch.full((batch,), target.shape[1]))
        return F.ctc_loss(scores, target, inputs, targets, blank=blank, reduction=r, zero_infinity=zero)

    target = torch.tensor([[1, 1, 2], [2, 3, 2], [3, 3, 3], [1, 2, 3]])
    lengths = {"input_lengths": torch.tensor([8, 6, 8, 5]), "target_lengths": torch.tensor([3, 0, 2, 3])}
    short = {"input_lengths": torch.tensor([3, 6, 8, 5]), "target_lengths": torch.tensor([3, 2, 2, 3])}
    for name, blank, zero, extra in (
        ("plain", 0, False, {}),
        ("lengths", 0, False, lengths),
        ("zero-infinity", 0, True, short),
        ("last-blank", 4, False, lengths),
    ):
        case = start(f"ctc-{name}", "ctc", blank=blank, zero_infinity=zero)
        yield criterion(
            lambda i, f, r, b=blank, z=zero: loss(i, f, r, b, z),
            {"x": case.normal(4, 8, 5, scale=2.0)},
            {"target": target} | extra,
            case,
        )


def similarity() -> Iterator[Case]:
    """Losses of embeddings of pairs; texts 2 and 5 occur twice, and are then no negatives."""
    texts = torch.tensor([[0, 1], [2, 3], [4, 5], [2, 6], [7, 5], [8, 9]])
    scale = 20.0

    def in_batch(i: Tensors, f: Tensors, r: str) -> torch.Tensor:
        numbers = f["texts"]
        shared = (numbers[:, None] == numbers[None]).any(-1) & ~torch.eye(len(numbers), dtype=torch.bool)
        logits = (scale * i["a"] @ i["b"].T).masked_fill(shared, -torch.inf)
        own = torch.arange(len(numbers))
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2

    case = start("in-batch-negatives", "in_batch_negatives", scale=scale)
    rows = {"a": F.normalize(case.normal(6, 4)), "b": F.normalize(case.normal(6, 4))}
    yield criterion(in_batch, rows, {"texts": texts.double()}, case, ("mean",))

    def ranking(i: Tensors, f: Tensors, r: str) -> torch.Tensor:
        differences = scale * (i["x"][None] - i["x"][:, None])
        wrong = differences[f["scores"][:, None] > f["scores"][None]]
        return torch.cat([torch.zeros(1, dtype=wrong.dtype), wrong]).logsumexp(0)

    case = start("similarity-ranking", "similarity_ranking", scale=scale)
    scores = torch.tensor([0.0, 0.5, 0.5, 1.0, 0.25, 0.0, 1.0], dtype=torch.float64)
    yield criterion(ranking, {"x": case.uniform(7, low=-0.5, high=1.0)}, {"scores": scores}, case, ("mean",))


def cases() -> Iterator[Case]:
    yield from classes()
    yield from labels()
    yield from likelihoods()
    yield from pairs()
    yield from limits()
    yield from ctc()
    yield from similarity()
