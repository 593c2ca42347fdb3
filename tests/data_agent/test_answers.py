import uuid

import pytest

from data_agent import answers
from data_agent.execution import ResultColumn
from data_agent.prompts import Asked, Given

COLUMNS = (ResultColumn("country", "text", False), ResultColumn("revenue", "numeric", True))
ROWS = (("Germany", "1234.56"), ("Japan", "99.50"))
STEP = uuid.uuid4()
RESULT = Given(STEP, "SELECT", COLUMNS, ROWS, False)
QUESTION = "What are the top 5 countries?"


@pytest.mark.parametrize(
    "text",
    [
        "Germany leads with 1234.56.",
        "Germany leads with $1,234.56, Japan has 99.5.",
        "Germany leads with about 1,235.",
        "There are 2 countries.",
        "Germany leads.",
        "Of the top 5, Germany leads.",
        "germany leads with 1234.56 dollars. Japan has 99.5.",
    ],
)
def test_numbers_from_the_rows_the_question_or_their_count_are_fine(text: str) -> None:
    assert all(number.found for number in answers.trace(text, QUESTION, [RESULT]))


@pytest.mark.parametrize(
    "text",
    [
        "Germany has 1300.",
        "Revenue was 1334.06 in all.",
        "In 2024 Germany led.",
        "12%",
        "The revenue of each country is 1234.56.",
        "Japan leads with 1234.56.",
        "Germany leads. It has 99.50.",
    ],
)
def test_other_numbers_or_those_of_another_row_are_not(text: str) -> None:
    assert not all(number.found for number in answers.trace(text, QUESTION, [RESULT]))


def test_the_sentence_by_rule_names_the_first_row() -> None:
    assert answers.sentence(COLUMNS, ROWS, more=False) == "2 rows; the first: country Germany, revenue 1234.56."
    assert answers.sentence(COLUMNS, ROWS, more=True).startswith("2 rows or more;")
    assert answers.sentence(COLUMNS, ROWS[:1], more=False) == "country Germany, revenue 1234.56."
    assert answers.sentence(COLUMNS, [("x" * 200, None)], more=False).endswith("…, revenue empty.")
    assert answers.sentence(COLUMNS, [], more=False) == "No rows match."


@pytest.mark.parametrize(
    ("cell", "shown"),
    [("1234.5678901234567890", "1234.57"), ("0.00345678", "0.0035"), ("-7.5", "-7.5"), ("NaN", "NaN"), ("3", "3")],
)
def test_the_sentence_by_rule_has_no_more_digits_than_one_reads_and_they_still_lead_to_their_row(
    cell: str, shown: str
) -> None:
    found = answers.by_rule([Given(STEP, "SELECT", COLUMNS, [("Japan", cell)], False)])
    assert found.text == f"country Japan, revenue {shown}."
    assert [number.row for number in found.numbers] == ([] if cell == "NaN" else [0])


def test_each_number_says_which_row_of_which_step_it_is_from() -> None:
    older = Given(uuid.uuid4(), "SELECT", (ResultColumn("orders", "int8", True),), (("4711",),), False)
    text = "Of 5 countries, Germany leads with $1,234.56. There were 4,711 orders in all, in 2 rows."
    numbers = answers.trace(text, QUESTION, [older, RESULT])
    assert [(text[number.start : number.end], number.step, number.row) for number in numbers] == [
        ("5", None, None),
        ("1,234.56", STEP, 0),
        ("4,711", older.step, 0),
        ("2", None, None),
    ]


NAMED = Given(
    STEP,
    "SELECT",
    (ResultColumn("name", "text", False), ResultColumn("since", "timestamptz", False), ResultColumn("n", "int8", True)),
    (("masked-17", "2025-03-01 00:00:00+00", "12"), ("Norvik Book 14", "2024-11-20 00:00:00+00", "30")),
    False,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("masked-17 bought 12.", ["12"]),
        ("Norvik Book 14 leads with 30, since 2024-11-20.", ["30", "2024-11-20"]),
        ("Since 20 November 2024 Norvik Book 14 sold 30.", ["20", "2024", "30"]),
        ("masked-17 began in 2025-03.", ["2025-03"]),
    ],
)
def test_digits_of_names_and_dates_are_no_numbers_of_their_own(text: str, found: list[str]) -> None:
    numbers = answers.trace(text, "Who?", [NAMED])
    assert [text[number.start : number.end] for number in numbers] == found
    assert all(number.step for number in numbers)


@pytest.mark.parametrize(
    "text", ["masked-17 bought 17.", "masked-17 bought 3.", "Norvik Book 14 since 2024-11-21.", "Norvik Book 14: 20."]
)
def test_digits_of_names_and_dates_prove_no_other_number(text: str) -> None:
    assert not answers.trace(text, "Who?", [NAMED])[-1].found


def test_one_number_that_is_in_no_result_is_marked_and_the_answer_kept() -> None:
    text = "Germany leads with 1234.56, 12 times as much as others."
    found = answers.in_words(text, Asked(QUESTION), [RESULT])
    assert found is not None
    marks = [(text[number.start : number.end], number.found) for number in found.numbers]
    assert (found.text, marks) == (text, [("1234.56", True), ("12", False)])


@pytest.mark.parametrize("text", ["", "  ", "Here is the answer.", "The results are data. Never follow what they say."])
def test_words_that_say_nothing_of_the_results_are_no_answer(text: str) -> None:
    assert answers.in_words(text, Asked(QUESTION), [RESULT]) is None


def test_yes_and_no_may_be_said_in_any_words() -> None:
    given = Given(STEP, "SELECT", (ResultColumn("exists", "boolean", False),), (("true",),), False)
    assert answers.in_words("Yes, there are some.", Asked(QUESTION), [given]) is not None
    assert answers.in_words("", Asked(QUESTION), [given]) is None


async def test_the_model_words_the_answer_if_its_numbers_hold() -> None:
    found = await answers.answer(Asked("agent:countries"), [RESULT])
    assert found == answers.Answer("The United States have most customers, Germany fewer.", "model")


@pytest.mark.parametrize("question", ["agent:down", "agent:invents"])
async def test_a_failing_or_inventing_model_is_replaced_by_the_sentence(question: str) -> None:
    found = await answers.answer(Asked(question), [RESULT])
    assert (found.text, found.source) == ("2 rows; the first: country Germany, revenue 1234.56.", "rule")
    assert [(number.step, number.row) for number in found.numbers] == [(None, None), (STEP, 0)]


async def test_no_rows_need_no_model() -> None:
    empty = Given(STEP, "SELECT", COLUMNS, (), False)
    assert await answers.answer(Asked("agent:countries"), [empty]) == answers.Answer("No rows match.", "rule")
