"""Pages of the source: they load the object, and show its fragment as fresh as the object is."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from courses.models import Course, Module


def catalogue(request: HttpRequest) -> HttpResponse:
    return render(request, "source/catalogue.html")


def course(request: HttpRequest, pk: int) -> HttpResponse:
    return render(request, "source/course.html", {"course": get_object_or_404(Course, pk=pk)})


def module(request: HttpRequest, pk: int) -> HttpResponse:
    module = get_object_or_404(Module.objects.select_related("course"), pk=pk)
    siblings = module.course.modules.only("course", "title", "order")
    context = {
        "module": module,
        "previous": siblings.filter(order__lt=module.order).last(),
        "next": siblings.filter(order__gt=module.order).first(),
    }
    return render(request, "source/module.html", context)
