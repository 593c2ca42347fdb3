"""Ids in the order of time: UUIDv7, whose first 48 bits are the milliseconds since 1970 (RFC 9562, section 5.7)."""

from datetime import datetime
from uuid import UUID


def first_id(moment: datetime) -> UUID:
    """Return what all ids of that moment and later are at least; raises ValueError for a time that UUIDv7 lacks."""
    milliseconds = round(moment.timestamp() * 1000)
    if not 0 <= milliseconds < 1 << 48:
        raise ValueError("UUIDv7 knows no such time")
    return UUID(int=milliseconds << 80)
