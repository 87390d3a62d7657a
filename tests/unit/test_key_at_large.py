from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cache._key import freeze
from tests.unit.unhashable import Account, Box

# -- at large --------------------------------------------------------------------------------------------------

SCALARS = st.sampled_from([None, 0, 1, False, True, 0.0, 1.0, "", "a", b"a", (), (1,), (True,)])
HASHABLE = st.recursive(SCALARS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=2), max_leaves=4)
VALUES: st.SearchStrategy[Any] = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(HASHABLE, inner, max_size=2)
        | st.sets(HASHABLE, max_size=2)
        | st.tuples(inner, inner)
        | st.builds(Box, inner)
        | st.builds(Account, inner)
    ),
    max_leaves=6,
)


def same(a: Any, b: Any) -> bool:
    """By type and value, all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, set | frozenset):
        return len(a) == len(b) and all(any(same(x, y) for y in b) for x in a)
    if isinstance(a, dict):
        return len(a) == len(b) and all(any(same(x, y) for y in b.items()) for x in a.items())
    if isinstance(a, Box | Account):
        return same(vars(a), vars(b))
    return bool(a == b)


def is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


@given(VALUES, VALUES)
def test_two_values_are_one_key_exactly_if_they_are_the_same(a: Any, b: Any) -> None:
    expected = a == b if is_hashable(a) and is_hashable(b) else same(a, b)
    assert (freeze(a) == freeze(b)) == expected
    if expected:
        assert hash(freeze(a)) == hash(freeze(b))


@given(VALUES)
def test_a_copy_has_the_key_of_the_original(value: Any) -> None:
    copied = copy.deepcopy(value)
    assert freeze(copied) == freeze(value)
    assert hash(freeze(copied)) == hash(freeze(value))
