"""The protections, switched off one at a time in every process of a run: stale reads must appear.

Those that real processes need too seldom to be seen, such as the comparison of what has changed between the end of a
load and its writing, are switched off in the model alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, Final
from unittest.mock import patch

from cache._tier import Address
from cache.tiers._redis import _buckets, _link, _scripts
from cache.tiers._redis._layout import Layout
from cache.tiers._redis._ledger import Ledger, Stamps

Patch = Callable[[], AbstractContextManager[Any]]


def a_hit_needs_no_proof() -> AbstractContextManager[Any]:
    return patch.multiple(
        Stamps, __getitem__=lambda self, index: self.numbers[index], are_proven=property(lambda self: True)
    )


def nobody_hears_of_others() -> AbstractContextManager[Any]:
    return patch.object(Ledger, "_renumber", lambda self, slots: None)


def a_load_does_not_ask_for_foreign_mutations() -> AbstractContextManager[Any]:
    return patch.multiple(Ledger, is_changing=lambda self, slots: False, is_covered=lambda self, slots: False)


def a_record_rests_on_itself_alone() -> AbstractContextManager[Any]:
    def own(self: Layout, address: Address, grounds: object) -> list[int]:
        return original(self, address, ())

    original = Layout.grounds
    return patch.object(Layout, "grounds", own)


def stamps_are_not_compared_after_a_loss() -> AbstractContextManager[Any]:
    def take(self: Ledger, *told: Any) -> None:
        with patch.object(self, "_renumber", lambda slots: None):
            original(self, *told)

    original = Ledger.take
    return patch.object(Ledger, "take", take)


def a_restarted_server_goes_by_its_name() -> AbstractContextManager[Any]:
    both = ExitStack()
    for module, name in ((_buckets, "INCARNATION"), (_link, "HEARTBEAT")):
        nameless = getattr(module, name).text.replace(_scripts._WHO, "\nlocal who = 'always'\n")
        both.enter_context(patch.object(module, name, _scripts.Script(nameless)))
    return both


def a_heartbeat_is_proof_when_it_is_sent() -> AbstractContextManager[Any]:
    def beat(self: _link.Link) -> Any:
        self._ledger.stamps.until = float("inf")
        return original(self)

    original = _link.Link.beat
    return patch.object(_link.Link, "beat", beat)


SWITCHES: Final[dict[str, Patch]] = {
    each.__name__: each
    for each in (
        a_hit_needs_no_proof,
        nobody_hears_of_others,
        a_load_does_not_ask_for_foreign_mutations,
        a_record_rests_on_itself_alone,
        stamps_are_not_compared_after_a_loss,
        a_restarted_server_goes_by_its_name,
        a_heartbeat_is_proof_when_it_is_sent,
    )
}
INTACT: Final = "intact"


def switched(name: str) -> AbstractContextManager[Any]:
    return nullcontext() if name == INTACT else SWITCHES[name]()
