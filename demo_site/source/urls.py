from django.contrib import admin
from django.urls import include, path

from source import views

urlpatterns = [
    path("", views.catalogue, name="catalogue"),
    path("courses/<int:pk>/", views.course, name="course"),
    path("modules/<int:pk>/", views.module, name="module"),
    path("admin/", admin.site.urls),
    path("", include("common.urls")),
]
