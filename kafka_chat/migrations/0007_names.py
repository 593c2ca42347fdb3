import uuid
import uuid_utils.compat
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("kafka_chat", "0006_failed_questions"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="chatmessage",
            options={"verbose_name": "question", "verbose_name_plural": "questions"},
        ),
        migrations.AlterModelOptions(
            name="outboxentry",
            options={"verbose_name": "outbox entry", "verbose_name_plural": "outbox entries"},
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="answered_at",
            field=models.DateTimeField(null=True, verbose_name="answered at"),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="attempts",
            field=models.PositiveSmallIntegerField(
                default=0, help_text="How often a worker has begun to answer.", verbose_name="attempts"
            ),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="categorised_by",
            field=models.CharField(
                blank=True, help_text="The provider, or: key words.", max_length=64, verbose_name="categorised by"
            ),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="category",
            field=models.CharField(
                blank=True,
                choices=[
                    ("coding", "Coding"),
                    ("data", "Data and SQL"),
                    ("project", "This site"),
                    ("translation", "Translation"),
                    ("writing", "Writing"),
                    ("maths", "Mathematics"),
                    ("greeting", "Greetings and small talk"),
                    ("knowledge", "General knowledge"),
                    ("other", "Other"),
                ],
                max_length=32,
                verbose_name="category",
            ),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="comment",
            field=models.TextField(blank=True, help_text="What the visitor says about it.", verbose_name="comment"),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="completion_tokens",
            field=models.PositiveIntegerField(null=True, verbose_name="completion tokens"),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="created_at",
            field=models.DateTimeField(auto_now_add=True, verbose_name="created at"),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="error",
            field=models.TextField(
                blank=True, help_text="What the visitor is told where no answer could be given.", verbose_name="error"
            ),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="fallback",
            field=models.BooleanField(
                default=False, help_text="Another provider was asked first and failed.", verbose_name="fallback"
            ),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="first_token_at",
            field=models.DateTimeField(null=True, verbose_name="first token at"),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="idempotency_key",
            field=models.CharField(max_length=128, null=True, verbose_name="idempotency key"),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="language",
            field=models.CharField(
                blank=True, help_text="ISO 639-1; empty where it is not known.", max_length=2, verbose_name="language"
            ),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="lease_until",
            field=models.DateTimeField(
                help_text="Until then the worker that claimed the row is trusted to be alive.",
                null=True,
                verbose_name="lease until",
            ),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="message",
            field=models.TextField(verbose_name="message"),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="message_id",
            field=models.UUIDField(
                default=uuid_utils.compat.uuid7,
                editable=False,
                primary_key=True,
                serialize=False,
                verbose_name="message id",
            ),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="model",
            field=models.CharField(blank=True, max_length=128, verbose_name="model"),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="picked_up_at",
            field=models.DateTimeField(null=True, verbose_name="picked up at"),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="prompt_tokens",
            field=models.PositiveIntegerField(null=True, verbose_name="prompt tokens"),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="provider",
            field=models.CharField(blank=True, max_length=64, verbose_name="provider"),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="rated_at",
            field=models.DateTimeField(null=True, verbose_name="rated at"),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="rating",
            field=models.CharField(
                blank=True,
                choices=[("up", "Up"), ("down", "Down")],
                help_text="What the visitor thinks of it.",
                max_length=4,
                verbose_name="rating",
            ),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="response",
            field=models.TextField(default="Processing...", verbose_name="response"),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="session_id",
            field=models.UUIDField(help_text="The visitor who asked.", verbose_name="session id"),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="status",
            field=models.CharField(
                choices=[
                    ("queued", "Queued"),
                    ("generating", "Generating"),
                    ("answered", "Answered"),
                    ("failed", "Failed"),
                    ("stopped", "Stopped"),
                ],
                default="queued",
                max_length=10,
                verbose_name="status",
            ),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="trace_id",
            field=models.UUIDField(default=uuid.uuid4, verbose_name="trace id"),
        ),
        migrations.AlterField(
            model_name="outboxentry",
            name="created_at",
            field=models.DateTimeField(auto_now_add=True, verbose_name="created at"),
        ),
        migrations.AlterField(
            model_name="outboxentry",
            name="headers",
            field=models.JSONField(default=dict, verbose_name="headers"),
        ),
        migrations.AlterField(
            model_name="outboxentry",
            name="key",
            field=models.BinaryField(verbose_name="key"),
        ),
        migrations.AlterField(
            model_name="outboxentry",
            name="sent_at",
            field=models.DateTimeField(null=True, verbose_name="sent at"),
        ),
        migrations.AlterField(
            model_name="outboxentry",
            name="topic",
            field=models.CharField(max_length=249, verbose_name="topic"),
        ),
        migrations.AlterField(
            model_name="outboxentry",
            name="value",
            field=models.BinaryField(verbose_name="value"),
        ),
    ]
