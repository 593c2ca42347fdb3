"""How often somebody may try to sign in: a password is not found by trying.

Every attempt is counted before its password is looked at, so that many at once are not one, and given back where the
password is right. Three sliding windows count, in Redis, for all processes: attempts at an account from a network, all
attempts from a network, and all attempts at an account. The last one is wide: it stops who guesses from many networks,
and anybody could use a narrow one to lock an account's owner out (NIST SP 800-63B-4, section 3.2.2, allows 100).

django-axes does the same with tables, a middleware, a backend and its own idea of a client's address; here `addresses`
knows that already, and a refused attempt must not cost a row.
"""

import math
import time
import unicodedata
import uuid
from collections import deque
from dataclasses import dataclass
from typing import Any

import structlog
from asgiref.sync import async_to_sync
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext, ngettext

from config import addresses
from llm.shared_state import SHARED, Away, Script

log = structlog.get_logger(__name__)

# Attempts, and the seconds of the window that they are counted in.
ACCOUNT_FROM_NETWORK = (5, 15 * 60)
NETWORK = (20, 15 * 60)
ACCOUNT = (100, 60 * 60)
# The same for a process, with all its attempts together, while Redis is away.
ALONE = (10, 60)

# KEYS: the counters. ARGV: the attempt; then for each counter its limit and its window in milliseconds.
# Counts the attempt in all of them or in none; returns the milliseconds to wait, 0 for an attempt that was counted.
_TAKE = Script(
    """
local t = redis.call('TIME')
local now, longest = t[1] * 1000 + math.floor(t[2] / 1000), 0
for i, key in ipairs(KEYS) do
  local limit, window = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
  local over = redis.call('ZCARD', key) - limit
  if over >= 0 then
    local leaves = redis.call('ZRANGE', key, over, over, 'WITHSCORES')[2] + window
    longest = math.max(longest, leaves - now)
  end
end
if longest > 0 then return longest end
for i, key in ipairs(KEYS) do
  redis.call('ZADD', key, now, ARGV[1])
  redis.call('PEXPIRE', key, ARGV[2 * i + 1])
end
return 0
"""
)

# KEYS: the counter of the account from the network, the others. ARGV: the attempt.
# Who knows the password may begin anew; others at that network, or at that account, may not.
_GIVE_BACK = Script(
    """
redis.call('DEL', KEYS[1])
for i = 2, #KEYS do redis.call('ZREM', KEYS[i], ARGV[1]) end
"""
)

_alone: deque[float] = deque()


class TooManyAttempts(Exception):
    """No more attempts for now; `wait` is in whole seconds."""

    def __init__(self, wait: float) -> None:
        self.wait = max(1, math.ceil(wait))
        if self.wait > 90:
            count = math.ceil(self.wait / 60)
            sentence = gettext(
                "There were too many attempts to sign in. Please wait %(count)s minutes, then try again."
            )
        else:
            count = self.wait
            sentence = ngettext(
                "There were too many attempts to sign in. Please wait %(count)s second, then try again.",
                "There were too many attempts to sign in. Please wait %(count)s seconds, then try again.",
                count,
            )
        super().__init__(sentence % {"count": count})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at an account (its name as it was typed) from a client's address."""

    id: str
    account: str
    network: str

    @classmethod
    def at(cls, username: str, address: str) -> "Attempt":
        """Return a new attempt. Names that look alike to Django's forms are one, and none is kept as it was typed."""
        name = unicodedata.normalize("NFKC", username).casefold()
        account = salted_hmac("config.sign_ins", name, algorithm="sha256").hexdigest()
        return cls(uuid.uuid4().hex, account, addresses.network_of(address))

    async def take(self) -> None:
        """Count the attempt. Raises TooManyAttempts, and then it is not counted."""
        limits = [
            number for limit in (ACCOUNT_FROM_NETWORK, NETWORK, ACCOUNT) for number in (limit[0], limit[1] * 1000)
        ]
        try:
            wait = await SHARED.run(_TAKE, self._keys, [self.id, *limits])
        except Away:
            wait = _wait_alone() * 1000
        if wait:
            log.warning("an attempt to sign in was refused", network=self.network, wait_seconds=round(wait / 1000))
            raise TooManyAttempts(wait / 1000)

    async def give_back(self) -> None:
        """Take the attempt for none: its password was right."""
        try:
            await SHARED.run(_GIVE_BACK, self._keys, [self.id])
        except Away:
            log.info("a sign-in still counts as an attempt, Redis is away")

    @property
    def _keys(self) -> list[str]:
        names = (f"account:{self.account}:{self.network}", f"network:{self.network}", f"account:{self.account}")
        return [f"config:sign-ins:{name}" for name in names]


class SignInForm(AdminAuthenticationForm):
    """The admin's sign-in, with attempts counted."""

    def clean(self) -> dict[str, Any]:
        """Look at name and password, unless there were too many attempts."""
        assert self.request is not None
        attempt = Attempt.at(self.cleaned_data.get("username", ""), addresses.of_request(self.request))
        try:
            async_to_sync(attempt.take)()
        except TooManyAttempts as error:
            raise ValidationError(str(error), code="too_many_attempts") from None
        cleaned: dict[str, Any] = super().clean()
        # A form without a password comes here too, and has proved nothing.
        if self.get_user() is not None:
            async_to_sync(attempt.give_back)()
        return cleaned


def _wait_alone() -> float:
    """Count an attempt of this process; returns the seconds to wait where there were too many."""
    attempts, seconds = ALONE
    now = time.monotonic()
    while _alone and _alone[0] <= now - seconds:
        _alone.popleft()
    if len(_alone) >= attempts:
        return _alone[0] + seconds - now
    _alone.append(now)
    return 0
