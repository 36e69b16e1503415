"""JAX: the whole step is one compiled function whose arguments are donated."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import jaxlib  # noqa: E402
import numpy as np  # noqa: E402
from jax import lax  # noqa: E402
from measure import Measurement  # noqa: E402

RATE, DECAY, BETAS, EPSILON = 1e-3, 0.01, (0.9, 0.999), 1e-8


class Weights:
    """Makes first values: uniform within the reciprocal root of the number of inputs, as PyTorch does."""

    def __init__(self):
        self.random = np.random.default_rng(0)

    def uniform(self, shape, inputs: int) -> np.ndarray:
        bound = 1 / np.sqrt(inputs)
        return self.random.uniform(-bound, bound, shape).astype(np.float32)

    def linear(self, inputs: int, outputs: int) -> dict:
        return {"weight": self.uniform((inputs, outputs), inputs), "bias": self.uniform((outputs,), inputs)}

    def conv(self, inputs: int, outputs: int) -> dict:
        return {"weight": self.uniform((3, 3, inputs, outputs), 9 * inputs), "bias": self.uniform((outputs,), 9 * inputs)}

    def table(self, rows: int, width: int) -> np.ndarray:
        return self.random.standard_normal((rows, width), dtype=np.float32)

    def norm(self, width: int) -> dict:
        return {"weight": np.ones(width, np.float32), "bias": np.zeros(width, np.float32)}


def linear(p, x):
    return x @ p["weight"] + p["bias"]


def norm(p, x, epsilon: float = 1e-5):
    mean = x.mean(-1, keepdims=True)
    centred = x - mean
    variance = (centred * centred).mean(-1, keepdims=True)
    return centred * lax.rsqrt(variance + epsilon) * p["weight"] + p["bias"]


def gelu(x):
    return jax.nn.gelu(x, approximate=False)


def mlp(weights: Weights, widths: list[int]):
    parameters = [weights.linear(a, b) for a, b in zip(widths, widths[1:])]

    def forward(parameters, x):
        for p in parameters[:-1]:
            x = jax.nn.relu(linear(p, x))
        return linear(parameters[-1], x)

    return parameters, forward


def lenet(weights: Weights):
    parameters = {
        "conv1": weights.conv(1, 32),
        "conv2": weights.conv(32, 64),
        "fc1": weights.linear(12544, 128),
        "fc2": weights.linear(128, 10),
    }

    def conv(p, x):
        layout = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x, p["weight"], (1, 1), "SAME", dimension_numbers=layout) + p["bias"]

    def forward(p, x):
        x = jax.nn.relu(conv(p["conv2"], jax.nn.relu(conv(p["conv1"], x))))
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        return linear(p["fc2"], jax.nn.relu(linear(p["fc1"], x.reshape(x.shape[0], -1))))

    return parameters, forward


def lstm(weights: Weights):
    hidden = 256

    def layer(inputs: int) -> dict:
        return {
            "input": weights.uniform((inputs, 4 * hidden), hidden),
            "recurrent": weights.uniform((hidden, 4 * hidden), hidden),
            # PyTorch's layers have two.
            "input_bias": weights.uniform((4 * hidden,), hidden),
            "recurrent_bias": weights.uniform((4 * hidden,), hidden),
        }

    parameters = {"layers": [layer(64), layer(hidden)], "fc": weights.linear(hidden, 10)}

    def run_layer(p, x):
        # The part of the inputs is one product for all steps. Time goes first.
        gates = x @ p["input"] + (p["input_bias"] + p["recurrent_bias"])
        zeros = jnp.zeros((x.shape[1], hidden), x.dtype)

        def advance(state, gates):
            h, c = state
            i, f, g, o = jnp.split(gates + h @ p["recurrent"], 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        return lax.scan(advance, (zeros, zeros), gates)[1]

    def forward(p, x):
        x = x.swapaxes(0, 1)
        for layer in p["layers"]:
            x = run_layer(layer, x)
        return linear(p["fc"], x[-1])

    return parameters, forward


def attention(query, key, value, heads: int, causal: bool):
    batch, length, width = query.shape

    def split(x):
        return x.reshape(batch, length, heads, width // heads).transpose(0, 2, 1, 3)

    query, key, value = split(query), split(key), split(value)
    scores = query @ key.swapaxes(-1, -2) / np.sqrt(width // heads)
    if causal:
        scores = jnp.where(np.tril(np.ones((length, length), bool)), scores, -jnp.inf)
    mixed = jax.nn.softmax(scores, axis=-1) @ value
    return mixed.transpose(0, 2, 1, 3).reshape(batch, length, width)


def minilm(weights: Weights):
    width, feed_forward, epsilon = 384, 1536, 1e-12

    def layer() -> dict:
        return {
            **{name: weights.linear(width, width) for name in ("query", "key", "value", "attended")},
            "intermediate": weights.linear(width, feed_forward),
            "output": weights.linear(feed_forward, width),
            "norm1": weights.norm(width),
            "norm2": weights.norm(width),
        }

    parameters = {
        "words": weights.table(30522, width),
        "positions": weights.table(512, width),
        "kinds": weights.table(2, width),
        "norm": weights.norm(width),
        "layers": [layer() for _ in range(6)],
        "classifier": weights.linear(width, 2),
    }

    def forward(p, tokens):
        x = p["words"][tokens] + p["positions"][: tokens.shape[1]] + p["kinds"][0]
        x = norm(p["norm"], x, epsilon)
        for q in p["layers"]:
            mixed = attention(linear(q["query"], x), linear(q["key"], x), linear(q["value"], x), 12, False)
            x = norm(q["norm1"], x + linear(q["attended"], mixed), epsilon)
            x = norm(q["norm2"], x + linear(q["output"], gelu(linear(q["intermediate"], x))), epsilon)
        return linear(p["classifier"], x.mean(1))

    return parameters, forward


def gpt(weights: Weights):
    width, feed_forward = 256, 1024

    def layer() -> dict:
        return {
            "mix": weights.linear(width, 3 * width),
            "mixed": weights.linear(width, width),
            "linear1": weights.linear(width, feed_forward),
            "linear2": weights.linear(feed_forward, width),
            "norm1": weights.norm(width),
            "norm2": weights.norm(width),
        }

    parameters = {
        "tokens": weights.table(256, width),
        "positions": weights.table(256, width),
        "layers": [layer() for _ in range(4)],
        "norm": weights.norm(width),
        "head": weights.linear(width, 256),
    }

    def forward(p, tokens):
        x = p["tokens"][tokens] + p["positions"][: tokens.shape[1]]
        for q in p["layers"]:
            query, key, value = jnp.split(linear(q["mix"], norm(q["norm1"], x)), 3, axis=-1)
            x = x + linear(q["mixed"], attention(query, key, value, 8, True))
            x = x + linear(q["linear2"], gelu(linear(q["linear1"], norm(q["norm2"], x))))
        return linear(p["head"], norm(p["norm"], x))

    return parameters, forward


# First values with the forward pass, shape of the batch, number of tokens, number of classes, whether each token has one.
NETWORKS = {
    "mlp_small": (lambda w: mlp(w, [30, 64, 64, 2]), (32, 30), None, 2),
    "mlp": (lambda w: mlp(w, [784, 512, 512, 10]), (128, 784), None, 10),
    "lenet": (lenet, (64, 28, 28, 1), None, 10),
    "lstm": (lstm, (32, 64, 64), None, 10),
    "minilm": (minilm, (16, 128), 30522, 2),
    "gpt": (gpt, (8, 256), 256, 256),
}


def adamw(parameters, gradients, state):
    first, second, count = state
    count = count + 1
    (beta1, beta2), tree = BETAS, jax.tree.map
    first = tree(lambda m, g: beta1 * m + (1 - beta1) * g, first, gradients)
    second = tree(lambda v, g: beta2 * v + (1 - beta2) * g * g, second, gradients)
    scale1, scale2 = 1 - beta1**count, 1 - beta2**count

    def update(p, m, v):
        return p * (1 - RATE * DECAY) - RATE * (m / scale1) / (jnp.sqrt(v / scale2) + EPSILON)

    return tree(update, parameters, first, second), (first, second, count)


def run(arguments) -> None:
    versions = {"jax": jax.__version__, "jaxlib": jaxlib.__version__}
    measurement = Measurement(arguments.engine, arguments.workload, arguments.seconds, arguments.threads, versions)
    build, shape, below, classes = NETWORKS[arguments.workload]
    parameters, forward = build(Weights())
    parameters = jax.tree.map(jnp.asarray, parameters)
    random = np.random.default_rng(1)
    if below is None:
        inputs = random.standard_normal(shape, dtype=np.float32)
    else:
        inputs = random.integers(0, below, shape, dtype=np.int32)
    targets = random.integers(0, classes, shape if classes == below else shape[:1], dtype=np.int32)
    inputs, targets = jnp.asarray(inputs), jnp.asarray(targets)

    def loss(parameters, inputs, targets):
        logits = jax.nn.log_softmax(forward(parameters, inputs))
        return -jnp.take_along_axis(logits, targets[..., None], axis=-1).mean()

    def train(parameters, state, inputs, targets):
        value, gradients = jax.value_and_grad(loss)(parameters, inputs, targets)
        parameters, state = adamw(parameters, gradients, state)
        return parameters, state, value

    train = jax.jit(train, donate_argnums=(0, 1))
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = (zeros, jax.tree.map(jnp.zeros_like, parameters), jnp.zeros((), jnp.float32))

    def step() -> float:
        nonlocal parameters, state
        parameters, state, value = train(parameters, state, inputs, targets)
        jax.block_until_ready((parameters, state))
        return float(value)

    measurement.run(step)
