from django.apps import AppConfig
from django.core import checks
from django.utils.module_loading import autodiscover_modules


class FragcacheConfig(AppConfig):
    name = "fragcache"
    verbose_name = "Fragment cache"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import each app's ``fragments.py``, as Django's admin does with ``admin.py``."""
        from fragcache import checks as own_checks
        from fragcache import counters
        from fragcache.signals import guard_probed
        from fragcache.stats.collecting import collector
        from fragcache.stats.outages import note
        from fragcache.touching.receivers import connect

        connect()
        autodiscover_modules("fragments")
        counters.collect_with(collector.begin)
        guard_probed.connect(note, dispatch_uid="fragcache.stats.outages")
        checks.register(own_checks.check_settings, checks.Tags.caches)
        checks.register(own_checks.check_caches, checks.Tags.caches)
        checks.register(own_checks.check_source, checks.Tags.caches)
        checks.register(own_checks.check_interface, checks.Tags.urls)
        checks.register(own_checks.check_plan, checks.Tags.database)
        checks.register(own_checks.check_fragments, checks.Tags.templates)
        checks.register(own_checks.check_versions, checks.Tags.models)
        # Not for each warm_fragments: advice, of which one compiles many templates.
        checks.register(own_checks.check_extent, "fragcache")
        checks.register(own_checks.check_templates, "fragcache")
