from django.urls import include, path

from target import views

urlpatterns = [
    path("", views.catalogue, name="catalogue"),
    path("courses/<int:pk>/", views.course, name="course"),
    path("modules/<int:pk>/", views.module, name="module"),
    path("", include("common.urls")),
]
