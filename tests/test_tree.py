"""Structures and leaves: round trips, paths, cycles, what is data and what is configuration."""

from __future__ import annotations

import dataclasses
import enum
import threading
import types
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from typing import Any

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import lilith
from lilith import tree
from lilith.source import ArgumentError, DtypeError

A, B = np.arange(3.0), np.ones((2, 2))
Point = namedtuple("Point", "x y")


@dataclasses.dataclass
class Layer:
    W: np.ndarray
    b: np.ndarray
    size: int = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    scale: float
    name: str


class Model:
    def __init__(self, *layers):
        self.layers = list(layers)
        self.activation = np.tanh

    def __call__(self, x):
        return x


class Slotted:
    __slots__ = ("__private", "never_set", "public")

    def __init__(self):
        self.public, self.__private = 1.0, 2.0

    def both(self):
        return self.public, self.__private


class Parameters(dict):
    def norm(self):
        return 0.0


class Grouped(defaultdict):
    pass


class Rows(list):
    pass


class Pair(tuple):
    pass


class Mode(enum.Enum):
    FAST = 1


class Initialised:
    def __init__(self, required):
        raise RuntimeError("unflatten must not run __init__")


def round_trip(x):
    leaves, structure = tree.flatten(x)
    again = tree.unflatten(structure, leaves)
    new_leaves, new_structure = tree.flatten(again)
    assert structure == new_structure and hash(structure) == hash(new_structure)
    assert len(leaves) == len(new_leaves) and all(a is b for a, b in zip(leaves, new_leaves, strict=True))
    assert type(again) is type(x)
    assert len(tree.paths(x, "m")) == len(leaves) and tree.paths(structure, "m") == tree.paths(x, "m")
    return again


def test_paths():
    model = Model(Layer(A, B), Layer(A, B))
    assert tree.paths(model, "m") == [
        *("m.layers[0].W", "m.layers[0].b", "m.layers[0].size"),
        *("m.layers[1].W", "m.layers[1].b", "m.layers[1].size"),
        "m.activation",
    ]
    assert tree.paths({"k": (1, Point(2, 3)), 4: [None]}, "d") == ["d['k'][0]", "d['k'][1].x", "d['k'][1].y", "d[4][0]"]
    assert tree.paths(A, "x") == ["x"]


@pytest.mark.parametrize(
    "x",
    [
        *({"b": A, "a": 1}, OrderedDict(b=A, a=None), defaultdict(list, {1: A}), [A, [B]], (A, ()), Point(A, {"z": B})),
        *(deque([1.0, A], maxlen=4), Counter("aab"), types.SimpleNamespace(w=A, n=2), Layer(A, B), Frozen(2.0, "f")),
        *(Model(Layer(A, B)), Slotted(), Rows([1.0, A]), Pair((A, 2.0)), A, 3, None, "text", Mode.FAST, np.tanh),
    ],
    ids=lambda x: type(x).__name__,
)
def test_round_trip(x):
    round_trip(x)


def test_contents_survive():
    assert round_trip(Slotted()).both() == (1.0, 2.0)
    assert round_trip(Frozen(2.0, "f")) == Frozen(2.0, "f")
    assert list(round_trip({"b": 1, "a": 2})) == ["b", "a"]
    p = Parameters(w=A)
    p.note = "kept"
    assert round_trip(p).note == "kept" and round_trip(p).norm() == 0.0
    g = Grouped(list, {1: A})
    assert round_trip(g).default_factory is list and round_trip(g)[2] == []
    assert round_trip(deque([1], maxlen=4)).maxlen == 4


def test_init_is_not_run():
    x = object.__new__(Initialised)
    x.w = A
    assert round_trip(x).w is A


def test_order_of_keys_and_static_parts_are_structure():
    assert tree.flatten({"a": 1, "b": 2})[1] != tree.flatten({"b": 2, "a": 1})[1]
    assert tree.flatten(Model())[1] != tree.flatten(types.SimpleNamespace(layers=[], activation=np.tanh))[1]
    assert tree.flatten([1.0])[1] != tree.flatten((1.0,))[1]


def test_leaves_are_not_entered():
    leaves = [np.sum, np.float64, Model, len, Mode.FAST, np.random.default_rng(0), threading.Lock(), range(3), 2 + 1j]
    leaves += [None, "s", b"b", np.dtype("f8"), types, lambda: 0, Model().__call__, {1, 2}, slice(1), ...]
    assert tree.flatten(leaves)[0] == leaves


def test_callable_objects_are_entered():
    assert any(leaf is A for leaf in tree.flatten(Model(Layer(A, B)))[0])


