"""The API that targets ask: it publishes a context, and answers with its key."""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.utils.crypto import constant_time_compare
from rest_framework import status
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fragcache import CacheUnavailable, publish_context
from musics.fragments import music

HEADER = "X-Api-Key"


class KeyOfATarget(BaseAuthentication):
    """One of DEMO_API_KEYS, of which there are two while keys are being changed."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, str]:
        given = request.headers.get(HEADER)
        if given is None:
            raise NotAuthenticated(f"Send an API key in the header {HEADER}.")
        # Each is compared, so that the time does not tell which one it was.
        if sum(constant_time_compare(given, key) for key in settings.DEMO_API_KEYS) == 0:
            raise AuthenticationFailed(f"The API key in the header {HEADER} is unknown here.")
        return AnonymousUser(), given

    def authenticate_header(self, request: Request) -> str:
        """Return what makes the answer a 401, which names the scheme, in place of a 403."""
        return "ApiKey"


class NotPublished(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The cache does not answer, or refuses the context. Try again later."


class MusicContext(APIView):
    """GET: {"key": ...}, under which the newest context of the music is in the shared cache."""

    authentication_classes = [KeyOfATarget]

    def get(self, request: Request, **kwargs: Any) -> Response:
        try:
            return Response({"key": publish_context(music)})
        except CacheUnavailable as error:
            raise NotPublished from error
