from django.urls import path
from django.views.generic import ListView

from tests.press.models import Article

urlpatterns = [
    path(
        "",
        ListView.as_view(
            queryset=Article.objects.order_by("pk"),
            context_object_name="articles",
            template_name="press/page.html",
        ),
    )
]
