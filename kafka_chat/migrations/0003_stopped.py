from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("kafka_chat", "0002_open_questions"),
    ]

    operations = [
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
            ),
        ),
        migrations.RemoveConstraint(model_name="chatmessage", name="kf_answered_has_time"),
        migrations.AddConstraint(
            model_name="chatmessage",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("answered_at__isnull", False), ("status__in", ("answered", "stopped"))),
                    models.Q(
                        models.Q(("status__in", ("answered", "stopped")), _negated=True),
                        ("answered_at__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="kf_answered_has_time",
            ),
        ),
        migrations.RemoveIndex(model_name="chatmessage", name="kf_session_history"),
        migrations.AddIndex(
            model_name="chatmessage",
            index=models.Index(fields=["session_id", "-message_id"], name="kf_history"),
        ),
    ]
