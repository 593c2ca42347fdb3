"""Public list prices, so that costs are known from the start.

They are what the providers published for their pay-as-you-go APIs at the given dates, without discounts for cached
prompts, batches or contracts. Providers change them: compare with their price pages, and add new versions in the
admin. The prices of Gemini 1.5 are those of prompts up to 128,000 tokens.
"""

from datetime import UTC, datetime
from decimal import Decimal

from django.db import migrations

LIST_PRICE = "List price at that date; check it against the provider's price page."
OWN_MACHINE = "Runs on our own machines; the electricity is not counted."

# Provider, model, valid from, USD per million prompt and completion tokens, note.
PRICES = (
    ("local", "", "2024-01-01", "0", "0", OWN_MACHINE),
    ("ollama", "", "2024-01-01", "0", "0", OWN_MACHINE),
    ("scripted", "", "2024-01-01", "0", "0", "No model at all."),
    ("openai", "gpt-4o", "2024-05-13", "5", "15", LIST_PRICE),
    ("openai", "gpt-4o-2024-05-13", "2024-05-13", "5", "15", LIST_PRICE),
    ("openai", "gpt-4o-2024-08-06", "2024-08-06", "2.50", "10", LIST_PRICE),
    # When the name without a date began to mean the version of August.
    ("openai", "gpt-4o", "2024-10-02", "2.50", "10", LIST_PRICE),
    ("openai", "gpt-4o-mini", "2024-07-18", "0.15", "0.60", LIST_PRICE),
    ("gemini", "gemini-1.5-flash", "2024-08-12", "0.075", "0.30", LIST_PRICE),
    ("gemini", "gemini-1.5-flash-8b", "2024-10-03", "0.0375", "0.15", LIST_PRICE),
    ("gemini", "gemini-2.0-flash", "2025-02-05", "0.10", "0.40", LIST_PRICE),
    ("gemini", "gemini-2.0-flash-lite", "2025-02-25", "0.075", "0.30", LIST_PRICE),
    ("gemini", "gemini-2.5-flash", "2025-06-17", "0.30", "2.50", LIST_PRICE),
)


def add(apps, schema_editor):
    """Add the prices that are not there."""
    prices = apps.get_model("llm", "Price").objects
    for provider, model, day, prompt, completion, note in PRICES:
        prices.get_or_create(
            provider=provider,
            model=model,
            valid_from=datetime.fromisoformat(day).replace(tzinfo=UTC),
            defaults={"prompt_usd": Decimal(prompt), "completion_usd": Decimal(completion), "note": note},
        )


class Migration(migrations.Migration):
    """Adds the prices; they stay when it is undone, because calls may refer to them."""

    dependencies = [("llm", "0001_initial")]

    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
