"""What stands where in the file of stamps: a header of one page, then the stamps, all of them numbers of 64 bits."""

from __future__ import annotations

from typing import Final

PAGE: Final = 4096
#: Offsets in the header, in items.
MAGIC_AT, FORMAT_AT, SLOTS_AT, NUMBER_AT, IDENTITY_AT = range(5)
#: Where the header has room for words of which processes set the bits, and how many.
WORDS_AT, WORDS = 256, 256
MAGIC: Final = int.from_bytes(b"asynccch", "little")
#: To be raised by whoever changes what anything in the file means. The bytes that are locked mean the same for ever.
FORMAT: Final = 1
#: The stamps: the first of all, one for each group of slots, and from there on the slots.
GROUPS: Final = 256
FIRST_SLOT: Final = 512
SLOTS: Final = 65_536
STAMPS: Final = FIRST_SLOT + SLOTS
SIZE: Final = PAGE + 8 * STAMPS

#: Locked bytes that are no slots: while the header is read or changed, and for as long as a process uses the file.
GUARD, PRESENCE = 0, 1
