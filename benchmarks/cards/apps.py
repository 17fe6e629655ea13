from django.apps import AppConfig


class CardsConfig(AppConfig):
    name = "benchmarks.cards"
    label = "cards"
