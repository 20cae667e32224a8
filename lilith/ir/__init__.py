"""The intermediate representation: types, primitives, graphs, their text and their reference interpreter."""

from lilith.ir.graph import Builder, Graph, Literal, Node, Source, Value, VerifyError, current_builder
from lilith.ir.primitive import PRIMITIVES, ZERO, Deferred, NoGradient, Primitive, primitive
from lilith.ir.type import TensorType, dtype_name

__all__ = [
    "PRIMITIVES",
    "ZERO",
    "Builder",
    "Deferred",
    "Graph",
    "Literal",
    "NoGradient",
    "Node",
    "Primitive",
    "Source",
    "TensorType",
    "Value",
    "VerifyError",
    "current_builder",
    "dtype_name",
    "primitive",
]
