import os

from shared_settings import *  # noqa: F403
from shared_settings import FRAGCACHE

SECRET_KEY = os.environ.get("DEMO_TARGET_SECRET_KEY") or "demo-only-secret-key-of-the-target"
FRAGCACHE = {**FRAGCACHE, "READ_ONLY": True}
DATABASES = {}
ROOT_URLCONF = "target.urls"
WSGI_APPLICATION = "target.wsgi.application"

INSTALLED_APPS = [
    "target",
    "fragcache",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
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
