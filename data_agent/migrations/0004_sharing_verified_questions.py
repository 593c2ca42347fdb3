"""Questions of several steps, sharing and verified questions."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q


def _mark_personal(apps, schema_editor):
    """Rows that were kept before there was masking hold these columns as they are."""
    step = apps.get_model("data_agent", "Step")
    read = [Q(verdict__columns__contains=[f"analytics_users.{column}"]) for column in ("name", "email")]
    step.objects.filter(read[0] | read[1]).exclude(rows=[]).update(personal=True)


class Migration(migrations.Migration):

    dependencies = [
        ("data_agent", "0003_steps_of_questions"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            "step",
            "bytes",
            models.PositiveIntegerField(db_comment="Size of the rows as texts in UTF-8.", default=0),
        ),
        migrations.AddField(
            "step",
            "clarification",
            models.TextField(blank=True, db_comment="What the model asks the person.", default=""),
        ),
        migrations.AddField(
            "step",
            "estimated_cost",
            models.FloatField(blank=True, db_comment="As PostgreSQL's planner counts it.", null=True),
        ),
        migrations.AddField(
            "step",
            "numbers",
            models.JSONField(db_comment="Where each number of the answer comes from.", default=list),
        ),
        migrations.AddField(
            "step",
            "part",
            models.PositiveSmallIntegerField(db_comment="Position within the question, from 1.", default=1),
        ),
        migrations.AddField(
            "step",
            "personal",
            models.BooleanField(db_comment="Whether the rows hold personal data as it is, unmasked.", default=False),
        ),
        migrations.AddField(
            "step",
            "reply",
            models.TextField(blank=True, db_comment="What the person replied.", default=""),
        ),
        migrations.AlterField(
            "step",
            "proposed_to",
            models.ForeignKey(
                db_comment="Who alone may approve it.",
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AlterField(
            "step",
            "state",
            models.CharField(
                choices=[
                    ("proposed", "waits for a person"),
                    ("blocked", "refused by the guard"),
                    ("approved", "approved, being run"),
                    ("executed", "run, being answered"),
                    ("answered", "answered"),
                    ("failed", "failed"),
                    ("rejected", "rejected by the person"),
                    ("skipped", "skipped by the person"),
                    ("expired", "not decided in time"),
                    ("continued", "run, and another step follows"),
                    ("asking", "asks the person"),
                    ("replied", "asked, and the person replied"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            "step",
            "thread",
            models.UUIDField(db_comment="The first step of the same question.", db_index=True),
        ),
        migrations.CreateModel(
            name="VerifiedQuestion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("question", models.TextField(unique=True)),
                ("sql", models.TextField(db_comment="As it was approved and run.")),
                ("explanation", models.TextField(blank=True, default="")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "step",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="verified_questions",
                        to="data_agent.step",
                    ),
                ),
                (
                    "verified_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"db_table": "da_verified_question", "ordering": ("question",)},
        ),
        migrations.CreateModel(
            name="Share",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="data_agent_shares",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "session",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="shares",
                        to="data_agent.session",
                    ),
                ),
            ],
            options={
                "db_table": "da_share",
                "constraints": [models.UniqueConstraint(fields=("session", "person"), name="da_share_once")],
            },
        ),
        migrations.RunPython(_mark_personal, migrations.RunPython.noop),
    ]
