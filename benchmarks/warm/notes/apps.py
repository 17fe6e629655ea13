from django.apps import AppConfig


class NotesConfig(AppConfig):
    name = "benchmarks.warm.notes"
    label = "notes"
