"""save_tree and load_tree."""

from __future__ import annotations

import types
from collections import OrderedDict, namedtuple
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from lilith import TreeFileError, load_tree, save_tree, tree
from lilith.source import ArgumentError, DtypeError, ShapeError

Point = namedtuple("Point", "x y")
ENDINGS = (".npz", ".safetensors")


class Model:
    def __init__(self, scale: float = 1.0):
        shared = np.full((2, 3), scale)
        self.layers = [{"W": shared, "b": np.float32(scale)}, {"W": shared, "b": np.float32(2 * scale)}]
        self.point = Point(scale, np.arange(4).astype(ml_dtypes.bfloat16) * scale)
        self.activation = np.tanh
        self.name, self.count, self.nothing = f"model {scale}", int(scale), None
        self.rate = scale / 3
        self.device = jnp.full(2, scale)


def same(a: Any, b: Any) -> None:
    (xs, left), (ys, right) = tree.flatten(a), tree.flatten(b)
    assert left == right
    for x, y in zip(xs, ys, strict=True):
        assert type(x) is type(y) and getattr(x, "dtype", None) == getattr(y, "dtype", None)
        if isinstance(x, (np.ndarray, jax.Array)):
            assert x.shape == y.shape and np.asarray(x).tobytes() == np.asarray(y).tobytes()
        else:
            assert x == y or x != x


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_model_comes_back_as_it_was(tmp_path: Path, ending: str) -> None:
    model, file = Model(7.0), tmp_path / f"model{ending}"
    save_tree(file, model)
    found = load_tree(file, like=Model())
    same(found, model)
    assert found.layers[0]["W"] is found.layers[1]["W"]  # stored once, one array again
    assert found.name == "model 7.0" and found.activation is np.tanh and found.device.devices() == {jax.devices()[0]}
    found.layers[0]["W"][0, 0] = 1.0  # writeable
    assert [p.name for p in tmp_path.iterdir()] == [file.name]  # no temporary file is left


@pytest.mark.parametrize("ending", ENDINGS)
def test_plain_containers_need_no_example(tmp_path: Path, ending: str) -> None:
    x = {
        "list": [1, 2.5, "text", None, True, float("nan"), -0.0],
        "tuple": (np.float16(1.5), np.array([True, False]), np.zeros((0, 3)), np.array(3.0)),
        3: {"a.b": np.arange(3, dtype=np.uint8), "a": {"b": np.ones((2, 3)).T}},
        "z": [1 + 2j, np.complex64(1j)],
    }
    save_tree(tmp_path / f"x{ending}", x)
    same(load_tree(tmp_path / f"x{ending}"), x)
    save_tree(tmp_path / f"alone{ending}", np.arange(3.0))
    same(load_tree(tmp_path / f"alone{ending}"), np.arange(3.0))


def test_objects_become_dicts_and_what_is_not_stored_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    save_tree(file, types.SimpleNamespace(a=np.ones(2), p=Point(1.0, 2.0), o=OrderedDict(k=1)))
    same(load_tree(file), {"a": np.ones(2), "p": (1.0, 2.0), "o": {"k": 1}})
    save_tree(file, {"f": np.tanh})
    with pytest.raises(ArgumentError, match="holds no ufunc"):
        load_tree(file)


