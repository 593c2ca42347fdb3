import pytest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from config import addresses

PEER = "192.0.2.1"


def _both(peer: str | None, forwarded: list[str], proxies: int, settings: Settings) -> str:
    """Ask for a request and for a scope, which must agree."""
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR=peer or "")
    if forwarded:
        # As Django joins headers that come more than once.
        request.META["HTTP_X_FORWARDED_FOR"] = ",".join(forwarded)
    headers = [(b"x-forwarded-for", each.encode("latin-1")) for each in forwarded]
    scope = {"client": [peer, 4711] if peer else None, "headers": headers}
    assert addresses.of_request(request) == addresses.of_scope(scope)
    return addresses.of_scope(scope)


@pytest.mark.parametrize(
    ("forwarded", "proxies", "client"),
    [
        ([], 0, PEER),
        (["198.51.100.7"], 0, PEER),
        (["198.51.100.7"], 1, "198.51.100.7"),
        (["10.9.9.9, 198.51.100.7"], 1, "198.51.100.7"),
        (["10.9.9.9, 198.51.100.7, 203.0.113.2"], 2, "198.51.100.7"),
        (["10.9.9.9", "198.51.100.7 , 203.0.113.2"], 2, "198.51.100.7"),
        (["198.51.100.7"], 2, PEER),
        ([], 1, PEER),
        ([""], 1, PEER),
        (["198.51.100.7, "], 1, PEER),
        (["unknown"], 1, PEER),
        (["198.51.100.7, evil<script>"], 1, PEER),
        (["198.51.100.7:5123"], 1, "198.51.100.7"),
        (["[2001:DB8::1]:443"], 1, "2001:db8::1"),
        (["2001:db8:0:0::1"], 1, "2001:db8::1"),
        (["::ffff:198.51.100.7"], 1, "198.51.100.7"),
        (["fe80::1%eth0"], 1, "fe80::1"),
        (["é" * 10_000], 1, PEER),
    ],
)
def test_the_client_is_counted_from_the_right(
    settings: Settings, forwarded: list[str], proxies: int, client: str
) -> None:
    assert _both(PEER, forwarded, proxies, settings) == client


@given(lies=st.lists(st.text("0123456789abcdef.:, []", max_size=20), max_size=5))
def test_whatever_a_client_writes_to_the_left_it_cannot_choose_its_address(lies: list[str]) -> None:
    from django.conf import settings

    before, settings.TRUSTED_PROXIES = settings.TRUSTED_PROXIES, 1
    try:
        header = ",".join([*lies, "198.51.100.7"]).encode()
        assert addresses.of_scope({"client": [PEER, 1], "headers": [(b"x-forwarded-for", header)]}) == "198.51.100.7"
    finally:
        settings.TRUSTED_PROXIES = before


@pytest.mark.parametrize("peer", [None, "", "/run/web.sock"])
def test_a_connection_without_an_address_is_unknown(settings: Settings, peer: str | None) -> None:
    assert _both(peer, [], 0, settings) == addresses.UNKNOWN


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("unknown", "unknown"),
    ],
)
def test_of_ipv6_only_the_network_counts(address: str, network: str) -> None:
    assert addresses.network_of(address) == network
