from django.apps import AppConfig
from django.core import checks
from django.utils.module_loading import autodiscover_modules


class FragcacheConfig(AppConfig):
    name = "fragcache"
    verbose_name = "Fragment cache"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import each app's ``fragments.py``, as Django's admin does with ``admin.py``."""
        from fragcache.checks import check_caches, check_fragments, check_plan, check_settings
        from fragcache.signals import guard_probed
        from fragcache.stats.outages import note
        from fragcache.touching.receivers import connect

        connect()
        autodiscover_modules("fragments")
        guard_probed.connect(note, dispatch_uid="fragcache.stats.outages")
        checks.register(check_settings, checks.Tags.caches)
        checks.register(check_caches, checks.Tags.caches)
        checks.register(check_plan, checks.Tags.database)
        checks.register(check_fragments, checks.Tags.templates)
