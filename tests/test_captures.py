"""What a function reads besides its arguments: found, read again, replaced. Tracers are stood in for by other arrays."""

from __future__ import annotations

import collections
import contextvars
import dataclasses
import enum
import functools
import gc
import random
import sys
import threading
import types
import weakref

import numpy as np
import pytest

from lilith.captures import scan, substitute

X = np.array([1.0, 2.0, 3.0])
W = np.array([1.0, 10.0, 100.0])
SCALE = 2.0
COUNT = 3


def replaced(f, **new):
    """f with some captured inputs, given by the last part of their names, replaced."""
    captures = scan(f)
    found = {name.rpartition(".")[2]: i for i, name in enumerate(captures.names)}
    assert set(new) <= set(found), captures.names
    leaves = list(captures.leaves)
    for name, value in new.items():
        leaves[found[name]] = value
    return substitute(f, captures, leaves)


def same_key(f, g):
    return scan(f).key == scan(g).key


def follows(get, change, *, leaf=True):
    """After a change the function's inputs are those of a fresh scan; the key is the same if the change is to a leaf."""
    f = get()
    before = scan(f)
    assert all(a is b for a, b in zip(before.plan.read(f), before.leaves, strict=True))
    change()
    f = get()
    after = scan(f)
    read = before.plan.read(f)
    if leaf:
        assert after.key == before.key
        assert read is not None and all(a is b for a, b in zip(read, after.leaves, strict=True))
    else:
        assert read is None and after.key != before.key
    assert after.plan.read(f) is not None
    return after


# ---- globals -------------------------------------------------------------------------------------------------------


def uses_globals(x):
    return np.sum(x * W) * SCALE + COUNT


def test_globals(monkeypatch):
    captures = scan(uses_globals)
    assert captures.names == ["W", "SCALE"] and captures.leaves[0] is W and not captures.opaque
    assert replaced(uses_globals, W=np.ones(3), SCALE=10.0)(X) == 63.0
    assert uses_globals(X) == 645.0 and W[2] == 100.0
    follows(lambda: uses_globals, lambda: monkeypatch.setitem(globals(), "W", np.zeros(3)))
    follows(lambda: uses_globals, lambda: monkeypatch.setitem(globals(), "SCALE", 5.0))
    follows(lambda: uses_globals, lambda: monkeypatch.setitem(globals(), "COUNT", 4), leaf=False)
    follows(lambda: uses_globals, lambda: monkeypatch.setitem(globals(), "COUNT", True), leaf=False)
    follows(lambda: uses_globals, lambda: monkeypatch.setitem(globals(), "SCALE", 5), leaf=False)
    follows(lambda: uses_globals, lambda: monkeypatch.setitem(globals(), "SCALE", 5.0), leaf=False)
    follows(lambda: uses_globals, lambda: monkeypatch.setitem(globals(), "np", types), leaf=False)


def test_in_place_changes_are_seen():
    data = np.ones(3)
    f = lambda x: x + data  # noqa: E731
    captures = scan(f)
    data[:] = 7.0
    assert captures.plan.read(f)[0] is data


def test_dtypes_that_cannot_be_traced_are_content():
    labels = np.array(["a", "b"])
    f = lambda x: x if labels[0] == "a" else -x  # noqa: E731
    captures = scan(f)
    assert captures.leaves == [] and captures.plan.read(f) == []
    labels[0] = "c"
    assert captures.plan.read(f) is None and scan(f).key != captures.key
    data = np.ones(2)
    g = lambda x: x * data  # noqa: E731
    plan = scan(g).plan
    data = np.array(["a", "b"])
    assert plan.read(g) is None


def test_what_is_derived_from_a_capture():
    data = np.array([1.0, 2.0, 6.0])

    def f(x):
        standard = (data - data.mean()) / data.std()
        return standard * x

    new = np.array([0.0, 1.0, 0.5])
    np.testing.assert_allclose(replaced(f, data=new)(1.0), (new - new.mean()) / new.std())
    np.testing.assert_array_equal(data, [1.0, 2.0, 6.0])


def test_missing_globals_and_shadowed_builtins(monkeypatch):
    f = lambda x: len(x) + not_there  # noqa: E731, F821
    assert scan(f).plan.read(f) == []
    follows(lambda: f, lambda: monkeypatch.setitem(globals(), "not_there", 1), leaf=False)
    follows(lambda: f, lambda: monkeypatch.setitem(globals(), "len", lambda x: 0), leaf=False)
    follows(lambda: f, lambda: monkeypatch.delitem(globals(), "len"), leaf=False)


