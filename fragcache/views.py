"""The HTTP interface of a source: targets ask for a context, and are told its key.

An answer that is no key is a JSON document, too: ``error`` is for programs, ``message`` for people.
Many questions in one request have as many answers, each with its own status.
Neither names a value of the site's, nor what its code raised.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping
from typing import Any, Final

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import RequestDataTooBig
from django.core.signals import got_request_exception
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from fragcache import axes
from fragcache.contexts.answering import Busy, Question, asked_fragment, misfits
from fragcache.contexts.credentials import BEARER, SCHEME, WINDOW, Verdict, verdict
from fragcache.declarations import Fragment
from fragcache.exceptions import (
    CacheUnavailable,
    FragmentMissing,
    InvalidArguments,
    ReadOnly,
    UnknownAxis,
)

logger = logging.getLogger("fragcache")

#: The most that a question may have.
MAX_BYTES: Final = 64 * 2**10
#: The most questions of one request.
MOST: Final = 100
#: Seconds after which the rest of them are told to come again.
SECONDS: Final = 3.0

_FIELDS: Final[Mapping[str, tuple[type, str]]] = {
    "fragment": (str, "a text"),
    "args": (list, "a list"),
    "kwargs": (dict, "an object"),
    "axes": (dict, "an object"),
}


class _Refused(Exception):
    """An answer other than a key."""

    def __init__(
        self,
        status: int,
        error: str,
        message: str,
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.document = {
            "error": error,
            "message": message,
            **({"fields": fields} if fields else {}),
        }
        self.headers = headers or {}

    @property
    def as_one_of_many(self) -> dict[str, Any]:
        """The answer, where others stand beside it."""
        after = self.headers.get("Retry-After")
        told = {} if after is None else {"retry_after": int(after)}
        return {"status": self.status, **self.document, **told}


@csrf_exempt
@login_not_required
@transaction.non_atomic_requests
def context(request: HttpRequest) -> HttpResponse:
    """Answer ``{"fragment": NAME, "args": [...], "kwargs": {...}, "axes": {...}}`` with a key.

    ``{"questions": [...]}`` with as many of these is answered by ``{"answers": [...]}``.
    """
    try:
        document = _document(_authenticated(request))
        if "questions" in document:
            response = JsonResponse({"answers": _answers(document, request)})
        else:
            response = JsonResponse({"key": _key(document, request)})
    except _Refused as refused:
        response = JsonResponse(refused.document, status=refused.status, headers=refused.headers)
    response["Cache-Control"] = "no-store"
    return response


def _answers(document: Mapping[str, Any], request: HttpRequest) -> list[dict[str, Any]]:
    """Return the answers to many questions, in their order."""
    asked = document["questions"]
    if len(document) > 1 or not isinstance(asked, list) or not 0 < len(asked) <= MOST:
        raise _invalid({"questions": f"They are a list of 1 to {MOST}, and all there is."})
    until = time.monotonic() + SECONDS
    answers = []
    for one in asked:
        try:
            if time.monotonic() > until:
                raise _busy(1)
            answers.append({"key": _key(one, request)})
        except _Refused as refused:
            answers.append(refused.as_one_of_many)
    return answers


def _key(document: Any, request: HttpRequest) -> str:
    try:
        return _answered(_question(document))
    except _Refused:
        raise
    except Exception:
        # The site's own code has failed: that is told to the site, not to who asks.
        got_request_exception.send(sender=None, request=request)
        logger.exception("A context that was asked for could not be published.")
        message = "It could not be built: see the source's log."
        raise _Refused(500, "failed", message) from None


def _authenticated(request: HttpRequest) -> bytes:
    """Return the body of a request by who may ask."""
    if request.method != "POST":
        raise _Refused(405, "method", "Send a POST request.", headers={"Allow": "POST"})
    body = _body(request)
    header = request.headers.get("Authorization", "")
    found = verdict(header, request.method, request.get_full_path(), body)
    if found is Verdict.UNKNOWN:
        raise _Refused(
            401,
            "credentials",
            "The request is not signed with a key of this site.",
            headers={"WWW-Authenticate": f"{SCHEME}, {BEARER}"},
        )
    if found is Verdict.UNTIMELY:
        raise _Refused(
            403,
            "time",
            f"The request was signed more than {WINDOW} seconds before or after now, by the clock "
            "of this site: set the clocks of both.",
        )
    return body


def _body(request: HttpRequest) -> bytes:
    too_large = _Refused(413, "size", f"A question has at most {MAX_BYTES:,} bytes.")
    length = request.headers.get("Content-Length") or "0"
    if length.isdecimal() and (len(length) > 9 or int(length) > MAX_BYTES):
        raise too_large
    try:
        body = request.body
    except RequestDataTooBig:
        raise too_large from None
    except UnreadablePostError:
        raise _Refused(400, "body", "The request broke off.") from None
    if len(body) > MAX_BYTES:
        raise too_large
    return body


def _question(document: Any) -> Question:
    _check_fields(document)
    fragment = asked_fragment(document["fragment"])
    if fragment is None:
        raise _Refused(404, "unknown_fragment", "No fragment of that name publishes contexts here.")
    question = Question(
        fragment=fragment,
        args=document.get("args", []),
        kwargs=document.get("kwargs", {}),
        axis_values=_axis_values(fragment, document.get("axes", {})),
    )
    try:
        question.check()
    except InvalidArguments:
        wrong = misfits(fragment, question.args, question.kwargs)
        raise _invalid(wrong or {"args": "They name no instance."}) from None
    return question


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise _Refused(400, "body", "The body is no JSON document.") from None
    if not isinstance(document, dict):
        raise _Refused(400, "body", "The body is no JSON object.")
    return document


def _check_fields(document: Any) -> None:
    if not isinstance(document, dict):
        raise _Refused(400, "body", "A question is a JSON object.")
    wrong = {
        name: f"It is not {said}."
        for name, (kind, said) in _FIELDS.items()
        if name in document and not isinstance(document[name], kind)
    }
    wrong |= {name: "There is no such field." for name in document if name not in _FIELDS}
    if "fragment" not in document:
        wrong["fragment"] = "It is missing."
    if wrong:
        raise _invalid(wrong)


def _axis_values(fragment: Fragment, texts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the axis values that are asked for; one of an axis that it lacks changes nothing."""
    values, wrong = {}, {}
    for name in fragment.axes:
        if name not in texts:
            continue
        try:
            values[name] = axes.get(name).from_text(str(texts[name]))
        except (ValueError, LookupError, UnknownAxis):
            wrong[f"axes.{name}"] = "It is no value of this axis."
    if wrong:
        raise _invalid(wrong)
    return values


def _answered(question: Question) -> str:
    try:
        return question.answer()
    except Busy as busy:
        raise _busy(busy.seconds) from None
    except FragmentMissing:
        raise _Refused(404, "missing", "There is no such instance.") from None
    except CacheUnavailable as error:
        if error.is_refusal:
            raise
        logger.warning("A context that was asked for was not published: %s", error)
        raise _Refused(503, "cache", "The cache of the source does not answer.") from None
    except ReadOnly:
        raise _Refused(503, "read_only", "This site publishes nothing: it only reads.") from None


def _busy(seconds: float) -> _Refused:
    headers = {"Retry-After": str(max(1, math.ceil(seconds)))}
    return _Refused(429, "busy", str(Busy(seconds)), headers=headers)


def _invalid(fields: Mapping[str, str]) -> _Refused:
    message = "The question cannot be answered: see fields."
    return _Refused(422, "invalid", message, fields)
