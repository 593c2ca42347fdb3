import uuid
import uuid_utils.compat
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ws_chat", "0002_turns_ratings_conversations"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="chatmessage",
            options={"verbose_name": "run", "verbose_name_plural": "runs"},
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="answer",
            field=models.TextField(blank=True, verbose_name="answer"),
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
                blank=True, help_text="What the visitor was told where the answer failed.", verbose_name="error"
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
            name="first_token_ms",
            field=models.PositiveIntegerField(
                help_text="Milliseconds from question to first text.", null=True, verbose_name="first token, ms"
            ),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="model",
            field=models.CharField(blank=True, max_length=128, verbose_name="model"),
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
            name="question",
            field=models.TextField(verbose_name="question"),
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
            name="run_id",
            field=models.UUIDField(
                default=uuid_utils.compat.uuid7,
                editable=False,
                primary_key=True,
                serialize=False,
                verbose_name="run id",
            ),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="started_at",
            field=models.DateTimeField(help_text="When the question arrived.", verbose_name="started at"),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="status",
            field=models.CharField(
                choices=[("done", "Done"), ("stopped", "Stopped"), ("error", "Error"), ("interrupted", "Interrupted")],
                max_length=11,
                verbose_name="status",
            ),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="total_ms",
            field=models.PositiveIntegerField(
                help_text="Milliseconds from the question to the end.", verbose_name="total, ms"
            ),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="trace_id",
            field=models.UUIDField(default=uuid.uuid4, verbose_name="trace id"),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="turn_id",
            field=models.UUIDField(
                default=uuid_utils.compat.uuid7,
                help_text="The first run of the turn: runs of the same turn are versions of one answer.",
                verbose_name="turn id",
            ),
        ),
        migrations.AlterField(
            model_name="chatmessage",
            name="visitor_id",
            field=models.UUIDField(help_text="The visitor who asked.", verbose_name="visitor id"),
        ),
    ]
