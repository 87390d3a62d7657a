"""What every tier has to do, whatever it keeps its records in: the suite that each of them is run through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from cache import CacheError
from cache._tier import Address, Covering, Moment, Record, Tier
from cache.testing import FakeClock

A, B, C = (Address("users", key) for key in (b"a", b"b", b"c"))
POST = Address("posts", b"a")
TAG, OTHER_TAG = (Address("#default", key) for key in (b"t", b"u"))

#: Of mutations.
numbers = count(1)

#: A tier of which everybody else who was given one by the same fixture has the store in common.
View = Callable[[], Tier]


async def heard(tier: Tier) -> None:
    """Let it know of all that others have done. One that asks where all is kept does so anyway; others are told."""
    hear_all = getattr(tier, "hear_all", None)
    if hear_all is not None:
        await hear_all()


async def store(tier: Tier, address: Address, value: bytes = b"v", *, grounds: Iterable[Address] = ()) -> None:
    """As a load would that begins and ends now."""
    await heard(tier)
    moment = await tier.moment()
    assert moment is not None
    tier.write(Record(address, value, grounds=tuple(grounds)), moment)
    await tier.flush()


async def read(tier: Tier, *addresses: Address) -> list[Record | Moment | None]:
    """What is found, by somebody who will load nothing."""
    await heard(tier)
    found = await tier.read(addresses)
    tier.release({each: what for each, what in zip(addresses, found, strict=True) if isinstance(what, Moment)})
    return found


async def held(tier: Tier, *addresses: Address) -> list[bytes | None]:
    """The values that may be read."""
    return [each.value if isinstance(each, Record) else None for each in await read(tier, *addresses)]


async def invalidate(tier: Tier, addresses: Sequence[Address], spaces: Sequence[str] = ()) -> None:
    done = tier.invalidate(addresses, spaces)
    assert done is not None
    await done


async def assign(tier: Tier, record: Record) -> None:
    done = tier.assign(record)
    assert done is not None
    await done


def covering_of(addresses: Sequence[Address], spaces: Sequence[str] = ()) -> Covering:
    return Covering(tuple(addresses), tuple(spaces), next(numbers))


async def begin(tier: Tier, addresses: Sequence[Address], spaces: Sequence[str] = ()) -> Covering:
    covering = covering_of(addresses, spaces)
    begun = tier.begin(covering)
    assert begun is not None
    await begun
    return covering


async def end(tier: Tier, covering: Covering, linger: float = 0.0) -> None:
    done = tier.end(covering, linger)
    assert done is not None
    await done


async def moment_of(tier: Tier) -> Moment:
    await heard(tier)
    moment = await tier.moment()
    assert moment is not None
    return moment


#: What ends a value at A that rests on TAG and on POST.
ENDS = [([A], []), ([TAG], []), ([POST], []), ([], ["users"]), ([], ["#default"]), ([], ["posts"]), ([C, TAG], ["x"])]


class TierContract:
    """To be inherited by the tests of a tier, which give the fixtures ``view`` and ``clock``."""

    @pytest.fixture
    def here(self, view: View) -> Tier:
        return view()

    @pytest.fixture
    def there(self, view: View) -> Tier:
        """As another process has it."""
        return view()

    async def test_what_is_missing_is_read_as_the_moment_from_which_it_may_be_loaded(self, here: Tier) -> None:
        missing, also_missing = await read(here, A, B)
        assert isinstance(missing, Moment)
        assert missing == also_missing == await here.moment()

    async def test_what_was_written_is_read_with_all_that_belongs_to_it_and_by_everybody(
        self, here: Tier, there: Tier, clock: FakeClock
    ) -> None:
        record = Record(A, b"\x00v", clock() + 60, (TAG, Address("ü\ud800", b"\xff")))
        here.write(record, await moment_of(here))
        assert await here.read([B, A]) == [await here.moment(), record]
        assert await there.read([A]) == [record]

    @pytest.mark.parametrize("value", [b"", bytes(300_000)], ids=["empty", "large"])
    async def test_a_value_may_be_empty_or_large(self, here: Tier, there: Tier, value: bytes) -> None:
        await store(here, A, value)
        assert await held(there, A) == [value]

    async def test_a_space_and_a_key_may_have_anything_in_them(self, here: Tier, there: Tier) -> None:
        addresses = [Address("ab", b"c"), Address("a", b"bc"), Address("", b""), Address("\ud800", b"\x00\xff:")]
        for address in addresses:
            await store(here, address, repr(address).encode())
        assert await held(there, *addresses) == [repr(address).encode() for address in addresses]

    async def test_what_this_process_has_written_it_finds_although_it_is_on_its_way(self, here: Tier) -> None:
        moment = await moment_of(here)
        for number in range(300):
            address = Address("users", b"%d" % number)
            here.write(Record(address, b"v"), moment)
            assert await held(here, address) == [b"v"]

    async def test_a_second_value_takes_the_place_of_the_first(self, here: Tier, there: Tier) -> None:
        await store(here, A, b"1", grounds=[TAG])
        await store(there, A, b"2")
        await invalidate(here, [TAG])
        assert await held(here, A) == [b"2"]

    async def test_a_value_is_read_until_it_expires(self, here: Tier, there: Tier, clock: FakeClock) -> None:
        here.write(Record(A, b"v", clock() + 10), await moment_of(here))
        await here.flush()
        clock.advance(9)
        assert await held(there, A) == [b"v"]
        clock.advance(1)
        assert await held(here, A) == await held(there, A) == [None]

    async def test_what_has_expired_is_not_stored(self, here: Tier, clock: FakeClock) -> None:
        here.write(Record(A, b"v", clock()), await moment_of(here))
        assert await here.flush() == 0

    @pytest.mark.parametrize(("addresses", "spaces"), ENDS)
    async def test_an_invalidation_is_for_everybody_the_end_of_what_rests_on_it(
        self, here: Tier, there: Tier, addresses: list[Address], spaces: list[str]
    ) -> None:
        await store(here, A, grounds=[TAG, POST])
        assert await held(there, A) == [b"v"]
        await invalidate(there, addresses, spaces)
        assert await held(here, A) == await held(there, A) == [None]

    @pytest.mark.parametrize(("addresses", "spaces"), ENDS)
    async def test_a_load_that_began_before_an_invalidation_is_stored_by_nobody(
        self, here: Tier, there: Tier, addresses: list[Address], spaces: list[str]
    ) -> None:
        before = await moment_of(here)
        also_before = await moment_of(there)
        await invalidate(there, addresses, spaces)
        await heard(here)
        here.write(Record(A, b"old", grounds=(TAG, POST)), before)
        there.write(Record(A, b"old", grounds=(TAG, POST)), also_before)
        assert await here.flush() == await there.flush() == 0
        assert await held(here, A) == [None]
        await store(here, A, b"new", grounds=(TAG, POST))
        assert await held(there, A) == [b"new"]

    async def test_an_invalidation_spares_what_does_not_rest_on_it(self, here: Tier, there: Tier) -> None:
        for address in (A, B, POST):
            await store(here, address, grounds=[TAG])
        before = await moment_of(here)
        await invalidate(there, [C, OTHER_TAG], ["comments"])
        assert await held(here, A, B, POST) == [b"v"] * 3
        here.write(Record(A, b"w", grounds=(TAG,)), before)
        assert await here.flush() == 1
        await invalidate(there, [], ["users"])
        assert await held(here, A, B, POST) == [None, None, b"v"]

    async def test_what_is_asked_after_an_invalidation_finds_it_done_whether_or_not_it_was_waited_for(
        self, here: Tier
    ) -> None:
        await store(here, A, grounds=[TAG])
        before = await moment_of(here)
        here.write(Record(B, b"on its way", grounds=(TAG,)), before)
        done = here.invalidate([TAG])
        here.write(Record(C, b"late", grounds=(TAG,)), before)
        assert await held(here, A, B, C) == [None] * 3
        assert done is not None
        await done

    async def test_a_refused_load_leaves_the_newer_value_alone(self, here: Tier, there: Tier) -> None:
        before = await moment_of(here)
        await invalidate(there, [A])
        await store(there, A, b"new")
        await heard(here)
        here.write(Record(A, b"old"), before)
        assert await here.flush() == 0
        assert await held(here, A) == [b"new"]

    async def test_an_invalidation_whose_caller_is_cancelled_is_done(self, here: Tier, there: Tier) -> None:
        await store(here, A)
        done = here.invalidate([A])
        assert done is not None
        done.cancel()
        await here.flush()
        assert await held(there, A) == [None]

    async def test_an_assigned_value_is_true_from_then_on_and_the_end_of_what_was_made_of_the_old_one(
        self, here: Tier, there: Tier
    ) -> None:
        await store(here, A, b"old")
        await store(here, B, grounds=[A])
        before = await moment_of(there)
        await assign(here, Record(A, b"assigned", grounds=(TAG,)))
        assert await held(there, A, B) == [b"assigned", None]
        there.write(Record(A, b"loaded"), before)
        assert await there.flush() == 0
        assert await held(here, A) == [b"assigned"]
        await invalidate(there, [TAG])
        assert await held(here, A) == [None]

    async def test_assignments_and_invalidations_are_done_in_the_order_of_the_calls(self, here: Tier) -> None:
        await heard(here)  # what is assigned while nobody knows what has changed need not be stored
        here.assign(Record(A, b"1"))
        here.invalidate([A])
        here.assign(Record(A, b"2"))
        here.assign(Record(B, b"1"))
        here.invalidate([B])
        assert await held(here, A, B) == [b"2", None]

    async def test_an_assigned_value_that_has_expired_takes_the_old_one_with_it(
        self, here: Tier, clock: FakeClock
    ) -> None:
        await store(here, A)
        await assign(here, Record(A, b"2", clock()))
        assert await held(here, A) == [None]

    async def test_a_value_that_replaces_another_is_the_end_of_what_was_made_of_that(
        self, here: Tier, there: Tier
    ) -> None:
        await store(here, A, b"old")
        await store(here, B, b"made of the old", grounds=[A])
        before = await moment_of(there)
        here.write(Record(A, b"new"), await moment_of(here), replaces=True)
        assert await here.flush() == 1
        assert await held(there, A, B) == [b"new", None]
        there.write(Record(B, b"made of the old", grounds=(A,)), before)
        there.write(Record(A, b"older"), before, replaces=True)
        assert await there.flush() == 0
        assert await held(here, A, B) == [b"new", None]

    @pytest.mark.parametrize(("addresses", "spaces"), ENDS)
    async def test_what_a_mutation_covers_is_stored_by_nobody_until_it_has_ended(
        self, here: Tier, there: Tier, addresses: list[Address], spaces: list[str]
    ) -> None:
        await store(here, A, grounds=[TAG, POST])
        covering = await begin(here, addresses, spaces)
        assert await held(here, A) == await held(there, A) == [None]
        for tier in (here, there):
            tier.write(Record(A, b"old", grounds=(TAG, POST)), await moment_of(tier))
            tier.write(Record(A, b"old", grounds=(TAG, POST)), await moment_of(tier), replaces=True)
            assert await tier.flush() == 0
        within = await moment_of(there)
        await end(here, covering)
        await heard(there)
        there.write(Record(A, b"old", grounds=(TAG, POST)), within)
        assert await there.flush() == 0
        assert await held(here, A) == [None]
        await store(there, A, b"new", grounds=[TAG, POST])
        assert await held(here, A) == [b"new"]

    async def test_a_mutation_spares_what_does_not_rest_on_what_it_covers(self, here: Tier, there: Tier) -> None:
        await store(here, B, grounds=[TAG])
        covering = await begin(here, [A, OTHER_TAG], ["posts"])
        await store(there, C, grounds=[TAG])
        assert await held(here, B, C) == [b"v"] * 2
        await end(here, covering)
        assert await held(here, B, C) == [b"v"] * 2

    async def test_of_several_mutations_of_the_same_the_last_to_end_uncovers_it(self, here: Tier, there: Tier) -> None:
        coverings = [await begin(tier, addresses) for tier, addresses in ((here, [A]), (here, [A, A]), (there, [A, B]))]
        for tier, covering in zip((here, here, there), coverings, strict=True):
            await store(here, A)
            assert await held(here, A) == [None]
            await end(tier, covering)
        await store(here, A)
        assert await held(there, A) == [b"v"]

    async def test_a_beginning_that_is_told_twice_is_one_and_one_that_was_never_told_can_be_ended(
        self, here: Tier, there: Tier
    ) -> None:
        covering = await begin(here, [A])
        again = here.begin(covering)
        assert again is not None
        await again
        await end(here, covering)
        await store(there, A)
        assert await held(here, A) == [b"v"]
        await end(here, covering_of([A]))
        assert await held(there, A) == [None]

    async def test_an_end_that_is_told_twice_or_by_another_only_invalidates(self, here: Tier, there: Tier) -> None:
        first, second = await begin(here, [A]), await begin(here, [A])
        await end(there, first)
        await end(there, second)
        await store(here, A)
        assert await held(here, A) == [None]
        await end(here, first)
        await end(here, first)
        await store(here, A)
        assert await held(here, A) == [None]
        await end(here, second)
        await store(here, A)
        assert await held(here, A) == [b"v"]
        await end(here, first)
        assert await held(here, A) == [None]

    async def test_what_is_assigned_under_a_mutation_ends_the_old_value_and_is_not_stored(
        self, here: Tier, there: Tier
    ) -> None:
        await store(here, A)
        await store(here, B, grounds=[A])
        covering = await begin(there, [TAG])
        await assign(here, Record(A, b"w", grounds=(TAG,)))
        assert await held(there, A, B) == [None, None]
        await end(there, covering)
        assert await held(there, A, B) == [None, None]

    async def test_a_beginning_whose_caller_is_cancelled_can_be_ended_at_once(self, here: Tier, there: Tier) -> None:
        await store(here, A)
        covering = covering_of([A])
        begun = here.begin(covering)
        assert begun is not None
        begun.cancel()
        await end(here, covering)
        assert await held(there, A) == [None]
        await store(there, A)
        assert await held(here, A) == [b"v"]

    async def test_a_mutation_that_lingers_has_invalidated_at_once_and_is_over_later(
        self, here: Tier, there: Tier
    ) -> None:
        await store(here, B)
        covering = await begin(here, [A])
        within = await moment_of(here)
        await end(here, covering, 1e9)
        assert (await moment_of(here)).number > within.number
        await store(there, A)
        assert await held(here, A) == [None]
        await end(here, covering)
        await store(there, A)
        assert await held(here, A) == [b"v"]

    async def test_a_linger_comes_to_an_end_by_itself(self, here: Tier, there: Tier) -> None:
        covering = await begin(here, [A])
        await end(here, covering, 0.001)
        while await held(here, A) == [None]:
            await store(there, A)

    async def test_what_is_refused_replaces_nothing(self, here: Tier, there: Tier) -> None:
        await store(here, A, b"old")
        await store(here, B, grounds=[A])
        before = await moment_of(here)
        await invalidate(there, [TAG])
        await heard(here)
        here.write(Record(A, b"new", grounds=(TAG,)), before, replaces=True)
        assert await here.flush() == 0
        assert await held(there, A, B) == [b"old", b"v"]

    async def test_a_flush_tells_how_many_were_stored_since_the_last_one(self, here: Tier) -> None:
        moment = await moment_of(here)
        for number in range(200):
            here.write(Record(Address("users", b"%d" % number), b"v"), moment)
        assert await here.flush() == 200
        assert await here.flush() == 0
        here.write(Record(A, b"v"), moment)
        await here.read([A])  # and so it was stored, although nobody has flushed
        assert await here.flush() == 1

    async def test_a_scan_gives_what_is_valid_in_a_space_in_slices(self, here: Tier, there: Tier) -> None:
        moment = await moment_of(here)
        for number in range(300):
            here.write(Record(Address("users", b"%d" % number), b"v", grounds=(TAG, A)[number % 2 :]), moment)
        here.write(Record(POST, b"v"), moment)
        await here.flush()
        await invalidate(here, [TAG])
        found, after, slices = [], None, 0
        while slices == 0 or after is not None:
            seen, (records, after) = await there.scan("users", after)
            assert seen == await there.moment()
            found += records
            slices += 1
        assert slices > 1
        assert sorted(int(record.address.key) for record in found) == list(range(1, 300, 2))
        assert found[0] == Record(found[0].address, b"v", grounds=(A,))

    async def test_a_scan_of_an_empty_space_is_over_at_once(self, here: Tier) -> None:
        assert await here.scan("users") == (await here.moment(), ([], None))

    def test_a_thread_without_a_loop_may_do_all_of_it(self, here: Tier, there: Tier) -> None:
        (moment,) = here.read_blocking([A])
        assert isinstance(moment, Moment)
        assert moment == here.moment_blocking()
        here.write(Record(A, b"v", grounds=(TAG,)), moment)
        assert here.read_blocking([A]) == [Record(A, b"v", grounds=(TAG,))]
        assert here.flush_blocking() == 1
        assert there.invalidate([TAG]) is None
        asyncio.run(heard(here))
        (found,) = here.read_blocking([A])
        assert isinstance(found, Moment)
        here.release({A: found})
        assert there.assign(Record(A, b"w")) is None
        assert here.read_blocking([A]) == [Record(A, b"w")]
        covering = covering_of([A])
        assert here.begin(covering) is None
        moment = here.moment_blocking()
        assert moment is not None
        here.write(Record(A, b"x"), moment)
        assert here.flush_blocking() == 0
        assert here.end(covering) is None
        assert here.close()
        assert here.close()

    async def test_several_threads_and_loops_may_use_it_at_once(self, here: Tier, there: Tier) -> None:
        def blocking(number: int) -> list[Record | Moment | None]:
            address = Address("users", b"%d" % number)
            moment = here.moment_blocking()
            assert moment is not None
            here.write(Record(address, b"v"), moment)
            here.invalidate([Address("other", b"%d" % number)])
            return here.read_blocking([address])

        async def looping(number: int) -> list[Record | Moment | None]:
            address = Address("users", b"%d" % number)
            here.write(Record(address, b"v"), await moment_of(here))
            await invalidate(here, [Address("other", b"%d" % number)])
            return await here.read([address])

        with ThreadPoolExecutor(6) as pool:
            loop = asyncio.get_running_loop()
            calls = [loop.run_in_executor(pool, blocking, number) for number in range(40)]
            calls += [loop.run_in_executor(pool, asyncio.run, looping(number)) for number in range(40, 60)]
            found = await asyncio.gather(*calls, *(looping(number) for number in range(60, 100)))
        expected = [Record(Address("users", b"%d" % number), b"v") for number in range(100)]
        assert [record for (record,) in found] == expected
        assert await here.flush() == 100
        assert await there.read([record.address for record in expected]) == expected

    async def test_to_close_stores_what_waits_and_may_be_repeated(self, here: Tier, there: Tier) -> None:
        here.write(Record(A, b"v"), await moment_of(here))
        assert await here.aclose()
        assert await here.aclose()
        assert here.close()
        assert await held(there, A) == [b"v"]

    async def test_to_close_does_what_was_asked_for(self, here: Tier, there: Tier) -> None:
        await store(here, A)
        done = here.invalidate([A])
        assert await here.aclose()
        assert done is not None
        assert done.done()
        assert done.exception() is None
        assert await held(there, A) == [None]

    async def test_of_one_that_was_closed_nothing_can_be_said_and_nothing_is_written(
        self, here: Tier, there: Tier
    ) -> None:
        await store(here, A)
        moment = await moment_of(here)
        await here.aclose()
        assert await here.read([A, B]) == [None, None]
        assert await here.moment() is None
        here.write(Record(B, b"v"), moment)
        assert await here.flush() == 0
        assert await here.scan("users") == (None, ([], None))
        assert await held(there, A, B) == [b"v", None]

    async def test_an_invalidation_of_one_that_was_closed_is_an_error_for_others_would_not_know(
        self, here: Tier, there: Tier
    ) -> None:
        await store(here, A)
        await here.aclose()
        with pytest.raises(CacheError, match="closed by its user"):
            await invalidate(here, [A])
        with pytest.raises(CacheError, match="closed by its user"):
            await assign(here, Record(A, b"2"))
        with pytest.raises(CacheError, match="closed by its user"):
            await begin(here, [A])
        with ThreadPoolExecutor(1) as pool, pytest.raises(CacheError, match="closed by its user"):
            pool.submit(here.invalidate, [A]).result()
        assert await held(there, A) == [b"v"]

    async def test_what_a_mutation_covers_as_its_tier_is_closed_stays_covered(self, here: Tier, there: Tier) -> None:
        covering = await begin(here, [A])
        await here.aclose()
        with pytest.raises(CacheError, match="closed by its user"):
            await end(here, covering)
        await store(there, A)
        assert await held(there, A) == [None]
