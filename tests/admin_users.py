"""Who looks at the admin: clients that are logged in, and what they see."""

from __future__ import annotations

import re
from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

PERMISSIONS = ("view_fragmentcache", "warm_fragments", "invalidate_fragments", "clear_fragments")


def staff(*permissions: str, **options: Any) -> Client:
    """Return a client of someone of the staff who has these permissions and no others."""
    user = User.objects.create_user(f"clerk{User.objects.count()}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    assert user.user_permissions.count() == len(permissions)
    client = Client(**options)
    client.force_login(user)
    return client


def address(page: str, **query: str) -> str:
    return reverse(f"admin:fragcache_{page}", query=query)


def text_of(answer: Any) -> str:
    """Return what a page says, without its markup, on one line."""
    html = re.sub(r"<(script|style).*?</\1>", "", answer.content.decode(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())
