"""What each step must know of its question and its person, and what the audit log needs beyond its first form."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import F, OuterRef, Subquery


def _fill(apps, schema_editor):
    step = apps.get_model("data_agent", "Step")
    session = apps.get_model("data_agent", "Session")
    owner = session.objects.filter(pk=OuterRef("session_id")).values("owner_id")[:1]
    step.objects.update(thread=F("id"), proposed_to_id=Subquery(owner))


# The log's own table is not Django's to manage. Older rows have no cost, and their hashes are made without it.
AUDIT = """
ALTER TABLE da_audit_event ADD COLUMN cost double precision;
COMMENT ON COLUMN da_audit_event.cost IS 'What the planner expected; not in the hash of rows without it.';
COMMENT ON COLUMN da_audit_event.kind IS 'What happened; the list is in data_agent/audit.py.';
CREATE INDEX da_audit_event_at ON da_audit_event (at);
-- The trigger stands against everybody. This stands against the owner too, where that is no superuser.
REVOKE UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON da_audit_event FROM PUBLIC, CURRENT_USER;
"""

AUDIT_BACK = """
GRANT ALL ON da_audit_event TO CURRENT_USER;
DROP INDEX da_audit_event_at;
ALTER TABLE da_audit_event DROP COLUMN cost;
"""


class Migration(migrations.Migration):

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("data_agent", "0002_audit_event"),
    ]

    operations = [
        migrations.RunSQL(AUDIT, AUDIT_BACK),
        migrations.AlterModelOptions(
            name="session",
            options={
                "ordering": ("-created_at", "-id"),
                "permissions": (
                    ("use_data_agent", "Can ask the data agent and run the queries it proposes"),
                    ("see_personal_data", "Can see names and e-mail addresses in the data agent's results"),
                    ("audit_data_agent", "Can read and export the data agent's audit log"),
                ),
            },
        ),
        migrations.AddField("step", "thread", models.UUIDField(null=True)),
        migrations.AddField(
            "step",
            "proposed_to",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                db_comment="Who alone may approve it.",
            ),
        ),
        migrations.RunPython(_fill, migrations.RunPython.noop),
    ]
