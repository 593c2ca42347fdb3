"""A foreign key costs a read for each call; that a price which was applied stays is the trigger's business."""

import django.db.models.deletion
from django.db import migrations, models

FUNCTION = """
CREATE OR REPLACE FUNCTION llm_price_keep_applied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM llm_call WHERE price_id = OLD.id) THEN
        RAISE EXCEPTION 'price % has been applied to calls: add a new version instead', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END
$$;
DROP TRIGGER llm_price_keep_applied ON llm_price;
CREATE TRIGGER llm_price_keep_applied
    BEFORE UPDATE {or_delete} ON llm_price FOR EACH ROW EXECUTE FUNCTION llm_price_keep_applied();
"""


class Migration(migrations.Migration):

    dependencies = [("llm", "0002_list_prices")]

    operations = [
        migrations.AlterField(
            model_name="call",
            name="price",
            field=models.ForeignKey(blank=True, db_constraint=False, help_text="The version of the price table that was applied; none: no price was known.", null=True, on_delete=django.db.models.deletion.PROTECT, related_name="calls", to="llm.price"),
        ),
        migrations.RunSQL(FUNCTION.format(or_delete="OR DELETE"), FUNCTION.format(or_delete="")),
    ]
