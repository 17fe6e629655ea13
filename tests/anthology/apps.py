import os

from django.apps import AppConfig


class AnthologyConfig(AppConfig):
    name = "tests.anthology"
    label = "anthology"

    def ready(self) -> None:
        from fragcache.warming.distributed import claims

        claims.LIFE = float(os.environ["ANTHOLOGY_LIFE"])  # type: ignore[misc]
        if os.environ["ANTHOLOGY_QUEUE"] == "celery":
            from tests.anthology import celery_app  # noqa: F401 - which makes it the current one
