"""Settings of the anthology: PostgreSQL, Redis and the queue by the environment."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

from tests.settings import database_at

SECRET_KEY = "the-anthology-signs-with-this"
USE_TZ = True
USE_I18N = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["fragcache", "tests.anthology"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DATABASES: dict[str, dict[str, Any]] = {"default": database_at(os.environ["ANTHOLOGY_DATABASE"])}
CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "fragcache.backends.redis.RedisCache",
        "LOCATION": os.environ["ANTHOLOGY_REDIS"],
    }
}
if os.environ["ANTHOLOGY_QUEUE"] == "celery":
    INSTALLED_APPS.append("fragcache.contrib.celery")
    CELERY_BROKER_URL = os.environ["ANTHOLOGY_REDIS"].removesuffix("0") + "1"
    CELERY_WORKER_PREFETCH_MULTIPLIER = 1
else:
    INSTALLED_APPS.append("django_tasks_db")
    if importlib.util.find_spec("django.tasks") is None:
        INSTALLED_APPS.append("django_tasks")
    TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
