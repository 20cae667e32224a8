"""hello: the square of a number, and its derivative."""

from __future__ import annotations

from bench.gradbench.task import Task
from lilith import grad, jit


def square(x):
    return x * x


def double(x):
    return grad(square, x)[1][0]


def number(given):
    return (float(given),)


TASKS = {"square": Task(number, jit(square), float), "double": Task(number, jit(double), float)}
