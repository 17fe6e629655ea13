import os

from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "tests.shop"
    label = "shop"

    def ready(self) -> None:
        from fragcache.warming import lock

        if life := os.environ.get("SHOP_LOCK_LIFE"):
            lock.LIFE = float(life)  # type: ignore[misc]
