"""The head of the audit log may go, if a checkpoint stands in its place in the same moment.

PostgreSQL sees to that itself, whoever deletes: a statement that removes rows must remove all up to one, and that one
must be the last of a checkpoint. Who may delete at all is the owner of the table, once they have given themselves the
right: see data_agent/checkpoints.py.
"""

from django.db import migrations, models

CREATE = """
CREATE TABLE da_audit_checkpoint (
    id bigserial PRIMARY KEY,
    at timestamptz NOT NULL,
    last_id bigint NOT NULL UNIQUE,
    last_hash text NOT NULL,
    removed bigint NOT NULL,
    previous_signature text NOT NULL UNIQUE,
    key_id text NOT NULL,
    signature text NOT NULL UNIQUE
);
COMMENT ON TABLE da_audit_checkpoint IS 'What stands in place of the removed head of da_audit_event; append-only.';
COMMENT ON COLUMN da_audit_checkpoint.last_id IS 'The last row that was removed.';
COMMENT ON COLUMN da_audit_checkpoint.last_hash IS 'Its hash, which the first row that is left carries on.';
COMMENT ON COLUMN da_audit_checkpoint.removed IS 'Rows that have been removed until now.';
COMMENT ON COLUMN da_audit_checkpoint.key_id IS 'Which key signed it.';
COMMENT ON COLUMN da_audit_checkpoint.signature IS 'HMAC-SHA256 over this row, see data_agent/checkpoints.py.';

CREATE OR REPLACE FUNCTION da_audit_event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER da_audit_checkpoint_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON da_audit_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION da_audit_event_is_append_only();
ALTER TABLE da_audit_checkpoint ENABLE ALWAYS TRIGGER da_audit_checkpoint_append_only;

-- Names without a schema mean nothing here but PostgreSQL's own and the removed rows: a session may have tables of the
-- same names.
CREATE FUNCTION da_audit_event_loses_its_head_only() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last record;
    covered boolean;
BEGIN
    SELECT id, hash INTO last FROM removed ORDER BY id DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    EXECUTE format(
        'SELECT EXISTS (SELECT FROM %1$I.da_audit_checkpoint WHERE last_id = $1 AND last_hash = $2)'
        ' AND NOT EXISTS (SELECT FROM %1$I.da_audit_event WHERE id <= $1)', TG_TABLE_SCHEMA
    ) INTO covered USING last.id, last.hash;
    IF NOT covered THEN
        RAISE EXCEPTION '% is append-only: DELETE is refused, but of its head in favour of a checkpoint', TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION da_audit_event_loses_its_head_only() FROM PUBLIC;

-- Until the end of this migration.
GRANT TRIGGER ON da_audit_event TO CURRENT_USER;
DROP TRIGGER da_audit_event_append_only ON da_audit_event;
CREATE TRIGGER da_audit_event_append_only
    BEFORE UPDATE OR TRUNCATE ON da_audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION da_audit_event_is_append_only();
CREATE TRIGGER da_audit_event_head_only
    AFTER DELETE ON da_audit_event REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION da_audit_event_loses_its_head_only();
ALTER TABLE da_audit_event ENABLE ALWAYS TRIGGER da_audit_event_append_only;
ALTER TABLE da_audit_event ENABLE ALWAYS TRIGGER da_audit_event_head_only;

-- A role of the application's that is not the owner may have been given more by default.
DO $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT DISTINCT c.oid::regclass AS relation, a.grantee
          FROM pg_class c, aclexplode(c.relacl) a
         WHERE c.oid IN ('da_audit_event'::regclass, 'da_audit_checkpoint'::regclass)
    LOOP
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON %s FROM %s', granted.relation,
                       CASE granted.grantee WHEN 0 THEN 'PUBLIC' ELSE granted.grantee::regrole::text END);
    END LOOP;
END
$$;
REVOKE UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON da_audit_checkpoint FROM PUBLIC, CURRENT_USER;
"""

DROP = """
GRANT TRIGGER ON da_audit_event TO CURRENT_USER;
DROP TRIGGER da_audit_event_head_only ON da_audit_event;
DROP TRIGGER da_audit_event_append_only ON da_audit_event;
CREATE TRIGGER da_audit_event_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON da_audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION da_audit_event_is_append_only();
ALTER TABLE da_audit_event ENABLE ALWAYS TRIGGER da_audit_event_append_only;
DROP FUNCTION da_audit_event_loses_its_head_only();
DROP TABLE da_audit_checkpoint;
REVOKE TRIGGER ON da_audit_event FROM CURRENT_USER;
"""


class Migration(migrations.Migration):

    dependencies = [("data_agent", "0004_sharing_verified_questions")]

    operations = [
        migrations.RunSQL(
            CREATE,
            DROP,
            state_operations=[
                migrations.CreateModel(
                    name="AuditCheckpoint",
                    fields=[
                        ("id", models.BigAutoField(primary_key=True, serialize=False)),
                        ("at", models.DateTimeField()),
                        ("last_id", models.BigIntegerField()),
                        ("last_hash", models.TextField()),
                        ("removed", models.BigIntegerField()),
                        ("previous_signature", models.TextField()),
                        ("key_id", models.TextField()),
                        ("signature", models.TextField()),
                    ],
                    options={
                        "db_table": "da_audit_checkpoint",
                        "managed": False,
                        "ordering": ("-id",),
                        "verbose_name": "audit checkpoint",
                    },
                ),
            ],
        ),
    ]
