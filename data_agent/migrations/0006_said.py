"""Beside an English sentence: how it was made, so that it can be said in the reader's language."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("data_agent", "0005_audit_checkpoints")]

    operations = [
        migrations.AddField(
            model_name="step",
            name="said",
            field=models.JSONField(
                blank=True,
                db_comment="How note, error, reasons and warnings were made, to say them in other languages.",
                null=True,
            ),
        ),
    ]
