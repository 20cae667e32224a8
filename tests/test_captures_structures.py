"""Captured structures, objects and classes; and captured values that are no inputs."""

from __future__ import annotations

import collections
import contextvars
import dataclasses
import enum
import functools
import gc
import random
import types
import weakref

import numpy as np
import pytest

from lilith.captures import scan, substitute
from tests.following import follows, replaced

X = np.array([1.0, 2.0, 3.0])
W = np.array([1.0, 10.0, 100.0])
SCALE = 2.0


def weigh(x):
    return x * W


# ---- structures -----------------------------------------------------------------------------------------------------

Point = collections.namedtuple("Point", "x y")


@dataclasses.dataclass(frozen=True, slots=True)
class Layer:
    W: np.ndarray
    size: int = 3


class Model:
    def __init__(self, w):
        self.w = w
        self.layers = [Layer(w), Layer(2 * w)]
        self.options = {"power": 2, "weights": (w, Point(w, {"deep": [w]}))}
        self.history = []

    def loss(self, x):
        self.history.append(1)
        y = (x * self.w) ** self.options["power"]
        return np.sum(y * self.layers[1].W) * self.layers[1].size / 3 + np.sum(self.options["weights"][1].y["deep"][0])

    def __call__(self, x):
        return self.loss(x)

    def scaled(self, x):
        return x * SCALE

    @property
    def double(self):
        return 2 * self.w


ACCESS = [lambda m: m.loss, lambda m: m, lambda m: functools.partial(Model.loss, m), lambda m: lambda x: m.loss(x)]


@pytest.mark.parametrize("get", ACCESS)
def test_objects(get):
    m = Model(np.ones(3))
    change = lambda leaf, action: follows(lambda: get(m), action, leaf=leaf)  # noqa: E731
    change(True, lambda: setattr(m, "w", W))
    change(True, lambda: m.layers.__setitem__(1, Layer(X)))
    change(False, lambda: m.layers.__setitem__(1, Layer(X, 4)))
    change(True, lambda: m.options["weights"][1].y["deep"].__setitem__(0, W))
    change(False, lambda: m.options["weights"][1].y["deep"].append(W))
    change(False, lambda: m.options.update(power=3))
    change(False, lambda: m.options.update(extra=1.0))
    change(False, lambda: m.layers.pop(0) and m.layers.insert(0, None))
    change(False, lambda: setattr(m, "w", 3))


@pytest.mark.parametrize("get", ACCESS)
def test_objects_replaced(get):
    m = Model(np.ones(3))
    f = get(m)
    captures = scan(f)
    zeros = substitute(f, captures, [np.zeros(3) for _ in captures.leaves])
    assert zeros(X) == 0.0 and f(X) == 31.0
    assert m.w[0] == 1.0 and m.layers[0].W is m.w and type(zeros(X)) is np.float64


def test_names_of_attributes():
    m = Model(np.ones(3))
    assert {"self.w", "self.layers[0].W"} <= set(scan(m.loss).names)
    names = set(scan(lambda x: m.loss(x)).names)
    assert {"m.w", "m.layers[1].W", "m.options['weights'][1].y['deep'][0]"} <= names


def test_attributes_that_are_only_written_to():
    m = Model(np.ones(3))
    plan = scan(m.loss).plan
    m.history += [1, 2, 3]
    m.unrelated = 3
    assert plan.read(m.loss) is not None


def test_lists_and_counters_that_are_only_written_to():
    log, calls, counts, total = [], [0], {"n": 0}, 0

    def f(x):
        nonlocal total
        log.append(x)
        calls[0] += 1
        counts["n"] += 1
        total += 1
        return x

    captures = scan(f)
    f(1.0)
    assert captures.plan.read(f) == [] and scan(f).key == captures.key and captures.leaves == []
    g = lambda x: (log.append(x), len(log))[1]  # noqa: E731
    follows(lambda: g, lambda: log.append(1), leaf=False)


def test_new_attributes_and_shadowed_methods():
    m = Shifted()
    follows(lambda: m.biased, lambda: setattr(m, "bias", 2.0), leaf=False)
    follows(lambda: m.biased, lambda: setattr(m, "bias", 3.0))
    follows(lambda: m.biased, lambda: setattr(m, "scaled", lambda x: x), leaf=False)


