"""One fragment, which logs what it renders, and stalls once where the environment says."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fragcache import Fragment, register
from tests.anthology.models import Passage


@register
class PassageCard(Fragment):
    template_name = "anthology/passage.html"
    items = Passage.objects.all
    version = "updated_at"

    def get_context(self, passage: Passage) -> dict[str, Any]:
        return {"passage": passage}

    def get_contexts(self, items: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
        pks = [passage.pk for (passage,) in items]
        with Path(os.environ["ANTHOLOGY_LOG"]).open("a") as log:
            log.write("".join(f"{pk} {os.getpid()}\n" for pk in pks))
        if int(os.environ["ANTHOLOGY_STALL"]) in pks and is_first():
            time.sleep(600)
        return [self.get_context(*arguments) for arguments in items]


def is_first() -> bool:
    """Whether no other process has asked this."""
    try:
        Path(f"{os.environ['ANTHOLOGY_LOG']}.stalled").open("x").close()
    except FileExistsError:
        return False
    return True
