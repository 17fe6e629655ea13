from django.apps import AppConfig


class ChronicleConfig(AppConfig):
    name = "tests.chronicle"
    default_auto_field = "django.db.models.BigAutoField"
