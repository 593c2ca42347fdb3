import django.db.models.deletion
import django.utils.timezone
import llm.models
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("llm", "0005_profile_system_prompt"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="call",
            options={"ordering": ("-started_at", "-call_id"), "verbose_name": "call", "verbose_name_plural": "calls"},
        ),
        migrations.AlterModelOptions(
            name="price",
            options={
                "ordering": ("provider", "model", "-valid_from"),
                "verbose_name": "price",
                "verbose_name_plural": "prices",
            },
        ),
        migrations.AlterField(
            model_name="call",
            name="call_id",
            field=models.UUIDField(editable=False, primary_key=True, serialize=False, verbose_name="call id"),
        ),
        migrations.AlterField(
            model_name="call",
            name="completion_tokens",
            field=models.PositiveIntegerField(verbose_name="completion tokens"),
        ),
        migrations.AlterField(
            model_name="call",
            name="estimated",
            field=models.BooleanField(
                help_text="The tokens are our estimate, because the provider did not count them.",
                verbose_name="estimated",
            ),
        ),
        migrations.AlterField(
            model_name="call",
            name="fallback",
            field=models.BooleanField(help_text="Another provider was to be asked first.", verbose_name="fallback"),
        ),
        migrations.AlterField(
            model_name="call",
            name="first_token_ms",
            field=models.PositiveIntegerField(
                help_text="Milliseconds to the first piece of text.", null=True, verbose_name="first token, ms"
            ),
        ),
        migrations.AlterField(
            model_name="call",
            name="model",
            field=models.CharField(max_length=128, verbose_name="model"),
        ),
        migrations.AlterField(
            model_name="call",
            name="outcome",
            field=models.CharField(
                help_text="stop or length: a whole answer; left: nobody wanted the rest; otherwise the kind of error.",
                max_length=32,
                verbose_name="outcome",
            ),
        ),
        migrations.AlterField(
            model_name="call",
            name="price",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                help_text="The version of the price table that was applied; none: no price was known.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="calls",
                to="llm.price",
                verbose_name="price",
            ),
        ),
        migrations.AlterField(
            model_name="call",
            name="prompt_tokens",
            field=models.PositiveIntegerField(verbose_name="prompt tokens"),
        ),
        migrations.AlterField(
            model_name="call",
            name="provider",
            field=models.CharField(max_length=64, verbose_name="provider"),
        ),
        migrations.AlterField(
            model_name="call",
            name="purpose",
            field=models.CharField(choices=llm.models.purpose_choices, max_length=16, verbose_name="purpose"),
        ),
        migrations.AlterField(
            model_name="call",
            name="started_at",
            field=models.DateTimeField(verbose_name="started at"),
        ),
        migrations.AlterField(
            model_name="call",
            name="total_ms",
            field=models.PositiveIntegerField(help_text="Milliseconds to the end.", verbose_name="total, ms"),
        ),
        migrations.AlterField(
            model_name="call",
            name="trace_id",
            field=models.UUIDField(
                help_text="Joins the calls that were made for one question.", null=True, verbose_name="trace id"
            ),
        ),
        migrations.AlterField(
            model_name="price",
            name="model",
            field=models.CharField(
                blank=True,
                help_text="Also meant for the model's dated versions, such as gpt-4o-2024-08-06. Empty: every model.",
                max_length=128,
                verbose_name="model",
            ),
        ),
        migrations.AlterField(
            model_name="price",
            name="note",
            field=models.CharField(
                blank=True, help_text="Where the price comes from.", max_length=200, verbose_name="note"
            ),
        ),
        migrations.AlterField(
            model_name="price",
            name="provider",
            field=models.CharField(choices=llm.models.provider_choices, max_length=64, verbose_name="provider"),
        ),
        migrations.AlterField(
            model_name="price",
            name="valid_from",
            field=models.DateTimeField(
                default=django.utils.timezone.now,
                help_text="For calls from this moment (UTC) on, until there is a newer version.",
                verbose_name="valid from",
            ),
        ),
        migrations.AlterField(
            model_name="profile",
            name="greeting",
            field=models.CharField(
                default="One question, three architectures",
                help_text="The headline above the chats.",
                max_length=120,
                verbose_name="greeting",
            ),
        ),
        migrations.AlterField(
            model_name="profile",
            name="id",
            field=models.PositiveSmallIntegerField(
                default=1, editable=False, primary_key=True, serialize=False, verbose_name="id"
            ),
        ),
        migrations.AlterField(
            model_name="profile",
            name="introduction",
            field=models.TextField(
                blank=True,
                default="Ask over Kafka or over a WebSocket, and see how each answer comes.",
                help_text="A sentence or two below it.",
                max_length=500,
                verbose_name="introduction",
            ),
        ),
        migrations.AlterField(
            model_name="profile",
            name="owner",
            field=models.CharField(
                default="Triptych",
                help_text="Whose page it is; part of its title.",
                max_length=80,
                verbose_name="owner",
            ),
        ),
        migrations.AlterField(
            model_name="profile",
            name="system_prompt",
            field=models.TextField(
                default="You are the assistant on the about page of Triptych, a project that shows three ways to build a chatbot with Django: over Kafka, over a WebSocket, and as an agent that queries data. Answer briefly, in the language of the question, with markdown where it helps. Say so when you do not know something.",
                help_text="What the models of both chats are told before every conversation. It counts within seconds.",
                max_length=2000,
                verbose_name="system prompt",
            ),
        ),
    ]
