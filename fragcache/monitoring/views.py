"""The view that says how the caches are."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from fragcache.monitoring import health as healths
from fragcache.monitoring.access import may_watch
from fragcache.monitoring.health import Status


@login_not_required
@transaction.non_atomic_requests
@never_cache
@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """Answer ``{"status": "ok"}``, and to those who may watch why.

    A site without its cache is slower, and works: 503 is for ``?strict`` alone. Strangers cost
    neither a query nor, more than once a second, a question to a cache.
    """
    answers = healths.ask()
    status = healths.status_of(answers)
    document = {"status": status.value}
    if may_watch(request):
        document = healths.described(answers, status)
    is_refused = "strict" in request.GET and status is not Status.OK
    return JsonResponse(document, status=503 if is_refused else 200)
