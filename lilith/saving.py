"""Structures in files: `save_tree` and `load_tree`, by NumPy's npz or by safetensors, without pickle."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import stat
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

import ml_dtypes
import numpy as np

from lilith import tree
from lilith.signature import describe
from lilith.source import ArgumentError, DtypeError, LilithError, ShapeError
from lowering.carrier import to_device
from lowering.runtime import JAX, PYTHON, SCALAR

_STRUCTURE = "__structure__"
_FORMAT = 1
_PLAIN = (int, bool, str, type(None))
_SAFE_DTYPES = {
    "F64": "f8", "F32": "f4", "F16": "f2", "C64": "c8", "BOOL": "?", "BF16": ml_dtypes.bfloat16,
    "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1", "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1",
}  # fmt: skip

# what numpy, zipfile, zlib and json say of bytes that are not what they were
_NOT_WHOLE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, MemoryError),
    *(KeyError, IndexError, AttributeError, TypeError, ValueError),
)

_Name = tuple[str, ...]
"""The way to a leaf: attributes and keys that are text as they are, other keys and positions in brackets."""


class TreeFileError(LilithError):
    """A file that holds no structure, or not the whole of it."""


def save_tree(path: str | os.PathLike[str], structure: Any) -> None:
    """Write a structure of arrays and numbers into one file: `.npz`, or `.safetensors` if the path ends so.

    The arrays are entries of the file, named by their field paths (`layers.1.W`); dicts, lists, tuples, objects,
    Python numbers, strings and None are described in JSON beside them. Functions, classes and other static objects are
    not stored: `load_tree` takes them from its `like`. An array in two places is stored once.

    Arguments:
        path: of the file; it is written whole or not at all.
        structure: any structure. jax.Arrays are fetched.

    Raises:
        ArgumentError: the path has another ending, or safetensors is not installed.
        DtypeError: safetensors has no such dtype (complex128).

    >>> import numpy as np, tempfile, lilith
    >>> file = tempfile.mktemp(suffix=".npz")
    >>> lilith.save_tree(file, {"w": np.array([1.0, 2.0]), "steps": 3})
    >>> lilith.load_tree(file)
    {'w': array([1., 2.]), 'steps': 3}
    """
    writer = _WRITERS.get(_ending(path))
    if writer is None:
        raise ArgumentError(f"save_tree: {os.fspath(path)!r} has no known ending", hint=f"one of {', '.join(_WRITERS)}")
    place = os.path.realpath(path)
    if os.path.isdir(place) or not os.path.isdir(os.path.dirname(place)):
        raise ArgumentError(f"save_tree: {place} cannot be a file", hint="the name of a file in a folder that exists")
    tree.flatten(structure)  # refuses cycles; sorts the classes into structures and leaves
    arrays: dict[str, np.ndarray] = {}
    try:
        text = json.dumps({"format": _FORMAT, "structure": _described(structure, arrays, {}, ())})
    except RecursionError:
        raise ArgumentError("save_tree: the structure is nested too deep", hint="a list instead of a chain") from None
    with _replaced(place) as file:
        writer(file, arrays, text)


@contextlib.contextmanager
def _replaced(path: str) -> Iterator[IO[bytes]]:
    """A file to write into that takes the place of the one at path once it is whole, with that one's permissions."""
    temporary = f"{path}.{uuid.uuid4().hex}.part"
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(path):
            os.chmod(temporary, stat.S_IMODE(os.stat(path).st_mode))
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def load_tree(path: str | os.PathLike[str], like: Any = None) -> Any:
    """Read what `save_tree` wrote, or the arrays of any `.npz` or `.safetensors` file.

    Arguments:
        path: of the file.
        like: a structure of the same form, such as a fresh model: the result has its classes, what is not stored
            (functions, classes), and the kinds of its leaves (jax.Arrays on their devices). Without it objects become
            dicts of their attributes, named tuples tuples.

    Returns:
        The structure. For a file that `save_tree` has not written, and without `like`, a dict of its arrays by name.

    Raises:
        TreeFileError: no such form, damaged or cut off; nothing in it is executed in any case.
        ArgumentError: the file lacks arrays of `like`, or has others.
        ShapeError, DtypeError: an array is not like that of `like`.

    >>> import numpy as np, tempfile, types, lilith
    >>> file = tempfile.mktemp(suffix=".npz")
    >>> lilith.save_tree(file, types.SimpleNamespace(w=np.ones(2), act=np.tanh))
    >>> lilith.load_tree(file, like=types.SimpleNamespace(w=np.zeros(2), act=np.tanh))
    namespace(w=array([1., 1.]), act=<ufunc 'tanh'>)
    """
    reader = _READERS.get(_ending(path))
    if reader is None:
        raise ArgumentError(f"load_tree: {os.fspath(path)!r} has no known ending", hint=f"one of {', '.join(_READERS)}")
    with open(path, "rb") as file:
        data = file.read()
    try:
        arrays, text = reader(data)
        header = json.loads(text) if text is not None else None
        if header is not None and header["format"] != _FORMAT:
            raise TreeFileError(f"{path} has format {header['format']}", hint="it was written by a later Lilith")
        if like is not None:
            return _filled(like, arrays, header["structure"] if header is not None else None, os.fspath(path))
        return arrays if header is None else _built(header["structure"], arrays)
    except LilithError:
        raise
    except _NOT_WHOLE as error:
        raise TreeFileError(
            f"{path} is no whole {_ending(path)} file: {error}", hint="write it again with lilith.save_tree"
        ) from error


