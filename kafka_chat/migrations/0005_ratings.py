from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("kafka_chat", "0004_categories"),
    ]

    operations = [
        migrations.AddField(
            model_name="chatmessage",
            name="rating",
            field=models.CharField(
                blank=True,
                choices=[("up", "Up"), ("down", "Down")],
                default="",
                help_text="What the visitor thinks of it.",
                max_length=4,
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="chatmessage",
            name="comment",
            field=models.TextField(blank=True, default="", help_text="What the visitor says about it."),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="chatmessage",
            name="rated_at",
            field=models.DateTimeField(null=True),
        ),
        # Web servers of the release before go on storing questions, without these columns.
        migrations.RunSQL(
            "ALTER TABLE kf_chatmessage ALTER rating SET DEFAULT '', ALTER comment SET DEFAULT ''",
            migrations.RunSQL.noop,
        ),
    ]
