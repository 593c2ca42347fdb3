from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("kafka_chat", "0005_ratings"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="chatmessage",
            index=models.Index(condition=models.Q(("status", "failed")), fields=["message_id"], name="kf_failed"),
        ),
    ]
