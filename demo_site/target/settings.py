import os

from django.core.exceptions import ImproperlyConfigured

from shared_settings import *  # noqa: F403
from shared_settings import FRAGCACHE


def status(variable: str, *allowed: int) -> int:
    """Return the status of pages that cannot show their subject; the first one unless set."""
    given = os.environ.get(variable) or str(allowed[0])
    if given not in map(str, allowed):
        raise ImproperlyConfigured(
            f"{variable} is {given!r}; it must be one of {', '.join(map(str, allowed))}."
        )
    return int(given)


SECRET_KEY = os.environ.get("DEMO_TARGET_SECRET_KEY") or "demo-only-secret-key-of-the-target"
# Pages only read. One process writes: the target's own `warm_fragments`, which renders what the
# source has published as contexts.
FRAGCACHE = {**FRAGCACHE, "READ_ONLY": os.environ.get("DEMO_TARGET_WARMS") != "1"}
DATABASES = {}
DEMO_SOURCE_URL = os.environ.get("DEMO_SOURCE_URL") or "http://127.0.0.1:4000"
DEMO_SOURCE_TIMEOUT = float(os.environ.get("DEMO_SOURCE_TIMEOUT") or 3)  # seconds
DEMO_SOURCE_STATUS = status("DEMO_SOURCE_STATUS", 502, 503)
DEMO_CACHE_STATUS = status("DEMO_CACHE_STATUS", 503, 200)
ROOT_URLCONF = "target.urls"
WSGI_APPLICATION = "target.wsgi.application"

INSTALLED_APPS = [
    "target",
    "fragcache",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "fragcache.middleware.ServerTimingMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "common.page_cost.PageCostMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    },
]
