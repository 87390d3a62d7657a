"""One machine, four workers: four processes serve and change one catalogue, with and without a bus between them.

Run it from the project's root with ``python -m examples.workers``. What is served is the cached catalogue of the first
act, :mod:`examples.catalogue.ours`, unchanged. ``worker`` is one process, and has the line that this act is about;
``crew`` starts, stops and kills four of them, ``log`` is what they leave behind, and ``judge`` finds the stale reads
in it.
"""
