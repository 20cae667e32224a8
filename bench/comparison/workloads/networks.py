"""Networks: perceptron, convolutions, attention, a recurrence that Python unrolls, LSTM."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy

from bench.comparison.workload import Size, Workload, add, normal
from bench.comparison.workloads.losses import one_hot

# ---- perceptron ----------------------------------------------------------------------------------------------------


def mlp(np: Any, kit: Any) -> Callable[..., Any]:
    def mlp_loss(parameters, x, targets):
        h = x
        for W, b in parameters[:-1]:
            h = np.tanh(h @ W + b)
        W, b = parameters[-1]
        logits = h @ W + b
        top = np.max(logits, axis=1, keepdims=True)
        log_sum = top[:, 0] + np.log(np.sum(np.exp(logits - top), axis=1))
        return np.mean(log_sum - np.sum(logits * targets, axis=1))

    return mlp_loss


def mlp_torch(torch: Any, kit: Any) -> Callable[..., Any]:
    def mlp_loss(parameters, x, targets):
        h = x
        for W, b in parameters[:-1]:
            h = torch.tanh(h @ W + b)
        W, b = parameters[-1]
        logits = h @ W + b
        top = torch.amax(logits, dim=1, keepdim=True)
        log_sum = top[:, 0] + torch.log(torch.sum(torch.exp(logits - top), dim=1))
        return torch.mean(log_sum - torch.sum(logits * targets, dim=1))

    return mlp_loss


def mlp_by_hand(parameters: Any, x: Any, targets: Any) -> Any:
    hidden = [x]
    for W, b in parameters[:-1]:
        hidden.append(numpy.tanh(hidden[-1] @ W + b))
    W, b = parameters[-1]
    logits = hidden[-1] @ W + b
    top = logits.max(axis=1, keepdims=True)
    e = numpy.exp(logits - top)
    total = e.sum(axis=1, keepdims=True)
    value = numpy.mean(top[:, 0] + numpy.log(total[:, 0]) - numpy.sum(logits * targets, axis=1))
    g = (e / total - targets) / x.dtype.type(len(x))
    gradients = []
    for (W, _), h in zip(reversed(parameters), reversed(hidden), strict=True):
        gradients.append((h.T @ g, g.sum(axis=0)))
        g = (g @ W.T) * (1 - h * h)
    return value, (gradients[::-1],)


def _mlp_arguments(batch: int, *sizes: int) -> Callable[..., Any]:
    f = "float32"

    def arguments(rng: Any) -> tuple[Any, ...]:
        layers = [
            (normal(rng, m, n, dtype=f, scale=m**-0.5), normal(rng, n, dtype=f)) for m, n in itertools.pairwise(sizes)
        ]
        return layers, normal(rng, batch, sizes[0], dtype=f), one_hot(rng, batch, sizes[-1], f)

    return arguments


add(
    Workload(
        "mlp",
        "perceptron with tanh and softmax cross entropy, a batch, float32",
        mlp,
        (
            Size("8 of 16-16-4", _mlp_arguments(8, 16, 16, 4)),
            Size("32 of 64-64-64-64-10", _mlp_arguments(32, 64, 64, 64, 64, 10)),
            Size("128 of 256-512-512-10", _mlp_arguments(128, 256, 512, 512, 10)),
        ),
        torch=mlp_torch,
        by_hand=mlp_by_hand,
    )
)


# ---- convolutions --------------------------------------------------------------------------------------------------


def cnn(np: Any, kit: Any) -> Callable[..., Any]:
    def pooled(x):
        n, c, height, width = x.shape
        return np.max(np.reshape(x, (n, c, height // 2, 2, width // 2, 2)), axis=(3, 5))

    def cnn_loss(parameters, images, targets):
        first, second, W = parameters
        h = pooled(np.tanh(kit.conv2d(images, first)))
        h = pooled(np.tanh(kit.conv2d(h, second)))
        logits = np.reshape(h, (h.shape[0], -1)) @ W
        top = np.max(logits, axis=1, keepdims=True)
        log_sum = top[:, 0] + np.log(np.sum(np.exp(logits - top), axis=1))
        return np.mean(log_sum - np.sum(logits * targets, axis=1))

    return cnn_loss


def cnn_torch(torch: Any, kit: Any) -> Callable[..., Any]:
    def pooled(x):
        n, c, height, width = x.shape
        return torch.amax(torch.reshape(x, (n, c, height // 2, 2, width // 2, 2)), dim=(3, 5))

    def cnn_loss(parameters, images, targets):
        first, second, W = parameters
        h = pooled(torch.tanh(kit.conv2d(images, first)))
        h = pooled(torch.tanh(kit.conv2d(h, second)))
        logits = torch.reshape(h, (h.shape[0], -1)) @ W
        top = torch.amax(logits, dim=1, keepdim=True)
        log_sum = top[:, 0] + torch.log(torch.sum(torch.exp(logits - top), dim=1))
        return torch.mean(log_sum - torch.sum(logits * targets, dim=1))

    return cnn_loss


def _cnn_arguments(batch: int, side: int, channels: tuple[int, int]) -> Callable[..., Any]:
    f = "float32"
    a, b = channels
    last = ((side - 2) // 2 - 2) // 2

    def arguments(rng: Any) -> tuple[Any, ...]:
        parameters = (
            normal(rng, a, 1, 3, 3, dtype=f, scale=0.3),
            normal(rng, b, a, 3, 3, dtype=f, scale=0.2),
            normal(rng, b * last * last, 10, dtype=f, scale=0.1),
        )
        return parameters, normal(rng, batch, 1, side, side, dtype=f), one_hot(rng, batch, 10, f)

    return arguments


add(
    Workload(
        "cnn",
        "two convolutions of 3x3 with tanh and max-pooling, a dense layer, float32",
        cnn,
        (Size("2 of 10x10", _cnn_arguments(2, 10, (2, 3))), Size("64 of 30x30", _cnn_arguments(64, 30, (16, 32)))),
        torch=cnn_torch,
    )
)


# ---- attention -----------------------------------------------------------------------------------------------------


def attention(np: Any, kit: Any) -> Callable[..., Any]:
    def attention_loss(x, query, key, value, out):
        q = np.einsum("td,hde->hte", x, query)
        k = np.einsum("td,hde->hte", x, key)
        v = np.einsum("td,hde->hte", x, value)
        scores = np.einsum("hte,hse->hts", q, k) / q.shape[-1] ** 0.5
        e = np.exp(scores - np.max(scores, axis=2, keepdims=True))
        weights = e / np.sum(e, axis=2, keepdims=True)
        mixed = np.einsum("hts,hse->hte", weights, v)
        y = x + np.einsum("hte,hed->td", mixed, out)
        return np.mean(y * y)

    return attention_loss


def attention_torch(torch: Any, kit: Any) -> Callable[..., Any]:
    def attention_loss(x, query, key, value, out):
        q = torch.einsum("td,hde->hte", x, query)
        k = torch.einsum("td,hde->hte", x, key)
        v = torch.einsum("td,hde->hte", x, value)
        scores = torch.einsum("hte,hse->hts", q, k) / q.shape[-1] ** 0.5
        e = torch.exp(scores - torch.amax(scores, dim=2, keepdim=True))
        weights = e / torch.sum(e, dim=2, keepdim=True)
        mixed = torch.einsum("hts,hse->hte", weights, v)
        y = x + torch.einsum("hte,hed->td", mixed, out)
        return torch.mean(y * y)

    return attention_loss


def _attention_arguments(tokens: int, width: int, heads: int) -> Callable[..., Any]:
    f, each = "float32", width // heads

    def arguments(rng: Any) -> tuple[Any, ...]:
        projections = [normal(rng, heads, width, each, dtype=f, scale=width**-0.5) for _ in range(3)]
        return (
            normal(rng, tokens, width, dtype=f),
            *projections,
            normal(rng, heads, each, width, dtype=f, scale=width**-0.5),
        )

    return arguments


add(
    Workload(
        "attention",
        "multi-head self-attention with a residual connection, float32",
        attention,
        (
            Size("8 tokens, 2x4", _attention_arguments(8, 8, 2)),
            Size("128 tokens, 8x64", _attention_arguments(128, 512, 8)),
        ),
        wrt=(0, 1, 2, 3, 4),
        torch=attention_torch,
    )
)


# ---- a recurrence that Python unrolls --------------------------------------------------------------------------------


def _unrolled(steps: int) -> Callable[..., Any]:
    """The arguments carry the number of steps in the length of `xs`."""

    def arguments(rng: Any) -> tuple[Any, ...]:
        return (
            normal(rng, 16, 16, scale=0.2),
            normal(rng, 16, 16, scale=0.2),
            normal(rng, 16),
            normal(rng, steps, 16),
        )

    return arguments


def rnn(np: Any, kit: Any) -> Callable[..., Any]:
    def rnn_loss(W, U, h, xs):
        for i in range(xs.shape[0]):
            h = np.tanh(W @ h + U @ xs[i])
        return np.sum(h * h)

    return rnn_loss


def rnn_torch(torch: Any, kit: Any) -> Callable[..., Any]:
    def rnn_loss(W, U, h, xs):
        for i in range(xs.shape[0]):
            h = torch.tanh(W @ h + U @ xs[i])
        return torch.sum(h * h)

    return rnn_loss


def rnn_by_hand(W: Any, U: Any, h: Any, xs: Any) -> Any:
    states = [h]
    for x in xs:
        states.append(numpy.tanh(W @ states[-1] + U @ x))
    g = 2 * states[-1]
    of_W, of_U = numpy.zeros_like(W), numpy.zeros_like(U)
    for i in range(len(xs) - 1, -1, -1):
        g = g * (1 - states[i + 1] ** 2)
        of_W += numpy.outer(g, states[i])
        of_U += numpy.outer(g, xs[i])
        g = W.T @ g
    return numpy.sum(states[-1] ** 2), (of_W, of_U, g)


add(
    Workload(
        "rnn-unrolled",
        "tanh recurrence of 16 units, a Python loop over the steps",
        rnn,
        (Size("10 steps", _unrolled(10)), Size("100 steps", _unrolled(100))),
        wrt=(0, 1, 2),
        torch=rnn_torch,
        by_hand=rnn_by_hand,
        rolled=True,
    )
)


# ---- LSTM ----------------------------------------------------------------------------------------------------------


def lstm(np: Any, kit: Any) -> Callable[..., Any]:
    def sigmoid(x):
        return 1.0 / (1.0 + np.exp(-x))

    def lstm_loss(main, extra, state, sequence):
        layers = main.shape[0] // 2

        def step(carry, pair):
            hs, cs, total = carry
            x, wanted = pair
            x = x * extra[0]
            new_hs, new_cs = [], []
            for i in range(layers):
                w, b = main[2 * i], main[2 * i + 1]
                forget, ingate = sigmoid(x * w[0] + b[0]), sigmoid(hs[i] * w[1] + b[1])
                outgate, change = sigmoid(x * w[2] + b[2]), np.tanh(hs[i] * w[3] + b[3])
                c = cs[i] * forget + ingate * change
                x = outgate * np.tanh(c)
                new_hs.append(x)
                new_cs.append(c)
            y = x * extra[1] + extra[2]
            y = y - np.log(2.0 + np.sum(np.exp(y)))
            return tuple(new_hs), tuple(new_cs), total + np.sum(wanted * y)

        hs, cs = tuple([state[2 * i] for i in range(layers)]), tuple([state[2 * i + 1] for i in range(layers)])
        first = hs, cs, 0.0 * np.sum(state[0])
        _, _, total = kit.scan(step, first, (sequence[:-1], sequence[1:]))
        return -total / (sequence.shape[0] - 1) / sequence.shape[1]

    return lstm_loss


def _lstm_arguments(layers: int, steps: int, n: int) -> Callable[..., Any]:
    return lambda rng: (
        normal(rng, 2 * layers, 4, n, scale=0.5),
        normal(rng, 3, n, scale=0.5),
        normal(rng, 2 * layers, n, scale=0.5),
        normal(rng, steps, n),
    )


add(
    Workload(
        "lstm",
        "LSTM whose gates are elementwise, as in GradBench: a scan over the steps",
        lstm,
        (
            Size("1 layer, 4 steps", _lstm_arguments(1, 4, 3)),
            Size("2 layers, 1024 steps", _lstm_arguments(2, 1024, 14)),
            Size("4 layers, 1024 steps", _lstm_arguments(4, 1024, 14)),
        ),
        wrt=(0, 1),
        torch=lstm,
    )
)
