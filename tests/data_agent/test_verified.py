import pytest

from data_agent import execution, guard, verified
from data_agent.demo_data import DemoData
from data_agent.samples import Known

BOOK = verified.Book(verified.shipped())


async def test_every_verified_query_passes_the_guard_and_gives_rows(analytics: DemoData) -> None:
    assert len(verified.shipped()) >= 25
    for entry in verified.shipped():
        verdict = guard.check(entry.sql)
        assert verdict.allowed, (entry.question, verdict.reasons)
        text = guard.laid_out(verdict)
        await execution.estimate(text)
        result = await execution.run(text)
        assert result.rows, entry.question
        assert entry.explanation.endswith(".")


def test_no_question_is_there_twice() -> None:
    questions = [entry.question for entry in verified.shipped()]
    assert len(set(questions)) == len(questions)


@pytest.mark.parametrize("entry", verified.shipped(), ids=lambda entry: str(entry.question))
def test_a_verified_question_is_nearest_to_itself(entry: verified.Verified) -> None:
    assert BOOK.nearest(entry.question, 1) == [entry]
    assert BOOK.stand_in(entry.question) == entry


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("how many users per country", "How many customers are there in each country?"),
        ("Revenue by month, please!", "What is the revenue in each month?"),
        ("top customers by spending", "Which 10 customers spent the most money, and how much?"),
        ("Show me monthly signups", "How many customers signed up each month?"),
        ("sales per brand", "What is the revenue of each brand?"),
        ("newest products", "Which 10 products were released most recently, and when?"),
    ],
)
def test_other_words_for_the_same_find_it(asked: str, found: str) -> None:
    assert BOOK.nearest(asked, 1)[0].question == found


def test_a_question_about_one_country_is_near_to_the_one_about_each() -> None:
    known = Known({"analytics_users.country": ("Germany", "Japan"), "analytics_product_specs.category": ("Laptops",)})
    assert known.in_general("Revenue from customers in JAPAN?") == "Revenue from customers in country?"
    for asked, found in [
        ("What is the revenue from customers in Japan?", "What is the revenue in each country?"),
        ("How much revenue did we make with laptops?", "What is the revenue in each product category?"),
    ]:
        assert found in [entry.question for entry in BOOK.nearest(asked, 2, known.in_general(asked))]
        assert found not in [entry.question for entry in BOOK.nearest(asked, 2)]


@pytest.mark.parametrize(
    "asked", ["delete all customers", "How many customers cancelled?", "Which products have a discount?"]
)
def test_what_shares_only_the_subject_is_not_near_enough(asked: str) -> None:
    assert BOOK.stand_in(asked) is None


@pytest.mark.parametrize("asked", ["What is the weather in Paris?", "Tell me a joke", "", "?!", "wie spät ist es"])
def test_nothing_stands_in_for_a_question_about_something_else(asked: str) -> None:
    assert BOOK.stand_in(asked) is None


def test_a_rejected_question_does_not_stand_in_again() -> None:
    first = BOOK.stand_in("revenue by month")
    assert first is not None
    second = BOOK.stand_in("revenue by month", [first.question])
    assert second is not None
    assert second != first
