from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pytest

from cache._arguments import (
    DEFAULT,
    check_cache_errors,
    check_callable,
    check_choice,
    check_count,
    check_flag,
    check_key,
    check_name,
    check_seconds,
    check_some_tags,
    check_tags,
    check_ttl,
    kind_of,
    shown,
)


def refusal(kind: type[Exception], check: Callable[..., object], *args: Any, **options: Any) -> str:
    with pytest.raises(kind) as refused:
        check(*args, **options)
    return str(refused.value)


def test_the_default_says_what_it_is() -> None:
    assert repr(DEFAULT) == "DEFAULT"
    assert isinstance(DEFAULT, enum.Enum)


# -- what a message shows --------------------------------------------------------------------------------------


def test_a_value_is_shown_as_python_writes_it() -> None:
    assert shown("seven") == "'seven'"
    assert shown([1, 2]) == "[1, 2]"


@pytest.mark.parametrize("value", [list(range(100_000)), "x" * 100_000, dict.fromkeys(range(1_000), "y" * 1_000)])
def test_a_message_does_not_show_megabytes(value: object) -> None:
    assert len(shown(value)) < 2_000


def test_a_value_that_cannot_be_shown_does_not_hide_what_is_wrong() -> None:
    class Mute:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    assert "Mute" in shown(Mute())


# -- durations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "seconds"), [(0, 0.0), (5, 5.0), (0.25, 0.25), (math.inf, math.inf)])
def test_a_duration_is_a_number_of_seconds(value: float, seconds: float) -> None:
    checked = check_seconds(value, "ttl")
    assert checked == seconds
    assert type(checked) is float


def test_none_is_a_duration_only_where_it_means_something() -> None:
    assert check_seconds(None, "ttl", none="ever") is None
    assert "or None for ever" in refusal(TypeError, check_seconds, "5", "ttl", none="ever")
    message = refusal(TypeError, check_seconds, None, "linger")
    assert "linger=None" in message
    assert "or None" not in message


@pytest.mark.parametrize("value", ["60", [1], True, 1j, object])
def test_a_duration_of_another_type_is_refused(value: object) -> None:
    message = refusal(TypeError, check_seconds, value, "ttl")
    assert f"ttl={value!r} is of type {type(value).__name__}" in message
    assert "a number of seconds, 0 or more" in message


def test_a_timedelta_is_refused_with_the_seconds_it_means() -> None:
    message = refusal(TypeError, check_seconds, timedelta(minutes=1, milliseconds=500), "ttl")
    assert "here ttl=60.5" in message


@pytest.mark.parametrize("value", [-1, -0.001, math.nan, -math.inf])
def test_a_duration_that_is_none_is_refused(value: float) -> None:
    assert f"ttl={value!r}: pass a number of seconds, 0 or more" in refusal(ValueError, check_seconds, value, "ttl")


def test_a_duration_may_have_another_unit() -> None:
    assert "a number of milliseconds" in refusal(ValueError, check_seconds, -1, "window", unit="milliseconds")


@pytest.mark.parametrize(("ttl", "seconds"), [(5, 5.0), (None, None), (0, 0.0)])
def test_a_ttl_is_a_function_of_the_result(ttl: Any, seconds: float | None) -> None:
    assert check_ttl(ttl)("whatever") == seconds


def test_a_ttl_may_be_a_function_of_ones_own_whose_result_is_checked() -> None:
    results: dict[str, Any] = {"a": 5, "b": None, "c": -1, "d": "x"}

    def of_result(result: str) -> Any:
        return results[result]

    ttl_of = check_ttl(of_result, "default_ttl")
    assert (ttl_of("a"), ttl_of("b")) == (5.0, None)
    assert "the result of default_ttl=<function" in refusal(ValueError, ttl_of, "c")
    assert "of_result" in refusal(TypeError, ttl_of, "d")


def test_a_wrong_ttl_is_refused_at_once_by_its_own_name() -> None:
    assert "time_to_live='60'" in refusal(TypeError, check_ttl, "60", "time_to_live")


# -- numbers, words, flags -------------------------------------------------------------------------------------


def test_a_count_is_a_whole_number() -> None:
    assert check_count(0, "maxsize", least=0) == 0
    assert check_count(5, "maxsize", least=5) == 5
    assert check_count(None, "maxsize", least=0, none="no bound") is None


@pytest.mark.parametrize("value", [1.0, "1", True, None])
def test_a_count_of_another_type_is_refused(value: object) -> None:
    message = refusal(TypeError, check_count, value, "maxsize", least=0)
    assert f"maxsize={value!r} is of type {type(value).__name__}: pass a whole number, 0 or more" in message


def test_a_count_that_is_too_small_is_refused() -> None:
    message = refusal(ValueError, check_count, 0, "concurrency", least=1, none="all")
    assert message == "concurrency=0: pass a whole number, 1 or more, or None for all"


def test_a_name_is_a_string_that_is_not_empty() -> None:
    assert check_name("users", "name") == "users"
    assert "name=7 is of type int: pass a string" in refusal(TypeError, check_name, 7, "name")
    assert "name=''" in refusal(ValueError, check_name, "", "name")


