"""A process of a site whose secret keys rotate: ``python -m tests.rotating``, a task a line.

Each task says the cache and the keys that it has from now on, as after a deployment.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import django
from django.conf import settings

#: How many instances a run warms.
WARMED = 10


def main() -> None:
    settings.configure(
        SECRET_KEY="old",
        USE_TZ=True,
        INSTALLED_APPS=["fragcache"],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "loaders": [("django.template.loaders.locmem.Loader", {"n.html": "<{{ n }}>"})]
                },
            }
        ],
        FRAGCACHE={},
    )
    django.setup()
    declare()
    for line in sys.stdin:
        task = json.loads(line)
        print(json.dumps(done(task)), flush=True)


def declare() -> None:
    from fragcache import fragment

    def warmed(n: int) -> dict[str, Any]:
        return {"n": n}

    fragment("n.html", name="site.versioned", items=range(WARMED), version=lambda n: 1)(warmed)
    fragment("n.html", name="site.timed", items=range(WARMED))(warmed)
    fragment("n.html", name="site.on_demand")(warmed)


def done(task: dict[str, Any]) -> dict[str, Any]:
    from django.test import override_settings

    from fragcache import counters, get_fragments, invalidate, registry, tokens
    from fragcache.events import Event
    from fragcache.warming import Plan, Run

    keys = task["keys"]
    changes = {"SECRET_KEY": keys[0], "SECRET_KEY_FALLBACKS": keys[1:], "FRAGCACHE": BARE}
    if task["by"] == "SECRET_KEYS":
        changes = {"FRAGCACHE": {**BARE, "SECRET_KEYS": keys}}
    override_settings(CACHES={"default": task["cache"]}, **changes).enable()
    tokens._memory._known.clear()
    counters.reset()
    found: dict[str, Any] = {}
    if task["do"] == "warm":
        fragments = [registry.get("site.versioned"), registry.get("site.timed")]
        report = Run(Plan(fragments=fragments)).execute()
        found["rendered"] = {name: of.rendered for name, of in report.fragments.items()}
    elif task["do"] == "invalidate":
        invalidate("site.timed", task["n"])
    else:
        shown = [get_fragments(name, task["page"][name]) for name in sorted(task["page"])]
        found["shown"] = [str(html) for of in shown for html in of]
    totals = counters.totals()
    for event in (Event.MISSING, Event.STALE, Event.UNKNOWN_KEY, Event.UNBELIEVED):
        found[event.value] = sum(times for (_, what), times in totals.items() if what is event)
    return found


BARE: dict[str, Any] = {"LOCAL_MAX_BYTES": 0, "PAGE_BUDGET": None}

if __name__ == "__main__":
    main()
