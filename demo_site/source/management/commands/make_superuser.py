"""Make the demo's superuser, whom nobody has to think of a password for."""

import os

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand

NAME = "demo"


class Command(BaseCommand):
    help = "Make a superuser with the password DEMO_ADMIN_PASSWORD, or give it that password."

    def handle(self, **options: object) -> None:
        password = os.environ.get("DEMO_ADMIN_PASSWORD") or "demo"
        user, _is_new = User.objects.get_or_create(
            username=NAME, defaults={"is_staff": True, "is_superuser": True}
        )
        if not user.check_password(password):
            user.set_password(password)
            user.save()
