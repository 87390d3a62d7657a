"""A shop's catalogue under load, served without a cache, with a handmade one, and with this one.

Run it from the project's root with ``python -m examples.catalogue``. Read :mod:`examples.catalogue.ours` to
see how the library is used; ``shop`` is the application without a cache, ``naive`` the cache that people
write by hand, and ``ledger`` the judge who finds the stale reads.
"""
