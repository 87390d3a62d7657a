"""The lock on what files and their users have in common: one for the whole process, held for moments.

A finalizer may run in the middle of it, on the same thread, and ask for a change. So it is reentrant, and nobody waits
under it: who `is_mine` must not wait for the thread of a file either, which needs it too, whichever file that is.
"""

from __future__ import annotations

import os
import threading
from typing import Any

lock = threading.RLock()


def is_mine() -> bool:
    """Whether this thread holds it: a finalizer may ask."""
    owned: Any = lock
    return bool(owned._is_owned())


if hasattr(os, "register_at_fork"):
    # Registered before the threads of files are held up by a fork, and so taken later: they may need it until then.
    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