def _ending(path: str | os.PathLike[str]) -> str:
    return os.path.splitext(os.fspath(path))[1]


# ---- structure <-> JSON ----------------------------------------------------------------------------------------------


def _described(x: Any, arrays: dict[str, np.ndarray], seen: dict[int, str], name: _Name) -> Any:
    """A structure as JSON; its arrays go to `arrays`."""
    if tree.is_leaf_class(type(x)):
        return _described_leaf(x, arrays, seen, name)
    children, _, steps = tree.take_apart(x)
    keys = list(map(_key, steps))
    below = [_described(child, arrays, seen, (*name, key)) for child, key in zip(children, keys, strict=True)]
    if isinstance(x, dict):
        if len(x) == len(below) and all(map(_is_plain_key, dict.keys(x))):
            return {"dict": [[key, node] for key, node in zip(dict.keys(x), below, strict=True)]}
    elif isinstance(x, (list, tuple)) and len(x) == len(below):
        names = keys if tree.is_namedtuple_class(type(x)) else None
        return {"tuple" if isinstance(x, tuple) else "list": below, "names": names}
    return {"object": [[key, node] for key, node in zip(keys, below, strict=True)]}


def _key(step: str) -> str:
    """`.W` and `['W']` as `W`; `[0]` stays, and `['[0]']` too."""
    if step.startswith("."):
        return step[1:]
    try:
        return _key_of(ast.literal_eval(step[1:-1]))
    except (ValueError, SyntaxError):  # a key with a repr of its own
        return step


def _key_of(key: Any) -> str:
    return key if isinstance(key, str) and not key.startswith("[") else f"[{key!r}]"


def _is_plain_key(key: Any) -> bool:
    if type(key) is tuple:
        return all(map(_is_plain_key, key))
    return type(key) in (str, int, bool, float, type(None))


def _dotted(name: _Name) -> str:
    """`layers.1.W`, the name of an array in a file."""
    return ".".join([key[1:-1] if key.startswith("[") and key.endswith("]") else key for key in name])


def _described_leaf(x: Any, arrays: dict[str, np.ndarray], seen: dict[int, str], name: _Name) -> Any:
    tree.check_leaf(x, _dotted(name) or "the structure")
    tree.check_there(x, _dotted(name) or "the structure", "save_tree: ")
    if not tree.is_dynamic(x):
        return {"value": x} if type(x) in _PLAIN else {"absent": type(x).__qualname__}
    if type(x) is float:
        return {"float": x.hex()}
    if type(x) is complex:
        return {"complex": [x.real.hex(), x.imag.hex()]}
    kind, _ = describe(x)
    if tree.is_array(x) and id(x) in seen:
        return {"array": seen[id(x)], "dtype": arrays[seen[id(x)]].dtype.name}
    unique = _dotted(name) or "array"
    while unique in arrays or unique == _STRUCTURE:
        unique += "_"
    seen[id(x)] = unique
    array = np.asarray(x)
    arrays[unique] = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    return {"scalar" if kind == SCALAR else "array": unique, "dtype": array.dtype.name}


