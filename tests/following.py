"""Helpers of the tests of captures: replace inputs of a function, and follow what a change to them does."""

from __future__ import annotations

from lilith.captures import scan, substitute


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
    """After a change the inputs read are those of a fresh scan; the key is the same if the change is to a leaf."""
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