def test_class_attributes_and_globals_of_methods(monkeypatch):
    m = Shifted()
    f = lambda x: m.biased(x)  # noqa: E731
    assert scan(f).leaves == []
    follows(lambda: f, lambda: monkeypatch.setattr(Shifted, "bias", 2.0), leaf=False)
    follows(lambda: f, lambda: monkeypatch.setattr(Shifted, "table", np.zeros(2)), leaf=False)
    follows(lambda: f, lambda: Shifted.table.fill(9.0), leaf=False)
    follows(lambda: f, lambda: monkeypatch.setitem(globals(), "SCALE", 7.0), leaf=False)
    follows(lambda: f, lambda: monkeypatch.setattr(Shifted, "scaled", lambda self, x: x), leaf=False)
    g = lambda x: Shifted.fixed(x) + m.fixed(x)  # noqa: E731
    follows(lambda: g, lambda: monkeypatch.setitem(globals(), "W", np.zeros(3)), leaf=False)
    m = Model(np.ones(3))
    h = lambda x: m.double * x  # noqa: E731
    assert "m.w" in scan(h).names and replaced(h, w=X)(1.0)[2] == 6.0


def test_globals_of_the_method_itself_are_inputs():
    m = Shifted()
    assert scan(m.scaled).names == ["SCALE"] and replaced(m.scaled, SCALE=5.0)(1.0) == 5.0


class Shifted:
    bias = 1.0
    table = np.ones(2)

    def biased(self, x):
        return self.scaled(x) + self.bias

    def scaled(self, x):
        return x * SCALE * self.table[0]

    @staticmethod
    def fixed(x):
        return x * W


class Base:
    def energy(self, x):
        return x * W


class Derived(Base):
    def energy(self, x):
        return super().energy(x) * self.c


def test_inherited_methods(monkeypatch):
    d = Derived()
    d.c = 2.0
    assert scan(d.energy).names == ["self.c"] and replaced(d.energy, c=1.0)(1.0)[2] == 100.0
    follows(lambda: d.energy, lambda: monkeypatch.setitem(globals(), "W", np.zeros(3)), leaf=False)


@dataclasses.dataclass
class Setting:
    name: str
    level: int = 0


def test_objects_that_are_compared():
    setting, other = Setting("a"), Setting("a")
    f = lambda x: x if setting == other else -x  # noqa: E731
    follows(lambda: f, lambda: setattr(other, "level", 1), leaf=False)


def test_frozen_dataclasses_are_read_by_name():
    m = Layer(np.ones(3))
    f = lambda x: m.W * x  # noqa: E731
    assert scan(f).names == ["m.W"] and not scan(f).whole
    m = Layer(np.zeros(3), 5)
    assert scan(f).key == scan(f, whole=False).key and scan(f).plan.read(f)[0] is m.W


def test_reflective_code_reads_everything():
    m = Model(np.ones(3))
    f = lambda x, name="w": x * getattr(m, name)  # noqa: E731
    assert "m.w" in scan(f).names
    f = lambda x: x * vars(m)["w"]  # noqa: E731
    assert "m.w" in scan(f).names


def test_constructed_in_the_function(monkeypatch):
    f = lambda x: Derived.energy(Derived(), x)  # noqa: E731
    follows(lambda: f, lambda: monkeypatch.setitem(globals(), "W", np.zeros(3)), leaf=False)


def test_types_of_containers_and_elements():
    box = [[1.0, 2], {"a": X}]
    f = lambda x: box  # noqa: E731
    follows(lambda: f, lambda: box[0].__setitem__(0, 5.0))
    follows(lambda: f, lambda: box[0].__setitem__(1, 3), leaf=False)
    follows(lambda: f, lambda: box[0].__setitem__(0, 5), leaf=False)
    follows(lambda: f, lambda: box.__setitem__(0, (5, 3)), leaf=False)
    follows(lambda: f, lambda: box[1].__setitem__("b", 1), leaf=False)
    follows(lambda: f, lambda: box.__setitem__(1, collections.OrderedDict(box[1])), leaf=False)
    follows(lambda: f, lambda: box.append(None), leaf=False)


