import pytest

from tests.llm.providers.peers import KEY, PEERS, Peer


@pytest.fixture(params=PEERS, ids=lambda peer: peer.name)
def peer(request, monkeypatch) -> Peer:
    monkeypatch.setenv("OLLAMA_API_KEY", KEY)
    return request.param
