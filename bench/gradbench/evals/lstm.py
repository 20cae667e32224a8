"""lstm: ADBench's long short-term memory, whose weight matrices are diagonal, and the gradient by its parameters."""

from __future__ import annotations

import numpy as np

from bench.gradbench.task import Task, arrays
from lilith import grad, jit, scan


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def layer(x, hidden, cell, weight, bias):
    forget, outgate = sigmoid(x * weight[0] + bias[0]), sigmoid(x * weight[2] + bias[2])
    ingate, change = sigmoid(hidden * weight[1] + bias[1]), np.tanh(hidden * weight[3] + bias[3])
    cell = cell * forget + ingate * change
    return outgate * np.tanh(cell), cell


def objective(main, extra, state, sequence):
    layers, bits = len(main) // 2, sequence.shape[1]
    main = main.reshape(layers, 2, 4, bits)
    state = state.reshape(layers, 2, bits)

    def predict(states, x):
        x = x * extra[0]
        after = []
        for (weight, bias), (hidden, cell) in zip(main, states, strict=True):
            x, cell = layer(x, hidden, cell, weight, bias)
            after.append((x, cell))
        return after, x * extra[1] + extra[2]

    _, y = scan(predict, [(hidden, cell) for hidden, cell in state], sequence[:-1])
    y = y - np.log(np.sum(np.exp(y), axis=1, keepdims=True) + 2.0)
    return -np.sum(sequence[1:] * y) / y.size


def gradient(main, extra, state, sequence):
    g = grad(objective, main, extra, state, sequence, wrt=("main", "extra"))[1]
    return g["main"], g["extra"]


def report(result):
    return [x for part in result for x in part.ravel().tolist()]


given = arrays("main_params", "extra_params", "state", "sequence")
TASKS = {"objective": Task(given, jit(objective), float), "jacobian": Task(given, gradient, report)}
