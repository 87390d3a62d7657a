"""Every order of single accesses, with processes that die anywhere: nothing is stale, and no rule but a few can go."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from tests.races.processes.model import Memory
from tests.races.processes.protocol import ANY_LOCK, GLOBAL, GROUP, KEY, OTHER, SOURCE, TAG, Mutation, Rules
from tests.races.processes.search import explore

RULES = Rules()
ON_KEY = (Mutation(1),)
ON_TAG = (Mutation(1, (TAG,)),)
OF_TWO = (Mutation(1), Mutation(2, (TAG,)))
OF_ONE_PROCESS = (Mutation(1), Mutation(1))
UNRELATED = Mutation(2, (OTHER,), is_plain=True)
PLAIN = tuple(Mutation(process, is_plain=True) for process in (1, 2, 3))

SEE, ASK, COMPARE = RULES.load[:3], RULES.load[3:5], RULES.load[6:]

#: The tag of a value is computed from it, so that its stamp is seen when the load is over. That no tag of its group
#: was stamped meanwhile is told by the stamp of the group, and that none was changing by the lack of locks.
MARK, SEE_TAG, ASK_TAG, COMPARE_MARK = ("see", GROUP), ("see", TAG), ("ask", TAG), ("compare", GROUP)
BEFORE = (("see", GLOBAL), ("see", KEY))
COMPUTED = replace(
    RULES,
    mutation=(
        "lock slots",
        *(begin := ("stamp slots", "stamp group", "stamp global")),
        "commit",
        *begin,
        "unlock slots",
    ),
    load=(*BEFORE, MARK, ANY_LOCK, SOURCE, SEE_TAG, ASK_TAG, COMPARE_MARK),
)


def load(*steps: tuple[str, int]) -> Rules:
    return replace(COMPUTED, load=(*BEFORE, *steps))


@dataclass(frozen=True)
class World:
    memory: Memory
    states: int


#: As many states as there are: a model that has become smaller proves less.
WORLDS = {
    "a mutation": World(Memory(ON_KEY), 1_143),
    "a mutation and three reads": World(Memory(ON_KEY, reads=3), 1_700),
    "two mutations": World(Memory(OF_TWO), 78_000),
    "two mutations of one process": World(Memory(OF_ONE_PROCESS), 46_000),
    "two tasks that read": World(Memory(ON_KEY, readers=2, reads=1), 13_000),
    "a forked reader": World(Memory(ON_KEY, forked_by=1), 1_000),
    "invalidations without a window": World(Memory(PLAIN[:2], crashes=False), 2_200),
    "a computed tag": World(Memory(ON_TAG, COMPUTED), 1_700),
}

#: Greater ones, for a deep run.
DEEP_WORLDS = {
    "two mutations of one slot": World(Memory((Mutation(1), Mutation(2))), 95_000),
    "a mutation of two slots and one of one": World(Memory((Mutation(1, (KEY, TAG)), Mutation(2))), 224_000),
    "two tasks that read again": World(Memory(ON_KEY, readers=2), 54_000),
    "three tasks that read": World(Memory(ON_KEY, readers=3, reads=1), 309_000),
    "a forked reader and two mutations": World(Memory(OF_TWO, forked_by=1), 70_000),
    "a mutation and an unrelated one": World(Memory((Mutation(1), UNRELATED)), 4_000),
    "a computed tag and two mutations": World(Memory((Mutation(1, (TAG,)), Mutation(2, (TAG,))), COMPUTED), 392_000),
}


@pytest.mark.parametrize("name", [*WORLDS, *DEEP_WORLDS])
def test_no_read_is_older_than_a_mutation_that_had_ended(name: str, deep: bool) -> None:
    if name in DEEP_WORLDS and not deep:
        pytest.skip("explored with --deep")
    world = WORLDS.get(name) or DEEP_WORLDS[name]
    found = explore(world.memory)
    assert found.violation is None, str(found)
    assert found.states >= world.states


#: What is broken, and shows.
BROKEN = {
    # -- the mutation ----------------------------------------------------------------------------------------------
    "a mutation holds no lock": Memory(
        ON_KEY, replace(RULES, mutation=("stamp slots", "stamp global", "commit", "stamp slots", "stamp global"))
    ),
    "a mutation holds its lock up to its commit only": Memory(
        ON_KEY,
        replace(
            RULES,
            mutation=(
                "lock slots",
                "stamp slots",
                "stamp global",
                "unlock slots",
                "commit",
                "stamp slots",
                "stamp global",
            ),
        ),
    ),
    "a mutation stamps before it locks": Memory(
        ON_KEY,
        replace(
            RULES,
            mutation=(
                "stamp slots",
                "stamp global",
                "lock slots",
                "commit",
                "stamp slots",
                "stamp global",
                "unlock slots",
            ),
        ),
    ),
    "a mutation stamps at its end only": Memory(
        ON_KEY, replace(RULES, mutation=("lock slots", "commit", "stamp slots", "stamp global", "unlock slots"))
    ),
    "the global stamp is written before the slot": Memory(
        ON_KEY,
        replace(
            RULES,
            mutation=(
                "lock slots",
                "stamp global",
                "stamp slots",
                "commit",
                "stamp global",
                "stamp slots",
                "unlock slots",
            ),
        ),
    ),
    "the global stamp is not written": Memory(
        ON_KEY, replace(RULES, mutation=("lock slots", "stamp slots", "commit", "stamp slots", "unlock slots"))
    ),
    "a lock that was lost, and no stamp at the end": Memory(
        ON_KEY,
        replace(RULES, mutation=("lock slots", "stamp slots", "stamp global", "unlock slots", "commit")),
        crashes=False,
    ),
    "the first of two mutations of a process unlocks for both": Memory(OF_ONE_PROCESS, replace(RULES, counted=False)),
    "a lock outlives its process": Memory(ON_KEY, replace(RULES, unlocks_the_dead=False)),
    "a stamp is one more than the one before": Memory(
        PLAIN,
        replace(
            RULES,
            unique=False,
            plain=("commit", "stamp slots"),
            hit=(KEY,),
            load=(("see", KEY), SOURCE, ("compare", KEY)),
        ),
        crashes=False,
    ),
    # -- the load --------------------------------------------------------------------------------------------------
    "a load asks for no lock": Memory(ON_KEY, replace(RULES, load=(*SEE, SOURCE, *COMPARE))),
    "a load asks for the lock before it sees the stamps": Memory(
        ON_KEY, replace(RULES, load=(*ASK, *SEE, SOURCE, *COMPARE))
    ),
    "a load asks for the lock when it has read": Memory(ON_KEY, replace(RULES, load=(*SEE, SOURCE, *ASK, *COMPARE))),
    "a load asks for the lock of its key, and not of its tag": Memory(
        ON_TAG, replace(RULES, load=(*SEE, ASK[0], SOURCE, *COMPARE))
    ),
    "a load sees the stamps when it has read": Memory(ON_KEY, replace(RULES, load=(*ASK, SOURCE, *SEE, *COMPARE))),
    "a load is stored with the stamps of its end": Memory(ON_KEY, replace(RULES, load=(*SEE, *ASK, SOURCE, *SEE))),
    "a load is stored with the global stamp of its end": Memory(
        ON_KEY, replace(RULES, load=(*SEE, *ASK, SOURCE, *COMPARE, ("see", GLOBAL)))
    ),
    # -- the hit ---------------------------------------------------------------------------------------------------
    "a hit looks at nothing": Memory(ON_KEY, replace(RULES, hit=())),
    "a hit looks at the key, and not at the tag": Memory(ON_TAG, replace(RULES, hit=(GLOBAL, KEY))),
    "a hit remembers the global stamp that it reads after the slots": Memory(
        (Mutation(1), UNRELATED), replace(RULES, hit=(GLOBAL, KEY, TAG, GLOBAL))
    ),
    # -- those who join --------------------------------------------------------------------------------------------
    "whoever joins a load does not look at its stamps": Memory(ON_KEY, replace(RULES, join=()), readers=2),
    "whoever joins a load does not ask when it began": Memory(
        ON_KEY, replace(RULES, joins_clean_only=False), readers=2
    ),
    # -- the child -------------------------------------------------------------------------------------------------
    "a child goes on with the file of its parent": Memory(ON_KEY, replace(RULES, reopens=False), forked_by=1),
    "a child goes on with the stamps of its parent": Memory(
        OF_ONE_PROCESS, replace(RULES, renumbers=False), crashes=False
    ),
    # -- computed tags ---------------------------------------------------------------------------------------------
    "with a computed tag, nobody asks before the load whether anything is changing": Memory(
        ON_TAG, load(MARK, SOURCE, SEE_TAG, ASK_TAG, COMPARE_MARK)
    ),
    "with a computed tag, that is asked before the mark is taken": Memory(
        ON_TAG, load(ANY_LOCK, MARK, SOURCE, SEE_TAG, ASK_TAG, COMPARE_MARK)
    ),
    "with a computed tag, nobody asks after the load whether it is changing": Memory(
        ON_TAG, load(MARK, ANY_LOCK, SOURCE, SEE_TAG, COMPARE_MARK)
    ),
    "with a computed tag, that is asked before its stamp is seen": Memory(
        ON_TAG, load(MARK, ANY_LOCK, SOURCE, ASK_TAG, SEE_TAG, COMPARE_MARK)
    ),
    "with a computed tag, the mark is compared before that is asked": Memory(
        ON_TAG, load(MARK, ANY_LOCK, SOURCE, SEE_TAG, COMPARE_MARK, ASK_TAG)
    ),
    "with a computed tag, the mark is compared before its stamp is seen": Memory(
        ON_TAG, load(MARK, ANY_LOCK, SOURCE, COMPARE_MARK, SEE_TAG, ASK_TAG)
    ),
    "with a computed tag, no mark is compared": Memory(ON_TAG, load(MARK, ANY_LOCK, SOURCE, SEE_TAG, ASK_TAG)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_rule_that_is_broken_shows(name: str) -> None:
    found = explore(BROKEN[name])
    assert found.violation is not None, f"{name}: not noticed in {found.states:,} states"
    print(found)  # noqa: T201 - the counterexample, for whoever asks with -rP


#: What may be left out or turned round, each with the reason why it does not matter.
HARMLESS = {
    # Whoever begins inside the window has seen the lock, and whoever began before it dies of the stamp at the begin.
    # It stays for a lock that is lost, as when a stranger closes the descriptor: then it alone is left.
    "a mutation stamps at its begin only": Memory(
        ON_KEY, replace(RULES, mutation=("lock slots", "stamp slots", "stamp global", "commit", "unlock slots"))
    ),
    # What is read between the two has been committed.
    "a mutation unlocks before it stamps at its end": Memory(
        ON_KEY,
        replace(
            RULES,
            mutation=(
                "lock slots",
                "stamp slots",
                "stamp global",
                "commit",
                "unlock slots",
                "stamp slots",
                "stamp global",
            ),
        ),
    ),
    # The other half of "a lock that was lost".
    "a lock that was lost": Memory(
        ON_KEY,
        replace(
            RULES,
            mutation=(
                "lock slots",
                "stamp slots",
                "stamp global",
                "unlock slots",
                "commit",
                "stamp slots",
                "stamp global",
            ),
        ),
        crashes=False,
    ),
    # The entry has the stamps of before the load, with which the next hit will not be content. What is stored is
    # garbage at most, and its place is wanted for something better.
    "a load is stored without a look at the stamps": Memory(ON_KEY, replace(RULES, load=(*SEE, *ASK, SOURCE))),
    # If it has changed since, so has the stamp of the slot before it, and that is compared.
    "the global stamp is seen after the slots": Memory(
        ON_KEY, replace(RULES, load=(*SEE[1:], SEE[0], *ASK, SOURCE, *COMPARE))
    ),
    # No stamp of a slot is written without that of the whole after it.
    "a load compares the global stamp alone": Memory(
        ON_KEY, replace(RULES, load=(*SEE, *ASK, SOURCE, ("compare", GLOBAL)))
    ),
    # It is there for speed.
    "a hit never looks at the global stamp": Memory(ON_KEY, replace(RULES, hit=(KEY, TAG))),
    # Whoever loads has seen that no window is open, and all that is going on since then begins with a greater number.
    "in windows, a stamp is one more than the one before": Memory(
        OF_ONE_PROCESS, replace(RULES, unique=False, hit=(KEY,), load=(SEE[1], ASK[0], SOURCE))
    ),
    # The group before the slot: then the stamp of the tag is not seen new before the group shows it, and the lock
    # need not be asked for again. The order of the slots is otherwise free.
    "with a computed tag, the group is stamped before the tag, and nobody asks after the load": Memory(
        ON_TAG,
        replace(
            load(MARK, ANY_LOCK, SOURCE, SEE_TAG, COMPARE_MARK),
            mutation=(
                "lock slots",
                "stamp group",
                "stamp slots",
                "stamp global",
                "commit",
                "stamp group",
                "stamp slots",
                "stamp global",
                "unlock slots",
            ),
        ),
    ),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_could_be_otherwise(name: str, deep: bool) -> None:
    memory = HARMLESS[name]
    if deep and memory.mutations == ON_KEY:
        memory = replace(memory, mutations=OF_TWO)
    found = explore(memory)
    assert found.violation is None, f"{name} is no longer harmless:\n{found}"
    assert found.states > 500
