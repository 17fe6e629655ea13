"""Settings of both of its sites, which have the models and the database of the demo's source."""

from __future__ import annotations

from shared_settings import FRAGMENT_CACHES
from source.settings import *  # noqa: F403
from source.settings import CACHES, INSTALLED_APPS

INSTALLED_APPS = ["benchmarks.demonstration", *INSTALLED_APPS]
ROOT_URLCONF = "benchmarks.demonstration.site"
CACHES["pickled"] = {
    "BACKEND": "django.core.cache.backends.redis.RedisCache",
    "LOCATION": FRAGMENT_CACHES["redis"]["LOCATION"],
}
