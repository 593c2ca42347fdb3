import django.db.models.deletion
import django.db.models.expressions
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditEvent',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('at', models.DateTimeField()),
                ('kind', models.TextField()),
                ('session_id', models.UUIDField(null=True)),
                ('step_id', models.UUIDField(null=True)),
                ('person', models.TextField()),
                ('address', models.TextField()),
                ('question', models.TextField()),
                ('sql', models.TextField()),
                ('fingerprint', models.TextField()),
                ('verdict', models.JSONField()),
                ('rows', models.BigIntegerField(null=True)),
                ('bytes', models.BigIntegerField(null=True)),
                ('duration_ms', models.BigIntegerField(null=True)),
                ('error', models.TextField()),
                ('previous_hash', models.TextField()),
                ('hash', models.TextField()),
            ],
            options={
                'verbose_name': 'audit event',
                'db_table': 'da_audit_event',
                'ordering': ('-id',),
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='AnalyticsProductSpec',
            fields=[
                ('id', models.BigAutoField(db_comment='Primary key.', primary_key=True, serialize=False)),
                ('name', models.TextField(db_comment="Product's name, unique.", unique=True)),
                ('category', models.TextField(db_comment='Category, such as Laptops or Headphones.', db_index=True)),
                ('brand', models.TextField(db_comment='Brand.')),
                ('price', models.DecimalField(db_comment='List price today, in US dollars.', decimal_places=2, max_digits=10)),
                ('weight_kg', models.DecimalField(db_comment='Weight in kilograms.', decimal_places=3, max_digits=8)),
                ('rating', models.DecimalField(db_comment='Mean customer rating from 1.0 to 5.0.', decimal_places=1, max_digits=2)),
                ('release_date', models.DateField(db_comment='Day it came to market.')),
                ('specs', models.JSONField(db_comment='Further properties as a JSON object; the keys depend on the category.', default=dict)),
            ],
            options={
                'verbose_name': 'product',
                'db_table': 'analytics_product_specs',
                'db_table_comment': 'Products, one row each.',
                'constraints': [models.CheckConstraint(condition=models.Q(('price__gte', 0)), name='analytics_product_specs_price'), models.CheckConstraint(condition=models.Q(('rating__range', (1, 5))), name='analytics_product_specs_rating')],
            },
        ),
        migrations.CreateModel(
            name='AnalyticsUser',
            fields=[
                ('id', models.BigAutoField(db_comment='Primary key.', primary_key=True, serialize=False)),
                ('name', models.TextField(db_comment='Full name.')),
                ('email', models.TextField(db_comment='E-mail address, unique.', unique=True)),
                ('country', models.TextField(db_comment="Country's English name, such as Germany or Japan.", db_index=True)),
                ('plan', models.TextField(db_comment='Subscription: free, pro or enterprise.')),
                ('signed_up_at', models.DateTimeField(db_comment='When the customer signed up (UTC).', db_index=True)),
            ],
            options={
                'verbose_name': 'customer',
                'db_table': 'analytics_users',
                'db_table_comment': 'Customers of the shop.',
                'constraints': [models.CheckConstraint(condition=models.Q(('plan__in', ('free', 'pro', 'enterprise'))), name='analytics_users_plan')],
            },
        ),
        migrations.CreateModel(
            name='Session',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, primary_key=True, serialize=False)),
                ('title', models.TextField(db_comment='The first question, shortened.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='data_agent_sessions', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'db_table': 'da_session',
                'ordering': ('-created_at', '-id'),
                'permissions': (('use_data_agent', 'Can ask the data agent and run the queries it proposes'),),
            },
        ),
        migrations.CreateModel(
            name='AnalyticsPurchase',
            fields=[
                ('id', models.BigAutoField(db_comment='Primary key.', primary_key=True, serialize=False)),
                ('user', models.ForeignKey(db_comment='Customer who bought; references analytics_users.id.', on_delete=django.db.models.deletion.CASCADE, related_name='purchases', to='data_agent.analyticsuser')),
                ('product_name', models.TextField(db_comment='Product bought; equals analytics_product_specs.name.', db_index=True)),
                ('quantity', models.IntegerField(db_comment='Pieces bought, at least 1.')),
                ('unit_price', models.DecimalField(db_comment='Price of one piece at the time of purchase, in US dollars.', decimal_places=2, max_digits=10)),
                ('total_amount', models.DecimalField(db_comment='quantity times unit_price, in US dollars.', decimal_places=2, max_digits=12)),
                ('purchased_at', models.DateTimeField(db_comment='When it was bought (UTC).', db_index=True)),
                ('status', models.TextField(db_comment='completed, refunded, pending or cancelled; revenue counts completed ones.')),
            ],
            options={
                'verbose_name': 'purchase',
                'db_table': 'analytics_purchases',
                'db_table_comment': 'Purchases, one row for each product in an order.',
                'constraints': [models.CheckConstraint(condition=models.Q(('status__in', ('completed', 'refunded', 'pending', 'cancelled'))), name='analytics_purchases_status'), models.CheckConstraint(condition=models.Q(('quantity__gte', 1)), name='analytics_purchases_quantity'), models.CheckConstraint(condition=models.Q(('total_amount', django.db.models.expressions.CombinedExpression(models.F('quantity'), '*', models.F('unit_price')))), name='analytics_purchases_total')],
            },
        ),
        migrations.CreateModel(
            name='Step',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField(db_comment='Position in the session, from 1.')),
                ('state', models.CharField(choices=[('proposed', 'waits for a person'), ('blocked', 'refused by the guard'), ('approved', 'approved, being run'), ('executed', 'run, being answered'), ('answered', 'answered'), ('failed', 'failed'), ('rejected', 'rejected by the person'), ('skipped', 'skipped by the person'), ('expired', 'not decided in time')], max_length=16)),
                ('question', models.TextField()),
                ('sql', models.TextField(blank=True, db_comment='The exact text that is shown, approved and run.', default='')),
                ('sql_sha256', models.CharField(blank=True, db_comment='SHA-256 of sql in UTF-8.', default='', max_length=64)),
                ('policy_version', models.CharField(blank=True, default='', max_length=64)),
                ('expires_at', models.DateTimeField(blank=True, db_comment='After this it cannot be approved any more.', null=True)),
                ('explanation', models.TextField(blank=True, db_comment='The query in plain words.', default='')),
                ('source', models.CharField(db_comment='model, verified or edited.', default='model', max_length=16)),
                ('note', models.TextField(blank=True, db_comment="Why this is not the model's own query.", default='')),
                ('verdict', models.JSONField(db_comment="The guard's verdict: tables, columns, reasons, warnings.", default=dict)),
                ('estimated_rows', models.BigIntegerField(blank=True, db_comment="PostgreSQL's estimate.", null=True)),
                ('provider', models.CharField(blank=True, default='', max_length=32)),
                ('model', models.CharField(blank=True, default='', max_length=128)),
                ('fallback', models.BooleanField(default=False)),
                ('reason', models.TextField(blank=True, db_comment='What the person said on rejecting it.', default='')),
                ('columns', models.JSONField(db_comment="Names and types of the result's columns.", default=list)),
                ('rows', models.JSONField(db_comment='The result, at most 1,000 rows and 1 MB.', default=list)),
                ('cut', models.BooleanField(db_comment='Whether the result was longer than what is kept.', default=False)),
                ('duration_ms', models.PositiveIntegerField(blank=True, null=True)),
                ('answer', models.TextField(blank=True, default='')),
                ('answer_source', models.CharField(blank=True, db_comment='model or rule.', default='', max_length=16)),
                ('error', models.TextField(blank=True, default='')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('session', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='steps', to='data_agent.session')),
            ],
            options={
                'db_table': 'da_step',
                'ordering': ('number',),
                'constraints': [models.UniqueConstraint(fields=('session', 'number'), name='da_step_number')],
            },
        ),
    ]
