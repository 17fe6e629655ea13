"""The page of the servers: whether they answer, how full they are, and what they drop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from fragcache.admin.asked import Asked
from fragcache.admin.documents import document
from fragcache.admin.pages import page, shown
from fragcache.backends import ServerStats
from fragcache.backends.figures import Figures, figures_of
from fragcache.stats.servers import Servers, all_servers

if TYPE_CHECKING:
    from fragcache.admin.overview import FragmentCacheAdmin


@page("servers/", name="servers", label=_("Servers"))
def show_servers(admin: FragmentCacheAdmin, request: HttpRequest) -> HttpResponse:
    """Show each server of each cache alias, within a second; or the tables as JSON or CSV."""
    asked = Asked.of(request, columns=[""], sort="")
    caches = all_servers()
    if asked.form != "html":
        return document(asked.form, list(_records(caches)), name="servers", about={})
    return shown(
        admin,
        request,
        "admin/fragcache/servers.html",
        title=_("Servers"),
        caches=[_described(found) for found in caches],
        as_json=asked.link(format="json"),
        as_csv=asked.link(format="csv"),
    )


class Row(NamedTuple):
    """What the page says of one server."""

    stats: ServerStats
    figures: Figures
    #: How much of its memory is used; None where there is no bound, or it does not tell.
    percent_used: int | None
    percent_hit: float | None
    began: datetime | None


def _described(found: Servers) -> dict[str, Any]:
    return {
        "alias": found.alias,
        "deployment": found.deployment,
        "can_tell": found.can_tell,
        "problem": found.problem,
        "rows": [_row(stats) for stats in found.found],
    }


def _row(stats: ServerStats) -> Row:
    figures = figures_of(stats)
    ratio, uptime = figures.hit_ratio, figures.uptime
    return Row(
        stats,
        figures,
        round(100 * figures.used / figures.limit) if figures.used and figures.limit else None,
        None if ratio is None else round(100 * ratio, 1),
        None if uptime is None else timezone.now() - timedelta(seconds=uptime),
    )


def _records(caches: Iterable[Servers]) -> Iterator[dict[str, Any]]:
    """Yield what is known of each server, or of an alias that tells of none."""
    for found in caches:
        keys = found.deployment.keys if found.deployment else ""
        alias = {"alias": found.alias, "keys": keys}
        for stats in found.found:
            figures = figures_of(stats)
            own = {"server": stats.address, "error": stats.error}
            yield alias | own | figures._asdict() | {"hit_ratio": figures.hit_ratio}
        if not found.found:
            problem = found.problem or "The backend cannot ask its servers."
            own = {"server": "", "error": problem}
            yield alias | own | Figures()._asdict() | {"hit_ratio": None}
