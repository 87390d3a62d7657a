"""What came of an execution, copied and compared."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest

from agent_cache._outcome import Outcome, copier, deepcopy, fingerprint, fingerprint_of_error, kept


class Thing:
    """What is equal to none but itself."""

    def __init__(self, value: Any = None) -> None:
        if value is not None:
            self.value = value


class Refusing(Exception):
    """An error that does not say what it is."""

    def __str__(self) -> str:
        raise RuntimeError


def test_atoms_are_their_own_copies_and_all_else_is_copied() -> None:
    for atom in (1, "a", None, b"x", 1.5, True):
        assert deepcopy(atom) is atom
    whole: Any = {"a": [1]}
    copied = deepcopy(whole)
    assert copied == whole
    assert copied["a"] is not whole["a"]


def test_the_copier_is_the_one_that_is_given() -> None:
    assert copier(None) is deepcopy
    assert copier(copy.copy) is copy.copy
    with pytest.raises(TypeError, match="copy='deep'"):
        copier("deep")


def test_what_may_be_kept_is_a_copy_and_what_may_not_is_given_a_reason() -> None:
    value = [1]
    copied, reason = kept(value, deepcopy)
    assert (copied == value, copied is value, reason) == (True, False, None)
    lock = threading.Lock()
    assert kept(lock, deepcopy) == (lock, "a lock cannot be copied (TypeError: cannot pickle '_thread.lock' object)")
    assert kept({"is_error": True}, deepcopy)[1] == "it reports an error"


def test_only_an_outcome_for_one_knows_its_maker() -> None:
    assert Outcome("me", 1).maker is None
    assert Outcome("me", 1, reason="mine").maker == "me"
    assert Outcome("me", 1).at < Outcome("me", 1).at


@pytest.mark.parametrize(
    "value",
    [1, "a", None, [1, {"a": {2}}], (1, [2]), {"a": 1}, Thing(7), [Thing([1])], frozenset({1})],
    ids=repr,
)
def test_equal_results_have_one_fingerprint(value: Any) -> None:
    assert fingerprint(value) == fingerprint(copy.deepcopy(value))
    outcome = Outcome(None, value)
    assert outcome.fingerprint == outcome.fingerprint == fingerprint(value)


@pytest.mark.parametrize(
    ("one", "other"),
    [(-1, -2), (-1.0, -2.0), ([1], (1,)), (1, True), ({"a": 1}, {"a": 2}), ([Thing(1)], [Thing(2)]), ({-1}, {-2})],
    ids=repr,
)
def test_different_results_have_different_ones(one: Any, other: Any) -> None:
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize("value", [threading.Lock(), object(), Thing(), lambda: None, [object()]], ids=type)
def test_what_cannot_be_compared_is_like_no_other(value: Any) -> None:
    assert fingerprint(value) != fingerprint(value)


def test_equal_failures_have_one_fingerprint() -> None:
    assert fingerprint_of_error(KeyError("a")) == fingerprint_of_error(KeyError("a"))
    assert fingerprint_of_error(KeyError("a")) != fingerprint_of_error(KeyError("b"))
    assert fingerprint_of_error(KeyError("a")) != fingerprint_of_error(ValueError("'a'"))
    assert fingerprint_of_error(Refusing()) != fingerprint_of_error(Refusing())
