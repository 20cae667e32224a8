"""Lilith: gradients of any scalar-valued Python function, compiled by XLA."""

from lilith import linalg, nn, numpy, random, special, testing
from lilith.api import grad, jit, lower, lower_grad, print, spec, stop_gradient, trace, trace_grad, value_and_grad
from lilith.associative import associative_scan
from lilith.checkpointing import checkpoint, named
from lilith.compile import explain_cache
from lilith.config import config
from lilith.control import cond, fori_loop, map, scan, switch, while_loop
from lilith.customizing import custom, pure_callback
from lilith.files import Program, ProgramFileError, export, load_compiled, load_program
from lilith.ir.graph import Graph
from lilith.minimizing import Minimum, minimize
from lilith.placement import best_available_device, device, devices, to_device
from lilith.result import GradResult
from lilith.saving import TreeFileError, load_tree, save_tree
from lilith.source import (
    ArgumentError,
    DeviceError,
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
from lilith.transforms import hessian, hvp, jacobian, jvp, vjp, vmap
from lilith.updating import update, update_

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "DeviceError",
    "DtypeError",
    "GradResult",
    "GradientError",
    "Graph",
    "LeakedTracerError",
    "LilithError",
    "LilithWarning",
    "Minimum",
    "Program",
    "ProgramFileError",
    "RandomnessError",
    "ShapeError",
    "TraceError",
    "Tracer",
    "TreeFileError",
    "UnsupportedError",
    "associative_scan",
    "best_available_device",
    "checkpoint",
    "cond",
    "config",
    "custom",
    "device",
    "devices",
    "explain_cache",
    "export",
    "fori_loop",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jit",
    "jvp",
    "linalg",
    "load_compiled",
    "load_program",
    "load_tree",
    "lower",
    "lower_grad",
    "map",
    "minimize",
    "named",
    "nn",
    "numpy",
    "print",
    "pure_callback",
    "random",
    "save_tree",
    "scan",
    "spec",
    "special",
    "stop_gradient",
    "switch",
    "testing",
    "to_device",
    "trace",
    "trace_grad",
    "update",
    "update_",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
]
