from django.db import migrations, models

DEFAULT = (
    "You are the assistant on the about page of Triptych, a project that shows three ways to build a chatbot with "
    "Django: over Kafka, over a WebSocket, and as an agent that queries data. Answer briefly, in the language of the "
    "question, with markdown where it helps. Say so when you do not know something."
)


class Migration(migrations.Migration):
    dependencies = [
        ("llm", "0004_profile"),
    ]

    operations = [
        migrations.AddField(
            model_name="profile",
            name="system_prompt",
            field=models.TextField(
                default=DEFAULT,
                help_text="What the models of both chats are told before every conversation. It counts within seconds.",
                max_length=2000,
            ),
        ),
    ]
