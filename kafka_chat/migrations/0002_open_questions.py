from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("kafka_chat", "0001_initial"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="chatmessage",
            index=models.Index(
                condition=models.Q(("status__in", ("queued", "generating"))),
                fields=["session_id", "message_id"],
                name="kf_open_questions",
            ),
        ),
    ]
