"""Structures and their leaves: dicts, lists, tuples, plain objects, flattened with their field paths."""

from lilith.tree.classes import (
    BUILT_IN,
    OPENED,
    attributes,
    is_library_file,
    is_library_module,
    is_structure_class,
    root_module,
    set_attribute,
    shallow_copy,
    slots,
)
from lilith.tree.leaves import Same, check_leaf, convert_foreign, is_dynamic, is_jax_array, static_key
from lilith.tree.structure import (
    class_state,
    flatten,
    is_leaf_class,
    is_namedtuple_class,
    is_opened,
    paths,
    put_together,
    take_apart,
    unflatten,
)

__all__ = [
    "BUILT_IN",
    "OPENED",
    "Same",
    "attributes",
    "check_leaf",
    "class_state",
    "convert_foreign",
    "flatten",
    "is_dynamic",
    "is_jax_array",
    "is_leaf_class",
    "is_library_file",
    "is_library_module",
    "is_namedtuple_class",
    "is_opened",
    "is_structure_class",
    "paths",
    "put_together",
    "root_module",
    "set_attribute",
    "shallow_copy",
    "slots",
    "static_key",
    "take_apart",
    "unflatten",
]