def _built(node: dict[str, Any], arrays: dict[str, np.ndarray], made: dict[str, np.ndarray] | None = None) -> Any:
    """The structure that JSON describes, of plain containers."""
    made = {} if made is None else made
    (kind, content), *_ = node.items()
    if kind in ("dict", "object"):
        return {_as_key(key): _built(below, arrays, made) for key, below in content}
    if kind in ("list", "tuple"):
        items = [_built(below, arrays, made) for below in content]
        return tuple(items) if kind == "tuple" else items
    if kind in ("array", "scalar"):
        found = made.setdefault(content, arrays[content])
        return found[()] if kind == "scalar" else found
    return _simple(kind, content)


def _as_key(key: Any) -> Any:
    """A dict's key from JSON, which has lists for tuples."""
    return tuple(map(_as_key, key)) if isinstance(key, list) else key


def _simple(kind: str, content: Any) -> Any:
    if kind == "value":
        return content
    if kind == "float":
        return float.fromhex(content)
    if kind == "complex":
        return complex(*map(float.fromhex, content))
    raise ArgumentError(
        f"load_tree: the file holds no {content}, which is not stored", hint="give a structure with it as like="
    )


def _filled(like: Any, arrays: dict[str, np.ndarray], node: Any, path: str) -> Any:
    """The structure `like` with the leaves of a file."""
    leaves, structure = tree.flatten(like)
    wanted = list(_names(like, ()))
    if node is not None:
        stored = dict(_flat(node, ()))
    else:
        stored = {name: {"array": _dotted(name)} for name in wanted if _dotted(name) in arrays}
        stored |= {(name,): {"array": name} for name in arrays.keys() - set(map(_dotted, wanted))}
    dynamic = [name for name, leaf in zip(wanted, leaves, strict=True) if tree.is_dynamic(leaf)]
    missing = [_dotted(name) for name in dynamic if name not in stored]
    surplus = [_dotted(name) for name in stored.keys() - set(wanted)]
    if missing or surplus:
        said = [f"no {', '.join(missing)}"] * bool(missing) + [f"besides {', '.join(sorted(surplus))}"] * bool(surplus)
        raise ArgumentError(f"load_tree: {path} has {' and '.join(said)}", hint="pass a structure like the saved one")
    made: dict[tuple[str, str], Any] = {}
    new = []
    for name, leaf in zip(wanted, leaves, strict=True):
        if name not in stored:
            new.append(leaf)
            continue
        (kind, content), *_ = stored[name].items()
        if kind == "absent":
            new.append(leaf)
        elif not tree.is_dynamic(leaf) or kind not in ("array", "scalar"):
            value = arrays[content] if kind in ("array", "scalar") else _simple(kind, content)
            new.append(_as_number(value, leaf, _dotted(name)))
        else:
            place = (content, describe(leaf)[0])
            if place not in made:
                made[place] = _like_leaf(arrays[content], leaf, _dotted(name))
            new.append(made[place])
    return tree.unflatten(structure, new)


def _names(x: Any, name: _Name) -> Iterator[_Name]:
    """The name of every leaf, in `flatten`'s order."""
    if tree.is_leaf_class(type(x)):
        yield name
        return
    children, _, steps = tree.take_apart(x)
    for child, step in zip(children, steps, strict=True):
        yield from _names(child, (*name, _key(step)))


def _flat(node: dict[str, Any], name: _Name) -> list[tuple[_Name, dict[str, Any]]]:
    """Every leaf of the described structure by its name."""
    (kind, content), *_ = node.items()
    if kind == "dict":
        pairs = [(_key_of(_as_key(key)), below) for key, below in content]
    elif kind == "object":
        pairs = content
    elif kind in ("list", "tuple"):
        pairs = list(zip(node["names"] or [f"[{i}]" for i in range(len(content))], content, strict=True))
    else:
        return [(name, node)]
    return [item for key, below in pairs for item in _flat(below, (*name, key))]


