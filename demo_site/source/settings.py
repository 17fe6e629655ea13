import os
from importlib.util import find_spec

from common.database import database
from shared_settings import *  # noqa: F403
from shared_settings import DEBUG, DEMO_API_KEY, VAR_DIR

SECRET_KEY = os.environ.get("DEMO_SOURCE_SECRET_KEY") or "demo-only-secret-key-of-the-source"
DATABASES = {"default": database(os.environ.get("DEMO_DATABASE_URL"), VAR_DIR / "source.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# What targets send with their requests; two of them while one takes the other's place.
DEMO_API_KEYS = [DEMO_API_KEY, *os.environ.get("DEMO_OLD_API_KEYS", "").split()]
REST_FRAMEWORK = {"DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"]}
ROOT_URLCONF = "source.urls"
WSGI_APPLICATION = "source.wsgi.application"

INSTALLED_APPS = [
    "source",
    "courses",
    "musics",
    "fragcache",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "fragcache.middleware.ServerTimingMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "common.page_cost.PageCostMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
if DEBUG and find_spec("debug_toolbar"):
    INSTALLED_APPS.append("debug_toolbar")
    MIDDLEWARE.insert(0, "debug_toolbar.middleware.DebugToolbarMiddleware")
    INTERNAL_IPS = ["127.0.0.1", "::1"]
    DEBUG_TOOLBAR_PANELS = [
        "fragcache.contrib.debug_toolbar.FragcachePanel",
        "debug_toolbar.panels.timer.TimerPanel",
        "debug_toolbar.panels.sql.SQLPanel",
        "debug_toolbar.panels.templates.TemplatesPanel",
        "debug_toolbar.panels.cache.CachePanel",
    ]