def test_sentinels_keep_their_identity():
    class Missing:
        def __repr__(self):
            return "MISSING"

    missing = Missing()
    leaves, structure = tree.flatten([missing, 1.0])
    assert tree.unflatten(structure, leaves)[0] is missing
    assert structure != tree.flatten([Missing(), 1.0])[1]


def test_shared_arrays_are_separate_leaves():
    assert len(tree.flatten({"a": A, "b": A})[0]) == 2


def test_cycles_are_refused_with_their_path():
    child = Model()
    parent = Model(child)
    child.parent = parent
    with pytest.raises(ArgumentError, match=r"x\.layers\[0\]\.parent is x again"):
        tree.flatten(parent)
    loop: list = [1.0]
    loop.append({"again": loop})
    with pytest.raises(ArgumentError, match=r"x\[0\]\[1\]\['again'\] is x\[0\] again"):
        tree.flatten([loop])


def test_deep_nesting():
    x: object = A
    for i in range(5000):
        x = [x, 1.0] if i % 3 else Point({"k": x}, types.SimpleNamespace(v=2.0))
    leaves, structure = tree.flatten(x)
    assert any(leaf is A for leaf in leaves)
    again = tree.unflatten(structure, leaves)
    again_leaves, again_structure = tree.flatten(again)
    assert again_structure == structure and hash(again_structure) == hash(structure)
    assert all(a is b for a, b in zip(leaves, again_leaves, strict=True))
    paths = tree.paths(structure, "m")
    assert len(paths) == len(leaves) and paths[-1] == "m[1]" and paths[0].startswith("m[0].x['k'][0]")
    while isinstance(x, list):
        x = x[0]


def test_jax_registry_is_untouched():
    jax = pytest.importorskip("jax")
    m = Model(Layer(A, B))
    tree.flatten(m)
    assert jax.tree.leaves(m) == [m]


def test_classes_in_threads():
    classes = [type(f"Local{i}", (), {"f": lambda self: 0}) for i in range(20)]
    errors = []

    def work():
        try:
            for cls in classes:
                x = cls()
                x.w = A
                round_trip([x])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors


def test_what_is_dynamic():
    jnp = pytest.importorskip("jax.numpy")
    dynamic = [1.0, 1j, np.float32(1), np.int64(1), np.bool_(True), np.complex64(1), A, np.arange(3), np.array(True)]
    dynamic += [
        ml_dtypes.bfloat16(1),
        np.zeros(2, ml_dtypes.bfloat16),
        np.zeros(2, ">f8"),
        jnp.ones(2),
        np.ones((0, 3)),
    ]
    static = [1, True, "s", None, b"b", len, np.sum, Mode.FAST, np.float64, np.str_("s"), range(3), jnp.ones, ...]
    assert [tree.is_dynamic(x) for x in dynamic] == [True] * len(dynamic)
    assert [tree.is_dynamic(x) for x in static] == [False] * len(static)
    for bad in (np.array(["a"]), np.array([None]), np.array(["2020-01-01"], "M8[D]"), np.zeros(2, np.longdouble)):
        with pytest.raises(DtypeError, match="cannot be traced"):
            tree.is_dynamic(bad)


def test_static_keys():
    values = [1, True, 1.0, np.int64(1), np.float64(1), "1", b"1", None, 0.0, -0.0, (1,), (True,), {1}, frozenset({1})]
    values += [slice(1), slice(2), range(3), Mode.FAST, np.dtype("f4"), len, bytearray(b"1"), np.datetime64("2020")]
    keys = [tree.static_key(v) for v in values]
    assert len(set(keys)) == len(values)
    assert keys == [tree.static_key(v) for v in values]
    assert tree.static_key(float("nan")) == tree.static_key(float("nan"))
    unhashable = types.MappingProxyType({})
    assert tree.static_key(unhashable) == tree.static_key(unhashable) != tree.static_key(types.MappingProxyType({}))


def fake(module, name, **members):
    return type(name, (), {"__module__": module, "__array__": lambda self: np.ones(2), **members})()


