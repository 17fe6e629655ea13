from django.apps import AppConfig


class FragcacheCeleryConfig(AppConfig):
    name = "fragcache.contrib.celery"
    label = "fragcache_celery"
    verbose_name = "Fragment cache by Celery"
