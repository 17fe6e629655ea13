from django.apps import AppConfig


class FragcacheOtelConfig(AppConfig):
    name = "fragcache.contrib.otel"
    label = "fragcache_otel"
    verbose_name = "Fragment cache by OpenTelemetry"

    def ready(self) -> None:
        """Tell spans to the provider that the site sets, whenever it does."""
        from fragcache.contrib.otel.spans import instrument

        instrument()
