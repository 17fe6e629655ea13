"""Settings of a site in processes of its own that counts: cache and database by the environment."""

from __future__ import annotations

import os

from tests.settings import database_at

SECRET_KEY = "the-counting-site-signs-with-this"
USE_TZ = True
USE_I18N = True
INSTALLED_APPS = ["fragcache", "tests.counting"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
CACHES = {
    "default": {
        "BACKEND": os.environ["COUNTING_BACKEND"],
        "LOCATION": os.environ["COUNTING_LOCATION"],
        "KEY_PREFIX": os.environ["COUNTING_PREFIX"],
    }
}
DATABASES = {"default": database_at(os.environ["COUNTING_DATABASE"])}
# However busy the machine is, a page waits for its cache.
FRAGCACHE = {"PAGE_BUDGET": None}
