import pytest

from data_agent import samples
from data_agent.audit import Person
from data_agent.demo_data import DemoData
from data_agent.errors import NotFound
from data_agent.samples import Property


async def test_what_the_tables_hold_is_known_without_personal_data(analytics: DemoData) -> None:
    samples.forget()
    known = await samples.known()
    assert known.values["analytics_users.plan"] == ("enterprise", "free", "pro")
    assert known.values["analytics_purchases.status"] == ("cancelled", "completed", "pending", "refunded")
    assert "analytics_users.email" not in known.values
    assert "analytics_users.name" not in known.values
    assert Property("ram_gb", "number") in known.specs["Laptops"]
    assert Property("technology", "string", ("inkjet", "laser")) in known.specs["Printers"]
    assert Property("duplex", "boolean") in known.specs["Printers"]
    assert known.first_day < known.last_day == "2026-10-31"
    assert await samples.known() is known


async def test_sample_rows_are_few_and_another_table_is_not_found(analytics: DemoData, person: Person) -> None:
    found = await samples.rows(person, "analytics_purchases")
    assert len(found.rows) == samples.SAMPLE_ROWS
    assert [column.name for column in found.columns][:2] == ["id", "user_id"]
    with pytest.raises(NotFound):
        await samples.rows(person, "auth_user")
    trusted = Person(person.id, person.name, personal=True)
    shown, whole = await samples.rows(person, "analytics_users"), await samples.rows(trusted, "analytics_users")
    emails = [column.name for column in whole.columns].index("email")
    assert whole.rows[0][emails] == analytics.users[0].email
    assert analytics.users[0].email not in str(shown.rows)


@pytest.mark.parametrize(
    ("value", "meant"),
    [("pro", "pro"), ("PRO", "pro"), ("enterprises", "enterprise"), ("Enterprize", "enterprise"), ("gold", None)],
)
def test_the_value_that_is_meant(value: str, meant: str | None) -> None:
    assert samples.nearest(value, ("enterprise", "free", "pro")) == meant
