import django.db.models.deletion
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("data_agent", "0006_said"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="auditcheckpoint",
            options={
                "managed": False,
                "ordering": ("-id",),
                "verbose_name": "audit checkpoint",
                "verbose_name_plural": "audit checkpoints",
            },
        ),
        migrations.AlterModelOptions(
            name="auditevent",
            options={
                "managed": False,
                "ordering": ("-id",),
                "verbose_name": "audit event",
                "verbose_name_plural": "audit events",
            },
        ),
        migrations.AlterModelOptions(
            name="session",
            options={
                "ordering": ("-created_at", "-id"),
                "permissions": (
                    ("use_data_agent", "Can ask the data agent and run the queries it proposes"),
                    ("see_personal_data", "Can see names and e-mail addresses in the data agent's results"),
                    ("audit_data_agent", "Can read and export the data agent's audit log"),
                ),
                "verbose_name": "session",
                "verbose_name_plural": "sessions",
            },
        ),
        migrations.AlterModelOptions(
            name="share",
            options={"verbose_name": "share", "verbose_name_plural": "shares"},
        ),
        migrations.AlterModelOptions(
            name="step",
            options={"ordering": ("number",), "verbose_name": "step", "verbose_name_plural": "steps"},
        ),
        migrations.AlterModelOptions(
            name="verifiedquestion",
            options={
                "ordering": ("question",),
                "verbose_name": "verified question",
                "verbose_name_plural": "verified questions",
            },
        ),
        migrations.AlterField(
            model_name="session",
            name="created_at",
            field=models.DateTimeField(auto_now_add=True, verbose_name="created at"),
        ),
        migrations.AlterField(
            model_name="session",
            name="id",
            field=models.UUIDField(
                default=uuid_utils.compat.uuid7, primary_key=True, serialize=False, verbose_name="id"
            ),
        ),
        migrations.AlterField(
            model_name="session",
            name="owner",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="data_agent_sessions",
                to=settings.AUTH_USER_MODEL,
                verbose_name="owner",
            ),
        ),
        migrations.AlterField(
            model_name="session",
            name="title",
            field=models.TextField(db_comment="The first question, shortened.", verbose_name="title"),
        ),
        migrations.AlterField(
            model_name="share",
            name="created_at",
            field=models.DateTimeField(auto_now_add=True, verbose_name="created at"),
        ),
        migrations.AlterField(
            model_name="share",
            name="person",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="data_agent_shares",
                to=settings.AUTH_USER_MODEL,
                verbose_name="person",
            ),
        ),
        migrations.AlterField(
            model_name="share",
            name="session",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="shares",
                to="data_agent.session",
                verbose_name="session",
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="answer",
            field=models.TextField(blank=True, default="", verbose_name="answer"),
        ),
        migrations.AlterField(
            model_name="step",
            name="answer_source",
            field=models.CharField(
                blank=True, db_comment="model or rule.", default="", max_length=16, verbose_name="answer source"
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="bytes",
            field=models.PositiveIntegerField(
                db_comment="Size of the rows as texts in UTF-8.", default=0, verbose_name="bytes"
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="clarification",
            field=models.TextField(
                blank=True, db_comment="What the model asks the person.", default="", verbose_name="clarification"
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="columns",
            field=models.JSONField(
                db_comment="Names and types of the result's columns.", default=list, verbose_name="columns"
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="created_at",
            field=models.DateTimeField(auto_now_add=True, verbose_name="created at"),
        ),
        migrations.AlterField(
            model_name="step",
            name="cut",
            field=models.BooleanField(
                db_comment="Whether the result was longer than what is kept.", default=False, verbose_name="cut"
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="decided_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="decided at"),
        ),
        migrations.AlterField(
            model_name="step",
            name="duration_ms",
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name="duration, ms"),
        ),
        migrations.AlterField(
            model_name="step",
            name="error",
            field=models.TextField(blank=True, default="", verbose_name="error"),
        ),
        migrations.AlterField(
            model_name="step",
            name="estimated_cost",
            field=models.FloatField(
                blank=True, db_comment="As PostgreSQL's planner counts it.", null=True, verbose_name="estimated cost"
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="estimated_rows",
            field=models.BigIntegerField(
                blank=True, db_comment="PostgreSQL's estimate.", null=True, verbose_name="estimated rows"
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="expires_at",
            field=models.DateTimeField(
                blank=True,
                db_comment="After this it cannot be approved any more.",
                null=True,
                verbose_name="expires at",
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="explanation",
            field=models.TextField(
                blank=True, db_comment="The query in plain words.", default="", verbose_name="explanation"
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="fallback",
            field=models.BooleanField(default=False, verbose_name="fallback"),
        ),
        migrations.AlterField(
            model_name="step",
            name="finished_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="finished at"),
        ),
        migrations.AlterField(
            model_name="step",
            name="id",
            field=models.UUIDField(
                default=uuid_utils.compat.uuid7, primary_key=True, serialize=False, verbose_name="id"
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="model",
            field=models.CharField(blank=True, default="", max_length=128, verbose_name="model"),
        ),
        migrations.AlterField(
            model_name="step",
            name="note",
            field=models.TextField(
                blank=True, db_comment="Why this is not the model's own query.", default="", verbose_name="note"
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="number",
            field=models.PositiveIntegerField(db_comment="Position in the session, from 1.", verbose_name="number"),
        ),
        migrations.AlterField(
            model_name="step",
            name="numbers",
            field=models.JSONField(
                db_comment="Where each number of the answer comes from.", default=list, verbose_name="numbers"
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="part",
            field=models.PositiveSmallIntegerField(
                db_comment="Position within the question, from 1.", default=1, verbose_name="part"
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="personal",
            field=models.BooleanField(
                db_comment="Whether the rows hold personal data as it is, unmasked.",
                default=False,
                verbose_name="personal",
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="policy_version",
            field=models.CharField(blank=True, default="", max_length=64, verbose_name="policy version"),
        ),
        migrations.AlterField(
            model_name="step",
            name="proposed_to",
            field=models.ForeignKey(
                db_comment="Who alone may approve it.",
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="proposed to",
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="provider",
            field=models.CharField(blank=True, default="", max_length=32, verbose_name="provider"),
        ),
        migrations.AlterField(
            model_name="step",
            name="question",
            field=models.TextField(verbose_name="question"),
        ),
        migrations.AlterField(
            model_name="step",
            name="reason",
            field=models.TextField(
                blank=True, db_comment="What the person said on rejecting it.", default="", verbose_name="reason"
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="reply",
            field=models.TextField(blank=True, db_comment="What the person replied.", default="", verbose_name="reply"),
        ),
        migrations.AlterField(
            model_name="step",
            name="rows",
            field=models.JSONField(
                db_comment="The result, at most 1,000 rows and 1 MB.", default=list, verbose_name="rows"
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="said",
            field=models.JSONField(
                blank=True,
                db_comment="How note, error, reasons and warnings were made, to say them in other languages.",
                null=True,
                verbose_name="said",
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="session",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="steps",
                to="data_agent.session",
                verbose_name="session",
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="source",
            field=models.CharField(
                db_comment="model, verified or edited.", default="model", max_length=16, verbose_name="source"
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="sql",
            field=models.TextField(
                blank=True, db_comment="The exact text that is shown, approved and run.", default="", verbose_name="SQL"
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="sql_sha256",
            field=models.CharField(
                blank=True,
                db_comment="SHA-256 of sql in UTF-8.",
                default="",
                max_length=64,
                verbose_name="SHA-256 of the SQL",
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="state",
            field=models.CharField(
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
                verbose_name="state",
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="thread",
            field=models.UUIDField(
                db_comment="The first step of the same question.", db_index=True, verbose_name="thread"
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="verdict",
            field=models.JSONField(
                db_comment="The guard's verdict: tables, columns, reasons, warnings.",
                default=dict,
                verbose_name="verdict",
            ),
        ),
        migrations.AlterField(
            model_name="verifiedquestion",
            name="created_at",
            field=models.DateTimeField(auto_now_add=True, verbose_name="created at"),
        ),
        migrations.AlterField(
            model_name="verifiedquestion",
            name="explanation",
            field=models.TextField(blank=True, default="", verbose_name="explanation"),
        ),
        migrations.AlterField(
            model_name="verifiedquestion",
            name="question",
            field=models.TextField(unique=True, verbose_name="question"),
        ),
        migrations.AlterField(
            model_name="verifiedquestion",
            name="sql",
            field=models.TextField(db_comment="As it was approved and run.", verbose_name="SQL"),
        ),
        migrations.AlterField(
            model_name="verifiedquestion",
            name="step",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="verified_questions",
                to="data_agent.step",
                verbose_name="step",
            ),
        ),
        migrations.AlterField(
            model_name="verifiedquestion",
            name="verified_by",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="verified by",
            ),
        ),
    ]