def test_names_that_shadow():
    def f(x, W=2.0):
        SCALE = 5.0
        return x * W * SCALE

    assert scan(f).names == ["W"] and scan(f).leaves == [2.0]
    assert (lambda x: [W for W in x])([1]) == [1]
    assert scan(lambda x: [W for W in x]).leaves == []


def test_nested_code_reads_globals():
    def f(x):
        def inner(y):
            return y * W

        return sum([SCALE * inner(y) for y in x]) + (lambda: np.sum(np.array([W[0] for _ in range(2)])))()

    assert sorted(scan(f).names) == ["SCALE", "W"]
    np.testing.assert_array_equal(replaced(f, W=np.zeros(3), SCALE=1.0)([1.0]), np.zeros(3))


# ---- closures, defaults, partials --------------------------------------------------------------------------------------


def make(w, n=2, c=1.0):
    return lambda x: w * x**n + c


def test_fresh_functions_of_the_same_code():
    f = make(np.ones(3))
    captures = scan(f)
    assert captures.names == ["c", "w"]
    for i in range(3):
        w = np.full(3, float(i))
        fresh = make(w, c=float(i))
        read = captures.plan.read(fresh)
        assert read[0] == i and read[1] is w
        assert scan(fresh).key == captures.key
    assert captures.plan.read(make(np.ones(3), 3)) is None
    assert captures.plan.read(make(np.ones(3), True)) is None
    assert captures.plan.read(make(3)) is None and captures.plan.read(lambda x: x) is None
    assert captures.plan.read(10**20) is None and captures.plan.read(np.sum) is None


def test_large_static_ints_are_equal_by_value():
    captures = scan(make(1.0, int("123456789123")))
    assert captures.plan.read(make(1.0, int("123456789123"))) is not None


def test_defaults():
    def f(x, w=X, *, c=2.0, n=3):
        return np.sum(w * x) * c**n

    assert scan(f).names == ["w", "c"]
    assert replaced(f, w=np.ones(3), c=1.0)(X) == 6.0 and f(X) == 112.0
    assert replaced(f, c=1.0)(X, np.ones(3), n=1) == 6.0
    plan = scan(f).plan
    f.__defaults__ = (W,)
    assert plan.read(f)[0] is W
    f.__kwdefaults__["n"] = 4
    assert plan.read(f) is None


def test_empty_cells():
    def outer(define):
        def f(x):
            return x if late is None else late * x

        if define:
            late = 2.0
        return f

    empty, full = outer(False), outer(True)
    assert scan(empty).leaves == [] and scan(full).leaves == [2.0]
    assert scan(empty).plan.read(empty) == [] and scan(empty).plan.read(full) is None
    assert scan(full).plan.read(empty) is None and not same_key(empty, full)


def test_partial():
    def f(w, x, c=1.0, n=1):
        return np.sum(w * x) * c**n

    p = functools.partial(f, X, c=3.0)
    assert scan(p).names == ["c", "w", "c"]  # the default, then the partial's own
    assert replaced(p, w=np.ones(3), c=1.0)(X) == 6.0
    read = scan(p).plan.read(functools.partial(f, W, c=4.0))
    assert read[1] is W and read[2] == 4.0
    assert scan(p).plan.read(functools.partial(f, X, c=3.0, n=2)) is None
    assert scan(functools.partial(f, X, n=2)).plan.read(functools.partial(f, X, n=3)) is None


def test_shared_cells_stay_shared():
    def outer():
        total = 0.0
        w = np.ones(3)

        def add(x):
            nonlocal total
            total = total + np.sum(x * w)

        def f(x):
            add(x)
            add(x)
            return total

        return f

    f = outer()
    assert replaced(f, w=W)(X) == 642.0
    assert scan(f).leaves[scan(f).names.index("total")] == 0.0
    assert scan(f).plan.read(outer()) is not None


def test_cells_that_were_shared_and_are_not():
    def pair(w):
        def helper(x):
            return x * w

        return helper

    def outer(w, helper=None):
        def own(x):
            return x * w

        chosen = helper or own
        return lambda x: chosen(x) + w

    f = outer(X)
    assert len(scan(f).leaves) == 1
    other = outer(X)
    cells = dict(zip(other.__code__.co_freevars, other.__closure__, strict=True))
    cells["chosen"].cell_contents = types.FunctionType(
        outer(W).__closure__[0].cell_contents.__code__, globals(), closure=(types.CellType(W),)
    )
    assert scan(f).plan.read(other) is None and len(scan(other).leaves) == 2
    assert pair(X)(1.0)[0] == 1.0