def test_every_container_is_copied():
    class Parameters(dict):
        pass

    class Pair(tuple):
        pass

    named = Parameters(w=X)
    named.note = W
    box = [collections.deque([X], 3), collections.defaultdict(list, {1: X}), collections.OrderedDict(a=X), named]
    box += [Pair((X,)), Point(X, None), types.SimpleNamespace(v=X), {"t": ({"u": X},)}, X]
    f = lambda: box  # noqa: E731
    assert not scan(f).whole  # nothing names the attributes `v` and `note`
    captures = scan(f, whole=True)
    new = substitute(f, captures, [np.zeros(3) for _ in captures.leaves])()
    assert captures.whole and new[3].note.sum() == 0.0
    assert [type(a) for a in new] == [type(a) for a in box]
    found = [new[0][0], new[1][1], new[2]["a"], new[3]["w"], new[4][0], new[5].x, new[6].v, new[7]["t"][0]["u"], new[8]]
    assert all(v.sum() == 0.0 for v in found)
    assert new[1].default_factory is list and new[0].maxlen == 3
    assert box[0][0] is X and box[3]["w"] is X and box[4][0] is X and box[7]["t"][0]["u"] is X


def test_tables_of_numbers_are_content():
    table = [[float(i), i] for i in range(40)]
    f = lambda x: x * np.array(table)  # noqa: E731
    assert scan(f).leaves == []
    follows(lambda: f, lambda: table[3].__setitem__(0, 7.5), leaf=False)


def test_cycles_and_shared_objects():
    m, child = Model(np.ones(3)), Model(np.zeros(3))
    m.child, child.parent = child, m
    loop = [m]
    loop.append(loop)

    def f(x):
        return loop[1][1][0].child.parent.w * x + child.w

    assert set(scan(f).names) >= {"loop[0].w", "child.w"}
    captures = scan(f)
    new = [X if name == "loop[0].w" else leaf for name, leaf in zip(captures.names, captures.leaves, strict=True)]
    np.testing.assert_array_equal(substitute(f, captures, new)(1.0), X)
    assert captures.plan.read(f) is not None


def test_bound_methods_and_functions_in_structures():
    m = Model(np.ones(3))
    m.me = m.scaled
    steps = {"first": (m.loss, [weigh]), "second": m.me}

    def f(x):
        return steps["first"][0](x) + np.sum(steps["first"][1][0](x)) + np.sum(steps["second"](x))

    captures = scan(f)
    zeros = substitute(f, captures, [np.zeros_like(v) for v in captures.leaves])
    assert zeros(X) == 0.0 and f(X) == 31.0 + 321.0 + 12.0


def test_deep_structures():
    x: object = X
    for _ in range(3000):
        x = [x]
    y: object = X
    for _ in range(3000):
        y = (y, weigh)

    def f():
        return x, y

    new_x, new_y = substitute(f, scan(f), [W] * len(scan(f).leaves))()
    for _ in range(3000):
        new_x, new_y = new_x[0], new_y[0]
    assert new_x is W and new_y is W
    assert len(scan(f).plan.read(f)) == len(scan(f).leaves)


# ---- what is no input -----------------------------------------------------------------------------------------------


class Mode(enum.Enum):
    FAST = 1
    SLOW = 2


def test_static_values():
    def holder(value):
        return lambda x: (x, value)

    values = [
        1,
        True,
        "a",
        b"a",
        None,
        Mode.FAST,
        Mode.SLOW,
        (1, 2),
        (1, True),
        np.float64,
        np.sum,
        len,
        np.dtype("f4"),
    ]
    values += [
        range(3),
        {1, 2},
        frozenset({1}),
        slice(2),
        bytearray(b"a"),
        np.str_("a"),
        Model,
        types.MappingProxyType({}),
    ]
    keys = [scan(holder(v)).key for v in values]
    assert len(set(keys)) == len(values)
    for value in values:
        captures = scan(holder(value))
        assert captures.leaves == [] and not captures.opaque, value
        assert [captures.plan.read(holder(v)) is not None for v in values] == [v is value for v in values]


