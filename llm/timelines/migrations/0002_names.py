from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("timelines", "0001_initial"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="timeline",
            options={"verbose_name": "timeline", "verbose_name_plural": "timelines"},
        ),
        migrations.AlterField(
            model_name="timeline",
            name="accepted_seen_ms",
            field=models.FloatField(
                help_text="When the browser knew that the question was accepted.", verbose_name="acceptance seen, ms"
            ),
        ),
        migrations.AlterField(
            model_name="timeline",
            name="asked_at",
            field=models.DateTimeField(help_text="When the question arrived at the server.", verbose_name="asked at"),
        ),
        migrations.AlterField(
            model_name="timeline",
            name="beside_reads",
            field=models.FloatField(default=0, verbose_name="beside reads"),
        ),
        migrations.AlterField(
            model_name="timeline",
            name="beside_writes",
            field=models.FloatField(default=0, verbose_name="beside writes"),
        ),
        migrations.AlterField(
            model_name="timeline",
            name="chat",
            field=models.CharField(
                choices=[("kafka", "Kafka chat"), ("websocket", "WebSocket chat")], max_length=9, verbose_name="chat"
            ),
        ),
        migrations.AlterField(
            model_name="timeline",
            name="completion_tokens",
            field=models.PositiveIntegerField(null=True, verbose_name="completion tokens"),
        ),
        migrations.AlterField(
            model_name="timeline",
            name="fallback",
            field=models.BooleanField(default=False, verbose_name="fallback"),
        ),
        migrations.AlterField(
            model_name="timeline",
            name="marks",
            field=models.JSONField(default=dict, verbose_name="marks"),
        ),
        migrations.AlterField(
            model_name="timeline",
            name="model",
            field=models.CharField(blank=True, max_length=128, verbose_name="model"),
        ),
        migrations.AlterField(
            model_name="timeline",
            name="outcome",
            field=models.CharField(max_length=11, verbose_name="outcome"),
        ),
        migrations.AlterField(
            model_name="timeline",
            name="prompt_tokens",
            field=models.PositiveIntegerField(null=True, verbose_name="prompt tokens"),
        ),
        migrations.AlterField(
            model_name="timeline",
            name="provider",
            field=models.CharField(blank=True, max_length=64, verbose_name="provider"),
        ),
        migrations.AlterField(
            model_name="timeline",
            name="reads",
            field=models.FloatField(default=0, verbose_name="reads"),
        ),
        migrations.AlterField(
            model_name="timeline",
            name="reconnects",
            field=models.PositiveIntegerField(default=0, verbose_name="reconnects"),
        ),
        migrations.AlterField(
            model_name="timeline",
            name="trace_id",
            field=models.UUIDField(editable=False, primary_key=True, serialize=False, verbose_name="trace id"),
        ),
        migrations.AlterField(
            model_name="timeline",
            name="transport",
            field=models.CharField(
                choices=[
                    ("websocket", "WebSocket"),
                    ("sse", "server-sent events"),
                    ("held", "held polling"),
                    ("plain", "plain polling"),
                ],
                max_length=9,
                verbose_name="transport",
            ),
        ),
        migrations.AlterField(
            model_name="timeline",
            name="visitor_id",
            field=models.UUIDField(help_text="The visitor who asked.", verbose_name="visitor id"),
        ),
        migrations.AlterField(
            model_name="timeline",
            name="writes",
            field=models.FloatField(default=0, verbose_name="writes"),
        ),
    ]
