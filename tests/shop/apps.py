import os

from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "tests.shop"
    label = "shop"

    def ready(self) -> None:
        from fragcache.warming.locks import cache

        if life := os.environ.get("SHOP_LOCK_LIFE"):
            cache.LIFE = float(life)  # type: ignore[misc]
