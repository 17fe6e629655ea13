from django.apps import AppConfig


class MusicsConfig(AppConfig):
    name = "musics"
    default_auto_field = "django.db.models.BigAutoField"