# ---- helper functions --------------------------------------------------------------------------------------------------


def weigh(x):
    return x * W


def deeper(x):
    return weigh(x) * SCALE


def calls_helpers(x):
    return np.sum(deeper(x))


def test_helpers_of_helpers(monkeypatch):
    assert scan(calls_helpers).names == ["W", "SCALE"]
    assert replaced(calls_helpers, W=np.ones(3), SCALE=1.0)(X) == 6.0
    assert calls_helpers(X) == 642.0
    follows(lambda: calls_helpers, lambda: monkeypatch.setitem(globals(), "W", np.zeros(3)))
    follows(lambda: calls_helpers, lambda: monkeypatch.setitem(globals(), "weigh", lambda x: x * 3), leaf=False)
    follows(lambda: calls_helpers, lambda: monkeypatch.setitem(globals(), "weigh", make(X)), leaf=False)
    follows(lambda: calls_helpers, lambda: monkeypatch.setitem(globals(), "weigh", make(W)))


def test_helpers_do_not_change():
    """The copies of functions, cells and globals are new; the originals still see each other."""
    before = (weigh, deeper, dict(globals()))
    replaced(calls_helpers, W=np.ones(3))(X)
    assert (weigh, deeper, dict(globals())) == before


def test_helper_in_another_module(monkeypatch):
    other = types.ModuleType("some_other_module")
    code = "import numpy as np\nW = np.ones(3)\nOFFSET = 1.0\ndef shift(x):\n    return x * W + OFFSET\n"
    exec(code, other.__dict__)
    monkeypatch.setitem(sys.modules, "some_other_module", other)
    shift = other.shift
    through_function = lambda x: np.sum(shift(x) * SCALE)  # noqa: E731
    through_module = lambda x: np.sum(other.shift(x) + other.W)  # noqa: E731
    assert sorted(scan(through_function).names) == ["SCALE", "some_other_module.OFFSET", "some_other_module.W"]
    assert replaced(through_function, W=X, OFFSET=0.0)(X) == 28.0
    captures = scan(through_module)
    assert len(captures.leaves) == 3
    assert substitute(through_module, captures, [np.zeros_like(v) for v in captures.leaves])(X) == 0.0
    follows(lambda: through_module, lambda: setattr(other, "W", np.zeros(3)))
    follows(lambda: through_module, lambda: setattr(other, "shift", lambda x: x), leaf=False)
    assert through_module(X) == 6.0


def test_import_inside_of_the_function(monkeypatch):
    other = types.ModuleType("imported_inside")
    other.W = np.ones(3)
    monkeypatch.setitem(sys.modules, "imported_inside", other)

    def f(x):
        from imported_inside import W

        return x * W

    assert scan(f).leaves == []
    follows(lambda: f, lambda: other.W.fill(3.0), leaf=False)


def factorial(x, n):
    return SCALE if n == 0 else x * factorial(x, n - 1)


def even(x, n):
    return W if n == 0 else odd(x, n - 1)


def odd(x, n):
    return X if n == 0 else even(x, n - 1)


def test_recursion():
    assert replaced(factorial, SCALE=1.0)(2.0, 3) == 8.0 and factorial(2.0, 3) == 16.0
    new = replaced(even, W=np.zeros(3))
    assert new(1, 2).sum() == 0.0 and new(1, 1) is X and even(1, 2) is W

    def local(x, n):
        return data if n == 0 else local(x, n - 1)

    data = np.ones(2)
    assert replaced(local, data=W)(1, 5) is W and local(1, 5) is data
    assert scan(local).plan.read(local)[0] is data


def decorate(factor):
    def decorator(f):
        @functools.wraps(f)
        def wrapper(*args):
            wrapper.calls += 1
            return factor * f(*args)

        wrapper.calls = 0
        return wrapper

    return decorator


@decorate(3.0)
def decorated(x):
    return np.sum(x * W)


def test_decorated_functions():
    assert sorted(scan(decorated).names) == ["W", "factor"] or sorted(scan(decorated).names) == ["W", "f.W", "factor"]
    assert replaced(decorated, factor=1.0, W=np.ones(3))(X) == 6.0
    plan = scan(decorated).plan
    decorated(X)
    assert plan.read(decorated) is not None


