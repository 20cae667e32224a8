"""Lilith: gradients of any scalar-valued Python function, compiled by XLA."""

from lilith import nn, numpy, random, special, testing
from lilith.api import grad, jit, print, stop_gradient, trace, trace_grad, value_and_grad
from lilith.compile import explain_cache
from lilith.config import config
from lilith.ir.graph import Graph
from lilith.result import GradResult
from lilith.source import (
    ArgumentError,
    DtypeError,
    GradientError,
    LeakedTracerError,
    LilithError,
    LilithWarning,
    RandomnessError,
    ShapeError,
    TraceError,
    UnsupportedError,
)
from lilith.tracer import Tracer

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "DtypeError",
    "GradResult",
    "GradientError",
    "Graph",
    "LeakedTracerError",
    "LilithError",
    "LilithWarning",
    "RandomnessError",
    "ShapeError",
    "TraceError",
    "Tracer",
    "UnsupportedError",
    "config",
    "explain_cache",
    "grad",
    "jit",
    "nn",
    "numpy",
    "print",
    "random",
    "special",
    "stop_gradient",
    "testing",
    "trace",
    "trace_grad",
    "value_and_grad",
]