def test_sets_and_buffers_change_in_place():
    allowed, buffer = {1, 2}, bytearray(b"abc")
    f = lambda x: x if 3 in allowed else buffer[0]  # noqa: E731
    follows(lambda: f, lambda: allowed.add(3), leaf=False)
    follows(lambda: f, lambda: buffer.__setitem__(0, 0), leaf=False)


def test_objects_of_libraries_by_content():
    sparse = pytest.importorskip("scipy.sparse")
    matrix = sparse.csr_matrix(np.eye(3))
    f = lambda x: matrix @ x  # noqa: E731
    assert scan(f).leaves == [] and not scan(f).opaque
    follows(lambda: f, lambda: matrix.data.fill(2.0), leaf=False)


def test_what_cannot_be_explained():
    source, reader, variable = iter([1, 2]), open(__file__), contextvars.ContextVar("v")
    with reader:
        assert scan(lambda x: next(source)).opaque == ["source"]
        assert scan(lambda x: reader.read()).opaque == ["reader"]
        assert scan(lambda x: variable.get()).opaque == ["variable"]
        assert scan(lambda x: (y for y in range(3))).opaque == []
        assert scan(lambda x: globals()["W"]).opaque != []
        assert scan(lambda x: [source]).opaque == ["source"]


def test_generators_of_random_numbers():
    rng, state, python = np.random.default_rng(0), np.random.RandomState(0), random.Random(0)
    m = types.SimpleNamespace(rng=rng)
    draw = rng.normal
    f = lambda x: x + m.rng.normal() + state.rand() + python.random() + draw()  # noqa: E731
    captures = scan(f)
    assert {id(g) for g in captures.generators} == {id(rng), id(state), id(python)} and not captures.opaque
    assert captures.plan.read(f) == []
    m.rng = np.random.default_rng(1)
    assert captures.plan.read(f) is None


def test_jax_arrays():
    jnp = pytest.importorskip("jax.numpy")
    a = jnp.ones(3)
    f = lambda x: a * x  # noqa: E731
    assert scan(f).names == ["a"] and scan(f).leaves[0] is a
    holder = type("Holder", (), {"a": a, "__module__": __name__})
    g = lambda x: holder.a * x  # noqa: E731
    follows(lambda: g, lambda: setattr(holder, "a", jnp.zeros(3)), leaf=False)


def test_pinned_inputs_are_content():
    index, c = np.array([0, 2]), 4.0
    f = lambda x: np.sum(x[index]) * c + c * SCALE  # noqa: E731
    assert sorted(scan(f).names) == ["SCALE", "c", "index"]
    captures = scan(f, pinned={"index", "c"})
    assert captures.names == ["SCALE"] and captures.plan.read(f) == [SCALE]
    assert substitute(f, captures, [0.0])(X) == 16.0
    index[1] = 1
    assert captures.plan.read(f) is None and scan(f, pinned={"index", "c"}).key != captures.key
    captures = scan(f, pinned={"index", "c"})
    c = 5.0
    assert captures.plan.read(f) is None


def test_objects_with_code_of_their_own():
    class Odd:
        def __getattr__(self, name):
            raise RuntimeError(name)

        def __call__(self):
            return 1

        def __eq__(self, other):
            raise RuntimeError("compared")

        def __hash__(self):
            raise RuntimeError("hashed")

    odd = Odd()
    f = lambda x: x + odd()  # noqa: E731
    assert scan(f).key == scan(f).key and scan(f).plan.read(f) == []


def test_subclasses_of_arrays_are_content():
    masked = np.ma.masked_array([1.0, 2.0], [True, False])
    f = lambda x: x * masked  # noqa: E731
    assert scan(f).leaves == []
    follows(lambda: f, lambda: masked.mask.__setitem__(0, False), leaf=False)


def test_plans_keep_nothing_of_the_user_alive():
    m = Model(np.ones(3))
    dead = weakref.ref(m), weakref.ref(m.w)
    captures = scan(m.loss)
    plan, key = captures.plan, captures.key
    assert plan.read(m.loss) is not None
    del m, captures
    gc.collect()
    assert [d() for d in dead] == [None, None] and plan is not None and key is not None
