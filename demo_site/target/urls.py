from django.urls import include, path

from target import musics, views

urlpatterns = [
    path("", views.catalogue, name="catalogue"),
    path("courses/<int:pk>/", views.course, name="course"),
    path("modules/<int:pk>/", views.module, name="module"),
    path("musics/", musics.asked_for, name="musics"),
    path("musics/warmed/", musics.warmed, name="warmed_musics"),
    path("", include("common.urls")),
]
