"""The three tables that may be queried: names, types and meanings, in one place.

The models take their database comments from here, the guard its allow-list, the prompt its description and the page
its overview. A test compares it with the real database.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from config.sentences import say


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its PostgreSQL type as `format_type` writes it, what it means, and whether it is personal data."""

    name: str
    type: str
    comment: str
    personal: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table and its columns, in the database's order."""

    name: str
    comment: str
    columns: tuple[Column, ...]

    def column(self, name: str) -> Column:
        """Return a column; raises KeyError for an unknown one."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def personal_columns(self) -> tuple[str, ...]:
        """Names of the columns with personal data, in order."""
        return tuple(column.name for column in self.columns if column.personal)


USERS = Table(
    "analytics_users",
    say("Customers of the shop."),
    (
        Column("id", "bigint", say("Primary key.")),
        Column("name", "text", say("Full name."), personal=True),
        Column("email", "text", say("E-mail address, unique."), personal=True),
        Column("country", "text", say("Country's English name, such as Germany or Japan.")),
        Column("plan", "text", say("Subscription: free, pro or enterprise.")),
        Column("signed_up_at", "timestamp with time zone", say("When the customer signed up (UTC).")),
    ),
)
PURCHASES = Table(
    "analytics_purchases",
    say("Purchases, one row for each product in an order."),
    (
        Column("id", "bigint", say("Primary key.")),
        Column("user_id", "bigint", say("Customer who bought; references analytics_users.id.")),
        Column("product_name", "text", say("Product bought; equals analytics_product_specs.name.")),
        Column("quantity", "integer", say("Pieces bought, at least 1.")),
        Column("unit_price", "numeric(10,2)", say("Price of one piece at the time of purchase, in US dollars.")),
        Column("total_amount", "numeric(12,2)", say("quantity times unit_price, in US dollars.")),
        Column("purchased_at", "timestamp with time zone", say("When it was bought (UTC).")),
        Column("status", "text", say("completed, refunded, pending or cancelled; revenue counts completed ones.")),
    ),
)
PRODUCT_SPECS = Table(
    "analytics_product_specs",
    say("Products, one row each."),
    (
        Column("id", "bigint", say("Primary key.")),
        Column("name", "text", say("Product's name, unique.")),
        Column("category", "text", say("Category, such as Laptops or Headphones.")),
        Column("brand", "text", say("Brand.")),
        Column("price", "numeric(10,2)", say("List price today, in US dollars.")),
        Column("weight_kg", "numeric(8,3)", say("Weight in kilograms.")),
        Column("rating", "numeric(2,1)", say("Mean customer rating from 1.0 to 5.0.")),
        Column("release_date", "date", say("Day it came to market.")),
        Column("specs", "jsonb", say("Further properties as a JSON object; the keys depend on the category.")),
    ),
)

TABLES: tuple[Table, ...] = (USERS, PURCHASES, PRODUCT_SPECS)
SCHEMA: Mapping[str, Table] = {table.name: table for table in TABLES}


def describe() -> str:
    """Return the tables as text for a model: short, because small models read few tokens."""
    lines = []
    for table in TABLES:
        columns = ", ".join(f"{column.name} {_short(column.type)}" for column in table.columns)
        lines.append(f"{table.name}({columns})")
    return "\n".join(lines)


def _short(type_name: str) -> str:
    return type_name.replace("timestamp with time zone", "timestamptz").partition("(")[0]