def test_cached_helpers_are_content(monkeypatch):
    @functools.lru_cache
    def cached(n):
        return W * n

    f = lambda x: x * cached(2)  # noqa: E731
    assert scan(f).leaves == []
    follows(lambda: f, lambda: monkeypatch.setitem(globals(), "W", np.zeros(3)), leaf=False)


def test_library_functions_have_no_captures():
    for f in (np.sum, len, np.sin, int, sorted, functools.reduce, np.linalg.norm, str.upper):
        captures = scan(f)
        assert captures.leaves == [] and captures.plan.read(f) == [] and not captures.opaque
        assert substitute(f, captures, []) is f
        assert captures.plan.read(abs) is None
    assert scan(lambda x: np.linalg.norm(x)).leaves == []


def test_without_inputs_the_function_is_itself():
    f = lambda x: np.sum(x) * COUNT  # noqa: E731
    assert substitute(f, scan(f), []) is f


def test_only_what_leads_to_inputs_is_copied():
    table = {weigh: "weigh", np.sum: "sum"}
    plain = lambda x: x  # noqa: E731
    config = {"f": plain}

    def f(x):
        return x * SCALE, config, config["f"] is plain, table[np.sum]

    value, found, same, name = replaced(f, SCALE=3.0)(2.0)
    assert value == 6.0 and found is config and same and name == "sum"


def test_assigned_globals_stay_together():
    namespace = {"np": np, "w": np.ones(3)}
    exec("def put(x):\n    global seen\n    seen = x\ndef f(x):\n    put(x * w)\n    return seen", namespace)
    f = namespace["f"]
    captures = scan(f)
    np.testing.assert_array_equal(substitute(f, captures, [W])(2.0), 2.0 * W)
    assert "seen" not in namespace


# ---- structures ----------------------------------------------------------------------------------------------------------

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
        return np.sum(y * self.layers[1].W) + np.sum(self.options["weights"][1].y["deep"][0])

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
    change(False, lambda: m.layers.__setitem__(1, Layer(X, 4)) or m.layers[1].size)
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
    assert scan(m.loss).names[:2] == ["self.w", "self.layers[0].W"] or "self.w" in scan(m.loss).names
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
    np.testing.assert_array_equal(replaced(f, w=X)(1.0) if len(scan(f).leaves) == 1 else f(1.0), f(1.0))
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


# ---- what is no input ------------------------------------------------------------------------------------------------------


class Mode(enum.Enum):
    FAST = 1
    SLOW = 2


def test_static_values():
    def holder(value):
        return lambda x: (x, value)

    values = [1, True, "a", b"a", None, Mode.FAST, Mode.SLOW, (1, 2), (1, True), np.float64, np.sum, len, np.dtype("f4")]
    values += [range(3), {1, 2}, frozenset({1}), slice(2), bytearray(b"a"), np.str_("a"), Model, types.MappingProxyType({})]
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
    source, reader, variable = iter([1, 2]), open(__file__), contextvars.ContextVar("v")  # noqa: SIM115
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


def test_subclasses_of_arrays_are_content():
    masked = np.ma.masked_array([1.0, 2.0], [True, False])
    f = lambda x: x * masked  # noqa: E731
    assert scan(f).leaves == []
    follows(lambda: f, lambda: masked.mask.__setitem__(0, False), leaf=False)


# ---- life and threads --------------------------------------------------------------------------------------------------------


def test_plans_keep_nothing_of_the_user_alive():
    m = Model(np.ones(3))
    dead = weakref.ref(m), weakref.ref(m.w)
    captures = scan(m.loss)
    plan, key = captures.plan, captures.key
    assert plan.read(m.loss) is not None
    del m, captures
    gc.collect()
    assert [d() for d in dead] == [None, None] and plan is not None and key is not None


def test_threads():
    errors = []

    def work(k):
        try:
            for i in range(50):
                w = np.full(3, float(k * 100 + i))
                f = make(w)
                captures = scan(f)
                assert captures.plan.read(f)[1] is w
                assert substitute(f, captures, [0.0, X])(1.0)[2] == 3.0
                assert f(1.0)[0] == w[0] + 1.0
                assert replaced(calls_helpers, W=np.ones(3), SCALE=1.0)(X) == 6.0
                assert calls_helpers(X) == 642.0
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors


def test_describe():
    n, mode = 3, "fast"
    text = scan(lambda x: weigh(x) * n if mode == "fast" else x).describe()
    assert "n=3" in text and "mode='fast'" in text and "weigh=weigh:" in text
