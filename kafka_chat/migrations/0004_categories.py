from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("kafka_chat", "0003_stopped"),
    ]

    operations = [
        migrations.AddField(
            model_name="chatmessage",
            name="language",
            field=models.CharField(blank=True, default="", help_text="ISO 639-1; empty where it is not known.", max_length=2),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="chatmessage",
            name="categorised_by",
            field=models.CharField(blank=True, default="", help_text="The provider, or: key words.", max_length=64),
            preserve_default=False,
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
            ),
        ),
        # Web servers of the release before go on storing questions, without these columns.
        migrations.RunSQL(
            "ALTER TABLE kf_chatmessage ALTER language SET DEFAULT '', ALTER categorised_by SET DEFAULT ''",
            migrations.RunSQL.noop,
        ),
    ]
