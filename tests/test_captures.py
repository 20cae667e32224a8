"""What functions read besides their arguments: found, read again, replaced (by other arrays in place of tracers)."""

from __future__ import annotations

import functools
import sys
import threading
import types

import numpy as np

from lilith.captures import scan, substitute
from tests.following import follows, replaced, same_key

X = np.array([1.0, 2.0, 3.0])
W = np.array([1.0, 10.0, 100.0])
SCALE = 2.0
COUNT = 3


# ---- globals --------------------------------------------------------------------------------------------------------


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


# ---- closures, defaults, partials -----------------------------------------------------------------------------------


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


# ---- helper functions -----------------------------------------------------------------------------------------------


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
    assert sorted(scan(decorated).names) == ["W", "factor"]
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


# ---- life and threads -----------------------------------------------------------------------------------------------


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