def test_foreign_arrays():
    tensor = fake("torch", "Tensor", device="cpu", detach=lambda self: self, numpy=lambda self: A)
    assert tree.convert_foreign(tensor, "x") is A
    gpu = fake("torch", "Tensor", device="cuda:0", detach=lambda self: self, numpy=lambda self: A)
    with pytest.raises(ArgumentError, match=r"(?s)x is a torch tensor on cuda:0.*x.detach\(\).cpu\(\)"):
        tree.convert_foreign(gpu, "x")
    assert tree.convert_foreign(fake("pandas.core.series", "Series", to_numpy=lambda self: A), "x") is A
    with pytest.raises(DtypeError, match="not all numbers"):
        tree.convert_foreign(fake("pandas", "DataFrame", to_numpy=lambda self: np.array(["a"])), "x")
    with pytest.raises(ArgumentError, match=r"xarray.DataArray(?s:.*)np.asarray\(x\)"):
        tree.convert_foreign(fake("xarray", "DataArray"), "x")
    with pytest.raises(ArgumentError, match="mask"):
        tree.check_leaf(np.ma.masked_array([1.0], [True]), "x")
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(ArgumentError, match="toarray"):
        tree.check_leaf(sparse.csr_matrix(np.eye(2)), "x")
    with pytest.raises(ArgumentError, match=r"torch.Tensor(?s:.*)x.detach\(\).numpy\(\)"):
        tree.check_leaf(tensor, "x")
    for fine in (1.0, A, np.float32(1), None, "s", Mode.FAST, np.sum, np.float64):
        tree.check_leaf(fine, "x")
        assert tree.convert_foreign(fine, "x") is fine
    assert tree.flatten(tensor)[0] == [tensor]


# ---- tied arrays ---------------------------------------------------------------------------------------------------


def _tied_loss(m: dict) -> Any:
    return np.sum(m["in"] * 3.0) + np.sum(m["out"] ** 2)


def _as_numpy(w: np.ndarray) -> Any:
    return w


@pytest.mark.parametrize("array", [_as_numpy, jnp.asarray], ids=["NumPy", "JAX"])
def test_an_array_in_two_places_has_one_summed_gradient_under_both_paths(array: Any) -> None:
    w = array(np.array([1.0, 2.0], np.float32))
    for _ in range(4):  # traced, looked up, by warm paths
        g = lilith.grad(_tied_loss, {"in": w, "out": w, "name": "tied"})[1]
        assert list(g.paths()) == ["m['in']", "m['out']", "m['name']"]
        np.testing.assert_allclose(g["m['in']"], [5.0, 7.0])
        np.testing.assert_allclose(g["m['out']"], [5.0, 7.0])
        apart = lilith.grad(_tied_loss, {"in": w, "out": array(np.array(w)), "name": "tied"})[1][0]
        np.testing.assert_allclose(apart["in"], [3.0, 3.0])
        np.testing.assert_allclose(apart["out"], [2.0, 4.0])
    _, pullback = lilith.vjp(_tied_loss, {"in": w, "out": w})
    np.testing.assert_allclose(pullback(np.float32(1.0))[0]["out"], [5.0, 7.0])


def test_ties_seen_inside_of_a_traced_function_and_not_between_arguments() -> None:
    w = np.array([1.0, 2.0])
    inner = lilith.jit(lambda w: lilith.grad(_tied_loss, {"in": w, "out": w})[1][0])(w)
    np.testing.assert_allclose(inner["in"], [5.0, 7.0])
    _, g = lilith.grad(lambda a, b: np.sum(a * 3.0) + np.sum(b**2), w, w)
    np.testing.assert_allclose(g[0], [3.0, 3.0])
    np.testing.assert_allclose(g[1], [2.0, 4.0])


def _thrice(m: dict) -> Any:
    return np.sum(m["a"][0] * m["b"]["c"] * m["e"])


def test_a_tied_structure_in_three_places_and_none_that_is_unused() -> None:
    w, u = np.array([1.0, 2.0]), np.ones(2)
    m = {"a": [w, u], "b": {"c": w, "d": u}, "e": w}
    for _ in range(3):
        _, g = lilith.grad(_thrice, m)
        for path in ("m['a'][0]", "m['b']['c']", "m['e']"):
            np.testing.assert_allclose(g[path], 3 * w**2)
            assert not g.is_structural_zero(path)
        assert g.is_structural_zero("m['a'][1]") and g.is_structural_zero("m['b']['d']")
    assert "m['e']: f64[2] ndarray, the same as m['a'][0]" in lilith.explain_cache(_thrice)


def test_parts_of_a_gradient_by_their_paths() -> None:
    model = Model(Layer(np.ones(2), np.ones(2)), Layer(np.ones(2), np.ones(2)))
    model.more = {"a.b": {"c": np.ones(2)}, "a": 1.5}
    _, g = lilith.grad(lambda m: np.sum(m.layers[1].W * m.more["a.b"]["c"]) * m.more["a"], model)
    assert g["m.layers[1]"] is g[0].layers[1] and g["m.layers"] is g[0].layers
    assert g["m.more['a.b']"] is g[0].more["a.b"] and g["m.more['a.b']['c']"] is g[0].more["a.b"]["c"]
    assert g.is_structural_zero("m.layers[0]") and not g.is_structural_zero("m.layers[1]")
    assert not any(wrong in g for wrong in ("m.layers[2]", "m.lay", "m.layers[1", "m.", "m.layers[1].W.x", ""))
