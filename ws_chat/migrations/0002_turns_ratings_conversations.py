import uuid_utils.compat
from django.db import migrations, models


STORED_WITHOUT = """
ALTER TABLE wbs_chatmessage ALTER rating SET DEFAULT '', ALTER comment SET DEFAULT '';
CREATE FUNCTION wbs_chatmessage_is_its_own_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.turn_id := NEW.run_id;
    RETURN NEW;
END
$$;
CREATE TRIGGER wbs_chatmessage_is_its_own_turn
    BEFORE INSERT ON wbs_chatmessage FOR EACH ROW WHEN (NEW.turn_id IS NULL)
    EXECUTE FUNCTION wbs_chatmessage_is_its_own_turn();
"""
STORED_WITHOUT_NO_MORE = """
DROP TRIGGER wbs_chatmessage_is_its_own_turn ON wbs_chatmessage;
DROP FUNCTION wbs_chatmessage_is_its_own_turn();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('ws_chat', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='ConversationStart',
            fields=[
                ('visitor_id', models.UUIDField(primary_key=True, serialize=False)),
                ('after', models.UUIDField(help_text='UUIDv7 of that moment: earlier turns have smaller ids.')),
            ],
            options={
                'db_table': 'wbs_conversationstart',
            },
        ),
        migrations.AddField(
            model_name='chatmessage',
            name='turn_id',
            field=models.UUIDField(null=True),
        ),
        # Until now, each run was the only one of its turn.
        migrations.RunSQL('UPDATE wbs_chatmessage SET turn_id = run_id', migrations.RunSQL.noop),
        migrations.AlterField(
            model_name='chatmessage',
            name='turn_id',
            field=models.UUIDField(default=uuid_utils.compat.uuid7, help_text='The first run of the turn: runs of the same turn are versions of one answer.'),
        ),
        migrations.AddField(
            model_name='chatmessage',
            name='rating',
            field=models.CharField(blank=True, choices=[('up', 'Up'), ('down', 'Down')], default='', help_text='What the visitor thinks of it.', max_length=4),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='chatmessage',
            name='comment',
            field=models.TextField(blank=True, default='', help_text='What the visitor says about it.'),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='chatmessage',
            name='rated_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.RemoveIndex(
            model_name='chatmessage',
            name='wbs_visitor_history',
        ),
        migrations.AddIndex(
            model_name='chatmessage',
            index=models.Index(fields=['visitor_id', 'turn_id', 'run_id'], name='wbs_visitor_turns'),
        ),
        # Web servers of the release before go on storing runs, without these columns.
        migrations.RunSQL(STORED_WITHOUT, STORED_WITHOUT_NO_MORE),
    ]
