"""Small loops as one kernel of a CPU.

XLA:CPU runs a step of a loop as a sequence of kernels, each with a cost of its own, which a step that touches few
numbers does not repay. XLA compiles loops whose step touches up to 1024 bytes into one kernel by itself
(xla/service/cpu/small_while_loop_hoisting_pass.cc). A function that is called with the attribute by which it marks
these becomes one as well; here the limit is drawn where it pays.

What a kernel cannot hold is a constant of more than 10,000 bytes: the emitter of kernels (ir_emitter.cc) ends the
process. XLA makes constants of all that does not vary with a program's arguments, so this is followed here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from lilith.ir.graph import Graph, Node, Value
from lilith.ir.type import TensorType
from lilith.ops.checkpoints import expand
from lowering.emit import Emitter, tensor_type

KERNEL_PRIMITIVES = frozenset(
    """abs acos acosh add and asin asinh atan atan2 atanh bitcast broadcast_in_dim case cbrt ceil complex concatenate
    constant convert cos cosh div dot_general dynamic_slice dynamic_update_slice eq erf erfc exp expm1 exponent_shift
    extremum_cotangent fill floor ge gt imag integer_pow iota is_finite le log log1p logistic lt max min mul named
    ne neg not or pad popcount pow real reduce_and reduce_max reduce_min reduce_or reduce_prod reduce_sum rem reshape
    rev rint rsqrt scale_cotangent scan select shift_left shift_right sign sin sinh slice sqrt stop_gradient sub tan
    tanh threefry transpose while_loop xor""".split()
)
"""What the emitter of kernels knows; a test has each of them in one."""
_REDUCING = ("reduce_", "exponent_shift", "extremum_cotangent")

_CONSTANT_BYTES = 9000
_PER_OPERATION = 256  # numbers: of more, kernels of their own, which use several cores, are as fast
_WORK = 16384
_OPERATIONS = 1000
# Of more than so many numbers XLA has a reduction or a product done by a library, which no kernel can call (it does so
# from 4096 on); products of a matrix and a vector are its own.
_REDUCED = 256
_MATRIX = 4096


class Step(NamedTuple):
    """What there is to know of a graph as part of a kernel.

    Attributes:
        fits: whether a kernel can hold it.
        operations, work: how many operations it has, and how many numbers they make.
        outputs: for each output, whether it varies: whether it is surely no constant to XLA.
    """

    fits: bool
    operations: int
    work: int
    outputs: tuple[bool, ...]


def is_small(e: Emitter, node: Node, operands: Sequence[str]) -> bool:
    """Whether a loop over operands of these names is to be a kernel."""
    if e.platform != "cpu" or e.in_kernel:
        return False
    flags = [x in e.varying for x in operands]
    if any(_too_large(x) and not varies for x, varies in zip(node.operands, flags, strict=True)):
        return False
    step = _loop(node, flags)
    return step.fits and step.work <= min(_WORK, _PER_OPERATION * step.operations)


def _too_large(x: Value) -> bool:
    """Whether no kernel can hold it, were it a constant."""
    return x.type.size * x.type.dtype.itemsize > _CONSTANT_BYTES


def _step(graph: Graph, varying: tuple[bool, ...]) -> Step:
    """A graph of which some inputs vary."""
    known = {x for x, varies in zip(graph.inputs, varying, strict=True) if varies}
    fits, operations, work = True, 0, 0
    for node in expand(graph).nodes:
        name, results = node.primitive.name, node.results
        if name not in KERNEL_PRIMITIVES or node.effect or not _is_own(node) or operations > _OPERATIONS:
            return Step(False, 0, 0, (False,) * len(graph.outputs))
        operations += 1
        if node.primitive.graphs:
            inner = _loop(node, [x in known for x in node.operands])
            fits, operations, work = fits and inner.fits, operations + inner.operations, work + inner.work
            known.update([y for y, varies in zip(results, inner.outputs, strict=True) if varies])
        else:
            work += (node.operands[1] if name == "dynamic_update_slice" else results[0]).type.size
            if any(x in known for x in node.operands):
                known.update(results)
        if name != "fill" and any(_too_large(y) and y not in known for y in results):
            fits = False
    return Step(fits, operations, work, tuple([y in known for y in graph.outputs]))


def _is_own(node: Node) -> bool:
    """Whether XLA writes an operation itself, rather than to call a library or to make a scatter of it."""
    name, params = node.primitive.name, node.params
    if name == "pad":
        return not any(params["interior"])
    if name == "dot_general":
        x, y = [operand.type for operand in node.operands]
        contracted = len(params["contract"][0])
        one_is_vector = 1 in (x.ndim, y.ndim) and x.ndim + y.ndim <= 3 and contracted <= 1
        return one_is_vector and max(x.size, y.size, node.results[0].type.size) <= _MATRIX
    return not name.startswith(_REDUCING) or node.operands[-1].type.size <= _REDUCED


def _loop(node: Node, flags: list[bool]) -> Step:
    """A loop or a branch whose operands vary or not."""
    name, params = node.primitive.name, node.params
    if name == "scan":
        return _scan(params["body"], flags, params["constants"], params["carries"], params["length"] > 1)
    if name == "while_loop":
        steps = [_step(params["cond"], tuple(flags)), _step(params["body"], tuple(flags))]
        outputs = tuple([a and b for a, b in zip(flags[params["constants"] :], steps[1].outputs, strict=True)])
    elif name == "case":
        steps = [_step(branch, tuple(flags[1:])) for branch in params["branches"]]
        outputs = tuple([flags[0] and all(each) for each in zip(*[s.outputs for s in steps], strict=True)])
    else:
        return Step(False, 0, 0, (False,) * len(node.results))
    operations, work = sum(s.operations for s in steps), sum(s.work for s in steps)
    return Step(all(s.fits for s in steps), operations, work, outputs)


def _scan(body: Graph, flags: list[bool], constants: int, carries: int, repeated: bool) -> Step:
    """A scan. In repeated steps the number of the step varies, and so do the rows, and a carry that comes to vary: XLA
    takes no step apart from the others, unless there is one only."""
    fixed, carried = flags[:constants], flags[constants : constants + carries]
    rows = [repeated or flag for flag in flags[constants + carries :]]
    while True:
        step = _step(body, (repeated, *fixed, *carried, *rows))
        if not repeated or carried == (now := [a or b for a, b in zip(carried, step.outputs, strict=False)]):
            break
        carried = now
    written = [repeated or flag for flag in step.outputs[carries:]]
    return step._replace(outputs=(*[a and b for a, b in zip(carried, step.outputs, strict=False)], *written))


def as_kernel(
    e: Emitter,
    operands: Sequence[str],
    types: Sequence[TensorType],
    write: Callable[[list[str]], Sequence[str]],
) -> tuple[str, ...]:
    """What `write(names)` writes, from operands to results of the same types, as a function that is one kernel.

    It returns its arguments as well, which costs nothing: the emitter of kernels ends the process at an argument that
    nobody uses.
    """
    outer, e.lines, e.in_kernel = e.lines, [], True
    names = [e.fresh() for _ in types]
    both = [*types, *types]
    e.several("func.return", [*write(names), *names], both, (), "")
    body, e.lines, e.in_kernel = "\n".join(e.lines), outer, False
    name = f"loop_{len(e.functions)}"
    arguments = ", ".join(f"{x}: {tensor_type(t)}" for x, t in zip(names, types, strict=True))
    results = ", ".join(map(tensor_type, both))
    e.functions.append(f"func.func private @{name}({arguments}) -> ({results}) {{\n{body}\n}} loc(unknown)")
    marks = 'mhlo.frontend_attributes = {inlineable = "false", xla_cpu_small_call = "true"}'
    return e.several("func.call", operands, types, both, f"callee = @{name}, {marks}")[: len(types)]