def _as_number(value: Any, leaf: Any, name: str) -> Any:
    """A stored number or static value in the place of a leaf."""
    if isinstance(value, np.ndarray):
        raise ArgumentError(f"load_tree: {name} is an array in the file and {leaf!r} in like", hint="the saved form")
    if not tree.is_dynamic(leaf):
        return value
    if not isinstance(value, (int, float, complex, np.generic)) or isinstance(value, np.str_):
        raise ArgumentError(f"load_tree: {name} is {value!r} in the file and {leaf!r} in like", hint="the saved form")
    if isinstance(value, complex) and describe(leaf)[1].dtype.kind != "c":  # type: ignore[union-attr]
        raise DtypeError(f"load_tree: {name} is {value!r} in the file and {leaf!r} in like", hint="the saved form")
    if describe(leaf)[0] in (PYTHON, SCALAR):
        return type(leaf)(value)
    return _like_leaf(np.asarray(value, leaf.dtype), leaf, name)


def _like_leaf(array: np.ndarray, leaf: Any, name: str) -> Any:
    kind, type = describe(leaf)
    assert type is not None
    if array.shape != type.shape:
        raise ShapeError(
            f"load_tree: {name} has shape {array.shape} in the file, {type.shape} in like", hint="the same"
        )
    if array.dtype != type.dtype:
        raise DtypeError(
            f"load_tree: {name} is {array.dtype.name} in the file, {type.dtype.name} in like",
            hint="load it without like, and convert it with .astype(...)",
        )
    if kind == JAX:
        return to_device(array, leaf.sharding)
    return array.item() if kind == PYTHON else array[()] if kind == SCALAR else array


# ---- files -----------------------------------------------------------------------------------------------------------


def _write_npz(file: IO[bytes], arrays: dict[str, np.ndarray], text: str) -> None:
    """What np.savez writes, which takes no array by the name of one of its own parameters."""
    stored = {name: _as_bits(array) for name, array in arrays.items()}
    stored[_STRUCTURE] = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in stored.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)


def _as_bits(array: np.ndarray) -> np.ndarray:
    """bfloat16, which npz does not know, as the integers of its bits; the structure names the dtype."""
    return array.view(np.uint16) if array.dtype == ml_dtypes.bfloat16 else array


def _read_npz(data: bytes) -> tuple[dict[str, np.ndarray], str | None]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        arrays = {
            name.removesuffix(".npy"): np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
            for name in archive.namelist()
        }
    text = arrays.pop(_STRUCTURE, None)
    if text is None:
        return arrays, None
    header = text.tobytes().decode("utf-8", "surrogatepass")
    for _, node in _flat(json.loads(header)["structure"], ()):
        name = node.get("array") or node.get("scalar")
        if name is not None and node.get("dtype") == "bfloat16" and arrays[name].dtype == np.uint16:
            arrays[name] = arrays[name].view(ml_dtypes.bfloat16)
    return arrays, header


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ArgumentError(
            "files of safetensors need the package of that name", hint="pip install safetensors, or save as .npz"
        ) from error
    return safetensors


def _write_safetensors(file: IO[bytes], arrays: dict[str, np.ndarray], text: str) -> None:
    library = _safetensors()
    for name, array in arrays.items():
        if not any(array.dtype == np.dtype(known) for known in _SAFE_DTYPES.values()):
            raise DtypeError(f"save_tree: safetensors has no {array.dtype.name} ({name})", hint="save as .npz")
    whole = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    file.write(library.numpy.save(whole, metadata={_STRUCTURE: text}))


def _read_safetensors(data: bytes) -> tuple[dict[str, np.ndarray], str | None]:
    arrays = {}
    library = _safetensors()
    try:
        entries = library.deserialize(data)
    except library.SafetensorError as error:
        raise ValueError(str(error)) from error
    for name, entry in sorted(entries, key=lambda entry: entry[0]):
        dtype = np.dtype(_SAFE_DTYPES[entry["dtype"]])
        arrays[name] = np.frombuffer(entry["data"], dtype).reshape(entry["shape"]).copy()
    size = int.from_bytes(data[:8], "little")
    return arrays, json.loads(data[8 : 8 + size]).get("__metadata__", {}).get(_STRUCTURE)


_WRITERS: dict[str, Callable[[IO[bytes], dict[str, np.ndarray], str], None]] = {
    ".npz": _write_npz,
    ".safetensors": _write_safetensors,
}
_READERS: dict[str, Callable[[bytes], tuple[dict[str, np.ndarray], str | None]]] = {
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
}
