"""A shopping agent whose tools are called without a cache, with a handmade one, and with this one.

Run it from the project's root with ``python -m examples.agent_shop``. Read :mod:`examples.agent_shop.ours` to see
how the library is used; ``uncached`` has the same tools without a cache, ``naive`` the cache that people put around
tools by hand, ``shopper`` the script that stands in for a model, and ``circles`` the agent that has to be stopped.
"""
