"""Budgets in the real Valkey: exact, all or nothing, shared by processes, and useful without it."""

import asyncio
import json
import sys
import uuid
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from config import redis
from config.embedded.ports import any_free
from llm import budgets, shared_state
from llm.budgets import Asker, BudgetExceeded, Budgets, Remaining, Use
from llm.limits import Limits
from tests.llm.servers.relay import Relay
from tests.servers import process_environment

MINUTE, HOUR, DAY, QUARTER = 60_000, 3_600_000, 86_400_000, 900_000
MONDAY = 1_700_000_000_000


@pytest.fixture
def limits(settings):
    """Set the limits of anonymous sessions, and of addresses."""

    def use(session: str, address: str = "unlimited") -> None:
        settings.LLM_BUDGETS = {**settings.LLM_BUDGETS, "anonymous": Limits.parse(session)}
        settings.LLM_BUDGET_ADDRESS = Limits.parse(address)

    return use


class Clock:
    """Milliseconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = MONDAY

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def asker(session: str = "", address: str = "", tier: budgets.Tier = "anonymous") -> Asker:
    return Asker(session or f"session-{uuid.uuid4()}", address or f"address-{uuid.uuid4()}", tier)


async def ask(counters: Budgets, who: Asker, tokens: int = 10) -> bool:
    """Whether one more question is admitted."""
    with suppress(BudgetExceeded):
        await counters.reserve(who, str(uuid.uuid4()), tokens)
        return True
    return False


async def refusal(counters: Budgets, who: Asker, tokens: int = 10) -> BudgetExceeded:
    with pytest.raises(BudgetExceeded) as caught:
        await counters.reserve(who, str(uuid.uuid4()), tokens)
    return caught.value


async def test_a_refusal_says_what_the_limit_is_and_how_long_to_wait(process, limits, clock):
    limits("3/minute")
    counters, who = Budgets(process(), now_ms=clock), asker()
    for _ in range(3):
        await ask(counters, who)
        clock.now += 5_000
    refused = await refusal(counters, who)
    assert refused.retry_after == 45
    assert str(refused) == (
        "You have asked 3 questions within a minute, which is the limit. Please wait 45 seconds, then send it again."
    )
    clock.now += 44_999
    assert not await ask(counters, who)
    clock.now += 1
    assert await ask(counters, who)
    assert not await ask(counters, who)


async def test_a_limit_that_was_lowered_holds_at_once_with_the_right_wait(process, limits, clock):
    limits("5/minute")
    counters, who = Budgets(process(), now_ms=clock), asker()
    for _ in range(5):
        await ask(counters, who)
        clock.now += 10_000
    limits("2/minute")
    assert (await refusal(counters, who)).retry_after == 40
    clock.now += 40_000
    assert await ask(counters, who)


@pytest.mark.parametrize(
    ("session", "address", "sentence"),
    [
        (
            "1/hour",
            "unlimited",
            "You have asked 1 question within an hour, which is the limit. Please wait ",
        ),
        (
            "12 tokens/day",
            "unlimited",
            "You have too little left of the 12 tokens (pieces of words) of a day for this question.",
        ),
        ("9/minute", "1/minute", "People at your network address have together asked 1 question within a minute"),
        ("9/minute", "12 tokens/day", "People at your network address have together too little left of the 12 tokens"),
        ("1/minute 1/hour", "1/minute", "You have asked 1 question within an hour"),
    ],
)
async def test_the_longest_wait_is_the_one_that_is_said(process, limits, clock, session, address, sentence):
    limits(session, address)
    counters, who = Budgets(process(), now_ms=clock), asker()
    await counters.reserve(who, str(uuid.uuid4()), 10)
    assert str(await refusal(counters, who)).startswith(sentence)


async def test_a_question_is_taken_from_all_counters_or_from_none(process, limits):
    limits("5/minute 9/hour 100 tokens/day", "1/minute")
    counters, address = Budgets(process()), f"address-{uuid.uuid4()}"
    first, second = asker(address=address), asker(address=address)
    assert await ask(counters, first)
    assert not await ask(counters, second)
    settled = await counters.remaining(second)
    assert settled == Remaining(per_minute=0, per_hour=9, tokens_per_day=100)
    assert await ask(counters, asker(session=second.session))


async def test_a_tier_has_limits_of_its_own(process, limits, settings):
    limits("1/minute")
    settings.LLM_BUDGETS = {**settings.LLM_BUDGETS, "staff": Limits.parse("3/minute")}
    counters, visitor, staff = Budgets(process()), asker(), asker(tier="staff")
    assert [await ask(counters, visitor) for _ in range(4)] == [True, False, False, False]
    assert [await ask(counters, staff) for _ in range(4)] == [True, True, True, False]


async def test_of_many_at_once_in_several_processes_exactly_the_limit_is_admitted(process, limits):
    limits("unlimited", "37/minute")
    several = [Budgets(process()) for _ in range(4)]
    address = f"address-{uuid.uuid4()}"
    admitted = await asyncio.gather(*(ask(several[i % 4], asker(address=address)) for i in range(100)))
    assert admitted.count(True) == 37


async def test_real_processes_share_a_budget(settings, limits):
    limits("5/minute")
    program = (
        "import asyncio, django; django.setup()\n"
        "from llm import budgets\n"
        "async def ask():\n"
        "    admitted = 0\n"
        "    for i in range(4):\n"
        "        try: await budgets.reserve(budgets.Asker(SESSION, 'here'), f'{SESSION}-{ME}-{i}', 1); admitted += 1\n"
        "        except budgets.BudgetExceeded: pass\n"
        "    return admitted\n"
        "print(asyncio.run(ask()))"
    )
    session = str(uuid.uuid4())
    values = {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SECRET_KEY": "for this process",
        "DATABASE_URL": "postgres://127.0.0.1:1/nowhere",
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "REDIS_URL": settings.REDIS_URL,
        "LLM_CHAT": "scripted",
        "LLM_SQL": "scripted",
        "LLM_BUDGET_ANONYMOUS": "5/minute",
    }
    several = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", f"SESSION, ME = {json.dumps(session)}, {me}\n{program}"),
            env=process_environment(values),
            stdout=asyncio.subprocess.PIPE,
        )
        for me in range(2)
    ]
    counts = [int((await each.communicate())[0].splitlines()[-1]) for each in several]
    assert sum(counts) == 5


async def test_the_same_key_is_not_counted_twice(process, limits):
    limits("2/minute 9/hour 100 tokens/day")
    counters, who = Budgets(process()), asker()
    key = str(uuid.uuid4())
    await asyncio.gather(*(counters.reserve(who, key, 30) for _ in range(10)))
    assert await counters.remaining(who) == Remaining(1, 8, 70)
    await counters.settle(key, 10)
    await counters.reserve(who, key, 30)
    assert await counters.remaining(who) == Remaining(1, 8, 90)


async def test_what_was_used_takes_the_place_of_the_estimate_once_and_in_any_process(process, limits):
    limits("9/minute 9/hour 100 tokens/day", "9/minute 9/hour 1000 tokens/day")
    web, worker, who = Budgets(process()), Budgets(process()), asker()
    await web.reserve(who, key := str(uuid.uuid4()), 60)
    assert not await ask(web, who, 60)
    for counters, used in ((worker, 25), (worker, 0), (web, 99)):
        await counters.settle(key, used)
        assert await web.remaining(who) == Remaining(8, 8, 75)
    assert await ask(web, who, 60)
    assert await web.remaining(asker(address=who.address)) == Remaining(7, 7, 100)


async def test_more_than_the_estimate_counts_too(process, limits):
    limits("9/minute 100 tokens/day")
    counters, who = Budgets(process()), asker()
    await counters.reserve(who, key := str(uuid.uuid4()), 10)
    await counters.settle(key, 500)
    assert await counters.remaining(who) == Remaining(8, None, 0)
    assert not await ask(counters, who, 1)


async def test_what_was_never_asked_is_given_back_but_not_what_was(process, limits):
    limits("2/minute 9/hour 100 tokens/day")
    counters, who = Budgets(process()), asker()
    await counters.reserve(who, key := str(uuid.uuid4()), 60)
    await counters.release(key)
    assert await counters.remaining(who) == Remaining(2, 9, 100)
    await counters.reserve(who, key, 60)
    await counters.settle(key, 50)
    await counters.release(key)
    assert await counters.remaining(who) == Remaining(1, 8, 50)


async def test_what_nobody_has_reserved_is_neither_settled_nor_released(process, limits):
    limits("2/minute 100 tokens/day")
    counters, who = Budgets(process()), asker()
    await ask(counters, who)
    await counters.settle(str(uuid.uuid4()), 50)
    await counters.release(str(uuid.uuid4()))
    assert await counters.remaining(who) == Remaining(1, None, 90)


async def test_an_answer_to_an_admitted_question_is_charged_and_never_refused(process, limits):
    limits("2/minute 100 tokens/day")
    counters, who = Budgets(process()), asker()
    await counters.charge(who, 150)
    await counters.charge(who, 150)
    assert (await refusal(counters, who)).retry_after > 60


async def test_a_question_above_the_whole_limit_must_be_the_only_one(process, limits, clock):
    limits("50 tokens/day")
    counters, who = Budgets(process(), now_ms=clock), asker()
    await counters.reserve(who, key := str(uuid.uuid4()), 4_000)
    assert not await ask(counters, who, 1)
    await counters.settle(key, 1)
    assert await ask(counters, who, 49)
    assert not await ask(counters, who, 4_000)
    clock.now += DAY + QUARTER
    await counters.reserve(who, key := str(uuid.uuid4()), 4_000)
    await counters.settle(key, 0)
    assert await ask(counters, who, 4_000)


async def test_everything_that_is_stored_expires(process, limits):
    limits("9/minute 9/hour 100 tokens/day")
    counters, who, key = Budgets(process()), asker(), str(uuid.uuid4())
    await counters.reserve(who, key, 10)
    for name, most in (
        (f"llm:budget:reserved:{key}", budgets.RESERVED * 1000),
        (f"llm:budget:questions:session:{who.session}", HOUR),
        (f"llm:budget:tokens:session:{who.session}", DAY + QUARTER),
    ):
        assert 0 < await redis.client().pttl(name) <= most
    assert not await redis.client().exists(f"llm:budget:questions:address:{who.address}")


STEPS = st.lists(
    st.tuples(
        st.integers(0, 20_000) | st.integers(0, 2 * HOUR) | st.sampled_from([MINUTE, HOUR, DAY, QUARTER, MINUTE - 1]),
        st.integers(0, 40),
        st.none() | st.integers(0, 40),
    ),
    max_size=40,
)


@given(steps=STEPS)
@examples(deadline=None, max_examples=60)
async def test_no_window_ever_holds_more_than_its_limit_and_waits_are_right(steps):
    """Whatever the times: admitted questions and their tokens, and that a wait is neither too short nor too long."""
    from django.conf import settings

    before, clock, who = settings.LLM_BUDGETS, Clock(), asker()
    settings.LLM_BUDGETS = {**before, "anonymous": Limits(3, 7, 100)}
    counters = Budgets(now_ms=clock)
    admitted: list[tuple[int, int]] = []
    try:
        for passes, tokens, used in steps:
            clock.now += passes
            key = str(uuid.uuid4())
            try:
                await counters.reserve(who, key, tokens)
            except BudgetExceeded as refused:
                now = clock.now
                clock.now = now + (refused.retry_after - 1) * 1000
                assert not await ask(counters, who, tokens)
                clock.now = now + refused.retry_after * 1000
                await counters.reserve(who, key, tokens)
            if used is not None:
                await counters.settle(key, min(used, tokens))
            admitted.append((clock.now, tokens if used is None else min(used, tokens)))
    finally:
        settings.LLM_BUDGETS = before
    for start, _ in admitted:
        assert sum(start <= time < start + MINUTE for time, _ in admitted) <= 3
        assert sum(start <= time < start + HOUR for time, _ in admitted) <= 7
        assert sum(tokens for time, tokens in admitted if start <= time < start + DAY) <= 100


@pytest.mark.usefixtures("impatient")
async def test_with_redis_away_a_few_questions_are_served_and_then_with_a_wait(process, limits, settings):
    limits("1/minute")
    async with Relay(settings.REDIS_URL).listening() as door, asyncio.timeout(10):
        door.open = False
        for url in (f"redis://127.0.0.1:{any_free()}/0", door.url):
            counters, who = Budgets(process(url), alone=3), asker()
            await counters.reserve(who, key := str(uuid.uuid4()), 10)
            await counters.reserve(who, key, 10)
            assert [await ask(counters, who) for _ in range(4)] == [True, True, False, False]
            refused = await refusal(counters, who)
            assert 0 < refused.retry_after <= 60
            assert str(refused).startswith("The site can take only a few questions at the moment. Please wait ")
            await counters.settle(key, 5)
            await counters.charge(who, 5)
            assert await counters.remaining(who) is None
            await counters.release(key)
            assert await ask(counters, who)


@pytest.mark.usefixtures("impatient")
async def test_when_redis_is_back_its_counters_count_again(process, limits, settings, monkeypatch):
    monkeypatch.setattr(shared_state, "FORGET", 0)
    limits("2/minute")
    async with Relay(settings.REDIS_URL).listening() as door:
        counters, who = Budgets(process(door.url)), asker()
        assert await ask(counters, who)
        door.open = False
        assert await ask(counters, who)
        door.open = True
        assert (await counters.remaining(who)) == Remaining(1, None, None)
        assert [await ask(counters, who) for _ in range(2)] == [True, False]


async def test_operators_see_what_the_busiest_of_a_kind_have_used(process, settings, clock):
    tier = f"tier-{uuid.uuid4()}"
    settings.LLM_BUDGETS = {**settings.LLM_BUDGETS, tier: Limits.parse("10/minute 20/hour 1000 tokens/day")}
    counters, busy = Budgets(process(), now_ms=clock), asker(tier=tier)
    for _ in range(3):
        await ask(counters, busy)
    clock.now += 2 * MINUTE
    await ask(counters, asker(tier=tier), tokens=500)
    assert await counters.busiest([tier, "nobody"]) == {tier: Use(2, 1, 3, 500), "nobody": Use(0, 0, 0, 0)}
    clock.now += DAY
    assert await counters.busiest([tier]) == {tier: Use(0, 0, 0, 0)}


async def test_without_redis_nobody_knows_what_is_used(away, impatient):
    assert await Budgets(away).busiest(["anonymous"]) is None
