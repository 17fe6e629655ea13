"""Fragments that take as long, and fail where, the environment says."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from fragcache import fragment
from tests.shop import NUMBERS, SLOW_FROM


def numbers() -> range:
    if os.environ["SHOP_ITEMS"] == "broken":
        raise LookupError("no such numbers")
    return range(NUMBERS)


@fragment(
    "shop/number.html",
    items=numbers,
    version=lambda n: 1,
    publish=os.environ.get("SHOP_PUBLISH", "html"),  # type: ignore[arg-type]
)
def offer(n: int) -> dict[str, Any]:
    if n >= SLOW_FROM:
        time.sleep(float(os.environ["SHOP_SECONDS"]))
    if str(n) == os.environ["SHOP_POISON"]:
        raise ValueError("no such offer")
    if str(n) == os.environ.get("SHOP_KILLER"):
        os.kill(os.getpid(), signal.SIGKILL)
    if log := os.environ.get("SHOP_LOG"):
        with Path(log).open("a") as file:
            file.write(f"{n} {os.getpid()}\n")
    return {"n": n}


@fragment("shop/number.html", items=["rose"], version=lambda n: 1)
def price(n: str) -> dict[str, Any]:
    return {"n": n}
