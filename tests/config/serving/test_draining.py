import pytest

from config.serving import draining


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "_ends", [])


async def test_all_work_is_brought_to_its_end_also_beside_some_that_fails() -> None:
    ended = []

    async def fail() -> None:
        raise RuntimeError("the server is away")

    async def end() -> None:
        ended.append("end")

    for each in (fail, end, end):
        draining.before_exit(each)
    await draining.drain()
    assert ended == ["end"]
