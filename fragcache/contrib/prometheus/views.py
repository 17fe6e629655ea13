"""The view that Prometheus scrapes."""

from __future__ import annotations

from typing import Final

from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from fragcache.contrib.prometheus.collector import FragcacheCollector
from fragcache.monitoring.access import may_watch

_REFUSAL: Final = (
    "Send a key of FRAGCACHE['MONITORING_KEYS'] as \"Authorization: Bearer KEY\", or log in as a "
    "member of staff who may view the fragment cache.\n"
)


@login_not_required
@transaction.non_atomic_requests
@never_cache
@require_safe
@gzip_page
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with fragcache's metrics alone, in the format that is asked for.

    With ``?axes`` they are those by axis values as well.
    """
    if not may_watch(request):
        headers = {"WWW-Authenticate": "Bearer"}
        return HttpResponse(_REFUSAL, status=401, content_type="text/plain", headers=headers)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FragcacheCollector(by_axes="axes" in request.GET))
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)
