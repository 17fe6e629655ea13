"""Settings of a shop in processes of its own: without a database, its cache by the environment."""

from __future__ import annotations

import os
from typing import Any

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
