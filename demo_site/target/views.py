"""Pages of the target: of the source it knows the names of fragments and the addresses of pages."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from fragcache import get_fragment


def catalogue(request: HttpRequest) -> HttpResponse:
    return render(request, "target/catalogue.html")


def course(request: HttpRequest, pk: int) -> HttpResponse:
    html = get_fragment("courses.course_card", pk, request=request, default=None)
    if html is None:
        return not_warmed(request, f"Course {pk}")
    return render(request, "target/course.html", {"html": html})


def module(request: HttpRequest, pk: int) -> HttpResponse:
    html = get_fragment("courses.module_outline", pk, request=request, default=None)
    if html is None:
        return not_warmed(request, f"Module {pk}")
    return render(request, "target/module.html", {"html": html})


def not_warmed(request: HttpRequest, what: str) -> HttpResponse:
    return render(request, "target/not_warmed.html", {"what": what}, status=404)
