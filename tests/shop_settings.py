"""Settings of a shop in processes of its own: cache, lock and database by the environment."""

from __future__ import annotations

import os
from typing import Any

from tests.settings import database_at
from tests.shop import SECRET_KEY  # noqa: F401

USE_TZ = True
INSTALLED_APPS = ["fragcache", "tests.shop"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
CACHES: dict[str, dict[str, Any]] = {
    "fragments": {
        "BACKEND": os.environ["SHOP_BACKEND"],
        "LOCATION": os.environ["SHOP_LOCATION"],
        "KEY_PREFIX": os.environ["SHOP_PREFIX"],
    }
}
CACHES["default"] = CACHES["fragments"]
FRAGCACHE = {"LOCK": os.environ.get("SHOP_LOCK", "cache")}
if database := os.environ.get("SHOP_DATABASE"):
    DATABASES = {"default": database_at(database)}
