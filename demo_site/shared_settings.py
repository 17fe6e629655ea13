"""What source and target have in common: a cache, the secret that seals its entries, the axes."""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

DEMO_DIR = Path(__file__).resolve().parent
# The SQLite files of the demo; nothing else is ever written.
VAR_DIR = Path(os.environ.get("DEMO_VAR") or DEMO_DIR / "var")
VAR_DIR.mkdir(parents=True, exist_ok=True)

FRAGMENT_CACHES = {
    "embedded": {
        "BACKEND": "fragcache.backends.embedded.EmbeddedCache",
        "LOCATION": str(VAR_DIR / "fragments.sqlite3"),
    },
    "redis": {
        "BACKEND": "fragcache.backends.redis.RedisCache",
        "LOCATION": os.environ.get("DEMO_REDIS_URL") or "redis://127.0.0.1:6379/0",
    },
    "memcached": {
        "BACKEND": "fragcache.backends.memcached.MemcachedCache",
        "LOCATION": os.environ.get("DEMO_MEMCACHED") or "127.0.0.1:11211",
    },
}
DEMO_CACHE = os.environ.get("DEMO_CACHE") or "embedded"
if DEMO_CACHE not in FRAGMENT_CACHES:
    raise ImproperlyConfigured(
        f"DEMO_CACHE is {DEMO_CACHE!r}; it must be one of {', '.join(FRAGMENT_CACHES)}."
    )

CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    # A prefix, because a server found running may be in use by others.
    "fragments": {**FRAGMENT_CACHES[DEMO_CACHE], "KEY_PREFIX": "demo"},
}
# Sites that share entries share the secret that seals them; each keeps a SECRET_KEY of its own.
FRAGCACHE = {
    "SECRET_KEYS": [
        os.environ.get("DEMO_FRAGCACHE_SECRET") or "demo-only-secret-that-both-sites-know"
    ]
}

# By which the source knows who asks its API.
DEMO_API_KEY = os.environ.get("DEMO_API_KEY") or "demo-only-api-key"

DEBUG = os.environ.get("DEMO_DEBUG") == "1"
FRAGCACHE["DEBUG_COMMENTS"] = DEBUG
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", *os.environ.get("DEMO_HOSTS", "").split()]

# Language and time zone are axes of every fragment: both sites must agree on them.
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [DEMO_DIR / "static"]
