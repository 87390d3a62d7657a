"""Two machines, one Redis: groups of processes that share nothing else but their database, and lose it half-way.

Run it from the project's root with ``python -m examples.machines``. It starts a Redis server of its own. The workers,
what they serve and what they leave behind are those of the third act, :mod:`examples.workers`, in two groups with a
folder each; ``server`` is the Redis server, and ``figures`` finds how far a read was behind.
"""
