from django.apps import AppConfig


class DiscographyConfig(AppConfig):
    name = "tests.discography"
    label = "discography"
    default_auto_field = "django.db.models.BigAutoField"
