from django.http import HttpRequest, HttpResponse
from django.urls import path


def place(request: HttpRequest, pk: int) -> HttpResponse:
    return HttpResponse(str(pk))


urlpatterns = [path("<int:pk>/", place, name="place")]