def test_a_flag_is_true_or_false_and_nothing_that_counts_as_one() -> None:
    assert check_flag(True, "track") is True
    assert check_flag(False, "track") is False
    for value in (1, 0, None, "no", [True]):
        message = refusal(TypeError, check_flag, value, "track")
        assert f"track={value!r} is of type {type(value).__name__}: pass True or False" in message


def test_a_choice_is_one_of_a_few_words() -> None:
    check_choice("lru", "policy", ("lru", "s3fifo"))
    message = refusal(ValueError, check_choice, "LRU", "policy", ("lru", "s3fifo"))
    assert message == "policy='LRU': pass one of 'lru', 's3fifo'"


# -- keys and functions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, 0, "k", (1, ("a",)), frozenset()])
def test_a_key_is_anything_hashable(key: object) -> None:
    check_key(key)


@pytest.mark.parametrize("key", [[1], {"a": 1}, {1}])
def test_a_key_that_is_not_hashable_is_refused(key: object) -> None:
    message = refusal(TypeError, check_key, key)
    assert f"key={key!r}" in message
    assert "hashable" in message
    assert "pass" in message


def test_a_key_with_a_part_that_is_not_hashable_is_refused() -> None:
    message = refusal(TypeError, check_key, (1, [2]))
    assert "key=(1, [2]) is not hashable" in message
    assert "whose parts are all hashable" in message


def test_an_error_of_a_keys_own_hash_is_the_callers() -> None:
    class Key:
        def __hash__(self) -> int:
            raise ZeroDivisionError("mine")

    assert refusal(ZeroDivisionError, check_key, Key()) == "mine"


def test_a_function_is_anything_that_can_be_called() -> None:
    assert check_callable(len, "loader", "loader()") is len
    message = refusal(TypeError, check_callable, 5, "loader", "loader() -> value")
    assert message == "loader=5 is of type int: pass a function, called as loader() -> value"


async def _agen() -> Any:
    yield 1


def _gen() -> Iterator[int]:
    yield 1


class _Callable:
    def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (_agen, "an async generator"),
        (_gen, "a generator"),
        (_Callable, "a class"),
        (_Callable(), "an object that can be called"),
        (_Callable().__call__, "a plain function"),
        (len, "a plain function"),
        (lambda: None, "a plain function"),
        (5, "of type int"),
    ],
)
def test_what_is_no_async_def_is_named(value: object, kind: str) -> None:
    assert kind_of(value) == kind


# -- tags ------------------------------------------------------------------------------------------------------


def test_tags_are_any_iterable_of_strings() -> None:
    assert check_tags(["a", "b"]) == check_tags(tag for tag in "ab") == ("a", "b")
    assert check_tags(()) == ()


@pytest.mark.parametrize("tags", ["users", b"bytes", 5, None])
def test_tags_that_are_no_iterable_of_strings_are_refused(tags: object) -> None:
    message = refusal(TypeError, check_tags, tags)
    assert f"tags={tags!r}: pass a tuple of strings, such as ('users', 'user:7')" in message


def test_a_tag_that_is_no_string_or_empty_is_refused() -> None:
    assert "tags contains 7, of type int" in refusal(TypeError, check_tags, ("a", 7))
    assert "tags contains an empty string" in refusal(ValueError, check_tags, ("a", ""))


def test_names_of_other_things_are_refused_with_an_example_of_these() -> None:
    message = refusal(TypeError, check_tags, "session", "ignore", "('session',)")
    assert message == "ignore='session': pass a tuple of strings, such as ('session',)"


def test_where_tags_are_needed_none_are_refused() -> None:
    assert check_some_tags(("a",)) == ("a",)
    assert "at least one tag" in refusal(TypeError, check_some_tags, ())


# -- errors to keep --------------------------------------------------------------------------------------------


def test_errors_to_keep_are_classes_with_seconds() -> None:
    assert check_cache_errors(None) == {}
    given: Mapping[Any, Any] = MappingProxyType({KeyError: 5, OSError: 0.5})
    assert check_cache_errors(given) == {KeyError: 5.0, OSError: 0.5}


@pytest.mark.parametrize("value", [KeyError, [KeyError], "an error", 5])
def test_errors_to_keep_that_are_no_mapping_are_refused(value: object) -> None:
    assert "pass a mapping of exception classes to seconds" in refusal(TypeError, check_cache_errors, value)


@pytest.mark.parametrize("kind", ["an error", int, KeyError("an instance"), KeyboardInterrupt, BaseException])
def test_what_is_no_class_of_errors_cannot_be_kept(kind: object) -> None:
    message = refusal(TypeError, check_cache_errors, {kind: 5.0})
    assert shown(kind) in message
    assert "a class of exceptions" in message


@pytest.mark.parametrize(("seconds", "kind"), [(-1, ValueError), (math.nan, ValueError), (None, TypeError)])
def test_an_error_is_kept_for_a_number_of_seconds(seconds: Any, kind: type[Exception]) -> None:
    assert f"cache_errors[KeyError]={seconds}" in refusal(kind, check_cache_errors, {KeyError: seconds})
