"""From which address somebody asks, also behind proxies.

Each proxy adds the address that it was asked from to the right of X-Forwarded-For; what stands further to the left than
our own proxies reach was written by the client, who may write anything. TRUSTED_PROXIES says how many are ours.
"""

import ipaddress
import re
from typing import Any

from django.conf import settings
from django.http import HttpRequest

# What a connection without an address has (a Unix socket); all of these count as one.
UNKNOWN = "unknown"
# What a site, and often a single household, is given: RFC 6177.
_NETWORK = 64
# Some proxies add the port.
_WITH_PORT = re.compile(r"\[([^\]]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+")


def of_request(request: HttpRequest) -> str:
    """Return the client's address."""
    return _client(request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", ""))


def of_scope(scope: Any) -> str:
    """Return the client's address, for an ASGI scope."""
    forwarded = b",".join(value for name, value in scope.get("headers", ()) if name == b"x-forwarded-for")
    return _client(str((scope.get("client") or ("",))[0]), forwarded.decode("latin-1"))


def network_of(address: str) -> str:
    """Return what an address counts as: of IPv6 the first 64 bits, because a client may choose the others freely."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((int(ipaddress.IPv6Address(address)) >> _NETWORK << _NETWORK, _NETWORK)))


def _client(peer: str, forwarded: str) -> str:
    proxies = settings.TRUSTED_PROXIES
    # More of it than our proxies wrote is not even looked at.
    entries = forwarded.rsplit(",", proxies)[-proxies:] if proxies else []
    # The header is malformed where it has fewer entries than we have proxies: then somebody came past them.
    named = _address(entries[0]) if len(entries) == proxies > 0 else None
    return named or _address(peer) or UNKNOWN


def _address(text: str) -> str | None:
    """Return an address in its one form, None where there is none in the text."""
    text = text.strip()
    with_port = _WITH_PORT.fullmatch(text)
    if with_port is not None:
        text = with_port[1] or with_port[2]
    try:
        # A zone ("%eth0") names one of the machine's own interfaces.
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)
