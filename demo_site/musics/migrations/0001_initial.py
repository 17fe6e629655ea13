import django.db.models.deletion
import django.db.models.manager
import fragcache.models
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Artist',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('mtime', fragcache.models.TouchField(verbose_name='modified at')),
                ('number', models.PositiveIntegerField(blank=True, editable=False, null=True, unique=True, verbose_name='number in Chinook')),
                ('name', models.CharField(max_length=200)),
            ],
            options={
                'ordering': ['name', 'pk'],
                'abstract': False,
                'base_manager_name': 'base_objects',
            },
            managers=[
                ('objects', django.db.models.manager.Manager()),
                ('base_objects', django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name='Album',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('mtime', fragcache.models.TouchField(verbose_name='modified at')),
                ('number', models.PositiveIntegerField(blank=True, editable=False, null=True, unique=True, verbose_name='number in Chinook')),
                ('title', models.CharField(max_length=200)),
                ('artist', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='albums', to='musics.artist')),
            ],
            options={
                'ordering': ['title', 'pk'],
                'abstract': False,
                'base_manager_name': 'base_objects',
            },
            managers=[
                ('objects', django.db.models.manager.Manager()),
                ('base_objects', django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name='Track',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('mtime', fragcache.models.TouchField(verbose_name='modified at')),
                ('number', models.PositiveIntegerField(blank=True, editable=False, null=True, unique=True, verbose_name='number in Chinook')),
                ('name', models.CharField(max_length=200)),
                ('composer', models.CharField(blank=True, max_length=200)),
                ('milliseconds', models.PositiveIntegerField()),
                ('album', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='tracks', to='musics.album')),
            ],
            options={
                'ordering': ['number', 'pk'],
                'abstract': False,
                'base_manager_name': 'base_objects',
            },
            managers=[
                ('objects', django.db.models.manager.Manager()),
                ('base_objects', django.db.models.manager.Manager()),
            ],
        ),
    ]