def test_files_of_others(tmp_path: Path) -> None:
    import safetensors.numpy

    arrays = {"layers.0.W": np.ones(2), "layers.1.W": np.zeros(3)}
    np.savez(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]
    safetensors.numpy.save_file(arrays, tmp_path / "x.safetensors")
    for ending in ENDINGS:
        same(load_tree(tmp_path / f"x{ending}"), arrays)
        found = load_tree(tmp_path / f"x{ending}", like={"layers": [{"W": np.zeros(2)}, {"W": np.ones(3)}]})
        same(found["layers"][0]["W"], np.ones(2))
    save_tree(tmp_path / "y.safetensors", {"layers": [{"W": np.ones(2)}]})
    assert list(safetensors.numpy.load_file(tmp_path / "y.safetensors")) == ["layers.0.W"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_names_of_every_kind(tmp_path: Path, ending: str) -> None:
    """Arrays may be called as they like: parameters of np.savez, keys that look like paths, equal ones as text."""
    names: list[Any] = [
        "file",
        "allow_pickle",
        "it's",
        "'q'",
        '"',
        "x\ny",
        "\\",
        "a.b",
        "a['b']",
        "a[0]",
        "",
        "a/b",
        "../c",
    ]
    names += ["a/b", "../c", "__structure__", "w", "w.npy", 3, "3", "[3]", 1.5, True, None, (1, "x"), (2, (3,))]
    x = {name: np.full(2, float(i)) for i, name in enumerate(names)} | {"a": {"b": np.ones(3)}}
    save_tree(tmp_path / f"x{ending}", x)
    same(load_tree(tmp_path / f"x{ending}"), x)
    leaves, structure = tree.flatten(x)
    same(load_tree(tmp_path / f"x{ending}", like=tree.unflatten(structure, [0 * leaf for leaf in leaves])), x)


def test_files_are_replaced_as_a_whole(tmp_path: Path) -> None:
    file, link = tmp_path / "x.npz", tmp_path / "link.npz"
    save_tree(file, {"a": 1})
    plain = tmp_path / "plain"
    plain.touch()
    assert file.stat().st_mode == plain.stat().st_mode
    file.chmod(0o640)
    link.symlink_to(file)
    save_tree(link, {"a": 2})
    assert link.is_symlink() and load_tree(file) == {"a": 2} and file.stat().st_mode & 0o777 == 0o640
    deep: Any = np.ones(1)
    for _ in range(3000):
        deep = [deep]
    loop: list = []
    loop.append(loop)
    for wrong, text in (
        (deep, "nested too deep"),
        (loop, "contains itself"),
        (np.zeros(1, object), "cannot be traced"),
    ):
        with pytest.raises((ArgumentError, DtypeError), match=text):
            save_tree(file, wrong)
    for folder in (tmp_path / "none" / "x.npz", tmp_path / "is.npz"):
        (tmp_path / "is.npz").mkdir(exist_ok=True)
        with pytest.raises(ArgumentError, match="cannot be a file"):
            save_tree(folder, {})
    assert load_tree(file) == {"a": 2} and not list(tmp_path.glob("*.part"))


def test_what_does_not_fit(tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    save_tree(file, {"a": np.ones(2), "b": 1.0})
    cases: list[tuple[Any, type[Exception], str]] = [
        ({"a": np.ones(2)}, ArgumentError, "besides b"),
        ({"a": np.ones(2), "b": 1.0, "c": 2.0}, ArgumentError, "no c"),
        ({"a": np.ones(3), "b": 1.0}, ShapeError, r"a has shape \(2,\) in the file, \(3,\) in like"),
        ({"a": np.ones(2, np.float32), "b": 1.0}, DtypeError, "a is float64 in the file, float32 in like"),
        ({"a": "text", "b": 1.0}, ArgumentError, "a is an array in the file"),
        ({"a": np.ones(2), "b": np.ones(2)}, ShapeError, r"b has shape \(\) in the file"),
    ]
    for like, cls, text in cases:
        with pytest.raises(cls, match=text):
            load_tree(file, like=like)
    with pytest.raises(ArgumentError, match="no known ending"):
        save_tree(tmp_path / "x.pickle", {})
    with pytest.raises(ArgumentError, match="no known ending"):
        load_tree(tmp_path / "x.pickle")
    with pytest.raises(DtypeError, match=r"safetensors has no complex128 \(z\)"):
        save_tree(tmp_path / "x.safetensors", {"z": np.ones(2, complex)})
    with pytest.raises(FileNotFoundError):
        load_tree(tmp_path / "none.npz")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.npz"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_damaged_files_are_an_error(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"x{ending}"
    save_tree(file, {"a": np.arange(100.0), "b": [1.0, 2.0]})
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [b"", b"no such file", whole[: len(whole) // 2], whole[:-1], whole[:8], whole[10:]]
    for _ in range(60):
        changed = bytearray(whole)
        changed[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        damaged.append(bytes(changed))
    refused = 0
    for data in damaged:
        file.write_bytes(data)
        try:
            load_tree(file, like={"a": np.zeros(100), "b": [0.0, 0.0]})
        except (TreeFileError, ArgumentError, ShapeError, DtypeError):
            refused += 1
    assert refused >= 6  # a bit within an array's numbers may be any bit


def test_objects_of_python_are_not_executed(tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    np.savez(file, a=np.array([{"evil": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(TreeFileError, match=r"no whole \.npz file"):
        load_tree(file)
