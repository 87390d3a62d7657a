from __future__ import annotations

import gc
import weakref
from typing import Any
from unittest.mock import Mock

import pytest

from cache._entry import NEVER
from cache._instances import Instances
from cache._key import Token
from cache._lease import Lease
from cache._step import step
from cache._store import Store
from cache.testing import FakeClock


class Repo:
    async def get(self, uid: int) -> None: ...

    async def make(cls, uid: int) -> None: ...  # noqa: N805 - what a classmethod is made of


class Slotted:
    __slots__ = ()


@pytest.fixture
def store(clock: FakeClock) -> Store:
    return Store("repo", None, clock, reader_checks_exp=False)


@pytest.fixture
def instances(store: Store) -> Instances:
    return Instances(store, "Repo.get", "self")


def put(store: Store, *keys: Any) -> None:
    with step:
        for key in keys:
            store.put(key, "v", NEVER, ())


# -- tokens ----------------------------------------------------------------------------------------------------


def test_an_instance_has_one_token_and_no_two_share_one(instances: Instances) -> None:
    one, other = Repo(), Repo()
    assert instances.mint(one) is instances.mint(one) is not instances.mint(other)


def test_a_token_keeps_no_instance_alive(instances: Instances) -> None:
    repo = Repo()
    token, gone = instances.mint(repo), weakref.ref(repo)
    assert "Repo at 0x" in repr(token)
    del repo
    gc.collect()
    assert gone() is None
    assert not instances.tokens


def test_an_id_that_is_used_again_gets_another_token(instances: Instances) -> None:
    repo, other = Repo(), Repo()
    token = instances.mint(repo)
    instances.tokens[id(other)] = instances.tokens[id(repo)]
    assert instances.mint(other) is not token
    assert instances.mint(repo) is token


def test_what_cannot_be_weakly_referenced_is_refused_with_the_remedies(instances: Instances) -> None:
    with pytest.raises(TypeError, match="cannot be weakly referenced") as refused:
        instances.mint(Slotted())
    for remedy in ("Repo.get", "__weakref__", "weakref_slot=True", "skip_args=1", "key="):
        assert remedy in str(refused.value)


# -- the end of an instance ------------------------------------------------------------------------------------


def test_an_instance_that_dies_takes_its_entries_with_it_and_no_others(instances: Instances, store: Store) -> None:
    repo, other = Repo(), Repo()
    mine, theirs = instances.mint(repo), instances.mint(other)
    for token in (mine, theirs):
        instances.own(token, (token, 1))
        put(store, (token, 1))
    del repo
    gc.collect()
    assert list(store.data) == [(theirs, 1)]
    assert list(instances.tokens) == [id(other)]


def test_an_instance_that_dies_in_the_middle_of_a_step_is_forgotten_at_its_end(
    instances: Instances, store: Store
) -> None:
    repo = Repo()
    token = instances.mint(repo)
    instances.own(token, (token, 1))
    put(store, (token, 1))
    with step:
        del repo
        gc.collect()
        assert store.data
    assert not store.data
    assert not instances.tokens


def test_an_instance_that_dies_after_the_function_is_no_trouble(store: Store) -> None:
    repo, instances = Repo(), Instances(store, "Repo.get", "self")
    instances.mint(repo)
    gone = weakref.ref(instances)
    del instances
    gc.collect()
    assert gone() is None
    del repo
    gc.collect()


def test_the_keys_of_an_instance_do_not_pile_up(instances: Instances, store: Store) -> None:
    repo = Repo()
    token = instances.mint(repo)
    with step:
        for uid in range(10_000):
            instances.own(token, (token, uid))
            store.put((token, uid), "v", NEVER, ())
            if uid >= 10:
                store.invalidate((token, uid - 10))
    assert len(token.keys) <= 64
    assert set(store.data) <= token.keys
    del repo
    gc.collect()
    assert not store.data


def test_a_key_that_is_being_loaded_stays_known(instances: Instances, store: Store) -> None:
    repo = Repo()
    token = instances.mint(repo)
    loop: Any = "loop"
    store.flights[loop] = {(token, 0): Lease(store, (token, 0))}
    for uid in range(100):
        instances.own(token, (token, uid))
    assert (token, 0) in token.keys
    assert len(token.keys) < 100


# -- what is no instance ---------------------------------------------------------------------------------------


class Special(Repo):
    pass


class Borrower:
    get = Repo.get


class Renamed(Repo):
    pass


Renamed.__name__ = "Something"


@pytest.mark.parametrize(
    "instance", [Repo(), Special(), Borrower(), Renamed()], ids=["owner", "subclass", "borrower", "renamed"]
)
def test_whatever_has_the_method_is_an_instance(instances: Instances, instance: Any) -> None:
    instances.check_owner(instance, Repo.get)


def test_what_the_method_was_called_on_before_is_an_instance(instances: Instances) -> None:
    mock = Mock()
    with pytest.raises(TypeError):
        instances.check_owner(mock, Repo.get)
    instances.mint(mock)
    instances.check_owner(mock, Repo.get)


@pytest.mark.parametrize(
    "wrong", [5, "repo", Repo, Special, object()], ids=["int", "str", "class", "subclass", "object"]
)
def test_what_takes_the_place_of_an_instance_is_refused_with_the_right_call(instances: Instances, wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"^Repo\.get was given .* its instance, which is no Repo") as refused:
        instances.check_owner(wrong, Repo.get)
    assert "Repo.get.invalidate_cache(repo, ...), not repo.get.invalidate_cache(...)" in str(refused.value)


def test_a_class_method_takes_classes(store: Store) -> None:
    instances = Instances(store, "Repo.make", "cls")
    for kind in (Repo, Special):
        instances.check_owner(kind, Repo.make)
    for wrong in (Repo(), int, 5):
        with pytest.raises(TypeError, match="in place of its class, which is no class derived from Repo") as refused:
            instances.check_owner(wrong, Repo.make)
        assert "Repo.make.invalidate_cache(Repo, ...)" in str(refused.value)


def test_a_method_of_no_known_class_takes_anything(store: Store) -> None:
    Instances(store, "get", "self").check_owner(5, None)
    Instances(store, "test.<locals>.get", "self").check_owner(5, None)


def test_a_token_is_known_by_identity() -> None:
    assert Token("x") != Token("x")
