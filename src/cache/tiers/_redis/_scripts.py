"""Scripts: what the server does in one go, so that nobody sees half of it.

An incarnation is what a server has kept without a gap: neither a restart nor the reign of another primary in between.
Which one it is stands in a marker, beside the run and the history of the server that it was made for. It is made anew
where they are others, or where there is none; and whatever belongs to the one before is never looked at again.

Where stamps are needed and there are none, because the server has dropped them, the script makes new ones: with
another base, which is the stamp of all slots at first, and of none ever again. Everybody is told, and whatever rests
on the old ones is over.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Final

#: How the error begins of a server whose incarnation is another.
ANOTHER: Final = "INCARNATION"


class Script:
    """The text of a script, and by what the server knows it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest: str = sha1(text.encode()).hexdigest()  # noqa: S324 - it is how servers name scripts


_WHO: Final = """
local who = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  .. string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
"""

#: KEYS: marker, what lives with it; ARGV: another incarnation, milliseconds that it lives, channel, command that tells.
#: Returns which incarnation it is.
INCARNATION: Final = Script(f"""-- cache incarnation 2{_WHO}
local marker = redis.call('GET', KEYS[1])
if marker and string.sub(marker, 17) == who then
  for at = 1, #KEYS do
    redis.call('PEXPIRE', KEYS[at], ARGV[2])
  end
else
  marker = ARGV[1] .. who
  redis.call('SET', KEYS[1], marker, 'PX', ARGV[2])
  redis.call(ARGV[4], ARGV[3], 'I' .. ARGV[1])
end
return string.sub(marker, 1, 16)
""")

#: KEYS: stamps, windows, marker, ...
#: ARGV: base, number of slots, milliseconds that stamps live, channel, incarnation, command that tells, ...
_READY: Final = f"""
local marker = redis.call('GET', KEYS[3])
if not marker or string.sub(marker, 1, 16) ~= ARGV[5] then
  return redis.error_reply('{ANOTHER} it is not that any more')
end
local slots = tonumber(ARGV[2])
if redis.call('STRLEN', KEYS[1]) ~= slots * 8 then
  redis.call('SET', KEYS[1], string.rep(ARGV[1], slots), 'PX', ARGV[3])
  redis.call(ARGV[6], ARGV[4], 'R' .. ARGV[1])
end
"""

_NOW: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

#: ... ARGV: heartbeats, number. Refused if it is another server than the marker was made for, or was one meanwhile.
#: Tells the one who asks for it, behind all that was told before.
HEARTBEAT: Final = Script(f"""-- cache heartbeat 3{_READY}{_WHO}
if string.sub(marker, 17) ~= who then
  return redis.error_reply('{ANOTHER} it is another server, or was one meanwhile')
end
redis.call('PEXPIRE', KEYS[3], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call(ARGV[6], ARGV[7], ARGV[8] .. redis.call('GETRANGE', KEYS[1], 0, 7))
return 1
""")

#: The stamps, the windows that are open and until when, and the time.
SYNC: Final = Script(f"""-- cache sync 3{_READY}{_NOW}
return {{redis.call('GET', KEYS[1]), redis.call('ZRANGEBYSCORE', KEYS[2], now, '+inf', 'WITHSCORES'), now}}
""")

#: ... KEYS: values and leases that are over, the value that is assigned first.
#: ... ARGV: message, stamp, positions, window or nothing, its milliseconds (0: it ends), value or nothing, and its; and
#: ... positions with the stamps that they must have for that: else it is not stored, or (1) nothing is done at all.
CHANGE: Final = Script(f"""-- cache change 4{_READY}
local is_as_known = true
for at = 1, #ARGV[14], 12 do
  local first = struct.unpack('<I4', ARGV[14], at) * 8
  if redis.call('GETRANGE', KEYS[1], first, first + 7) ~= string.sub(ARGV[14], at + 4, at + 11) then
    is_as_known = false
  end
end
if ARGV[15] == '1' and not is_as_known then
  return 0
end
for at = 1, #ARGV[9], 4 do
  redis.call('SETRANGE', KEYS[1], struct.unpack('<I4', ARGV[9], at) * 8, ARGV[8])
end
if #ARGV[10] > 0 then
  local left = tonumber(ARGV[11])
  if left > 0 then{_NOW.replace(chr(10), chr(10) + "    ")}
    redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
    redis.call('ZADD', KEYS[2], now + left, ARGV[10])
    if redis.call('PTTL', KEYS[2]) < left then
      redis.call('PEXPIRE', KEYS[2], left + 1000)
    end
  else
    redis.call('ZREM', KEYS[2], ARGV[10])
  end
end
for at = 4, #KEYS, 256 do
  redis.call('UNLINK', unpack(KEYS, at, math.min(at + 255, #KEYS)))
end
if is_as_known and #ARGV[12] > 0 then
  redis.call('SET', KEYS[4], ARGV[12], 'PX', ARGV[13])
end
redis.call(ARGV[6], ARGV[4], ARGV[7])
return 1
""")

#: KEYS: value, lease, ...; ARGV: milliseconds, token, how the value begins that is known, ...
#: For each the value if there is another, 1 if the lease is now that of the token, 0 if it is somebody else's; and
#: nothing at all in place of what is no string, which nobody could have put there but a stranger, and is dropped.
LEASE: Final = Script("""-- cache lease 2
local found = {}
for at = 1, #KEYS, 2 do
  local first = redis.pcall('GETRANGE', KEYS[at], 0, 15)
  if type(first) == 'table' then
    redis.call('UNLINK', KEYS[at])
    found[#found + 1] = ''
  elseif first ~= '' and first ~= ARGV[at + 2] then
    found[#found + 1] = redis.call('GET', KEYS[at])
  elseif redis.call('SET', KEYS[at + 1], ARGV[at + 1], 'NX', 'PX', ARGV[1]) then
    found[#found + 1] = 1
  else
    found[#found + 1] = 0
  end
end
return found
""")

#: KEYS: value, lease, ...; ARGV: token, value or nothing, its milliseconds, ... Stores values, and gives leases back.
FILL: Final = Script("""-- cache fill 1
for at = 1, #KEYS, 2 do
  local first = (at - 1) / 2 * 3 + 1
  if #ARGV[first + 1] > 0 then
    redis.call('SET', KEYS[at], ARGV[first + 1], 'PX', ARGV[first + 2])
  end
  if #ARGV[first] > 0 and redis.call('GET', KEYS[at + 1]) == ARGV[first] then
    redis.call('UNLINK', KEYS[at + 1])
  end
end
return 1
""")

ALL: Final = (INCARNATION, HEARTBEAT, SYNC, CHANGE, LEASE, FILL)
