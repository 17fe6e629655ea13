"""A router that tests tell where to read and to write, and a replica that they let lag."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import models


class Router:
    """Sends all models to one database for reading, and to one for writing."""

    reads: Callable[[type[models.Model], dict[str, Any]], str | None]
    writes: str

    def db_for_read(self, model: type[models.Model], **hints: Any) -> str | None:
        return type(self).reads(model, hints)

    def db_for_write(self, model: type[models.Model], **hints: Any) -> str:
        return self.writes

    def allow_relation(self, *_objects: Any, **_hints: Any) -> bool:
        return True


@pytest.fixture
def route(settings: Any) -> Iterator[Callable[..., None]]:
    """A function that tells where writes go, and reads: an alias, or a function of model, hints."""

    def tell(reads: Any, writes: str = "default") -> None:
        Router.reads = staticmethod(reads if callable(reads) else lambda _model, _hints: reads)
        Router.writes = writes
        settings.DATABASE_ROUTERS = ["tests.routers.Router"]

    yield tell
    settings.DATABASE_ROUTERS = []


def replicate(*kinds: type[models.Model]) -> None:
    """Let the second database have what the first one has by now."""
    for kind in reversed(kinds):
        models.QuerySet(kind, using="second").delete()
    for kind in kinds:
        rows = list(models.QuerySet(kind, using="default"))
        models.QuerySet(kind, using="second").bulk_create(rows)
