from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from musics.api import MusicContext
from source import views

urlpatterns = [
    path("", views.catalogue, name="catalogue"),
    path("courses/<int:pk>/", views.course, name="course"),
    path("modules/<int:pk>/", views.module, name="module"),
    path("api/v1/music_context/", MusicContext.as_view(), name="music_context"),
    path("admin/", admin.site.urls),
    path("", include("common.urls")),
]
if "debug_toolbar" in settings.INSTALLED_APPS:
    urlpatterns.append(path("__debug__/", include("debug_toolbar.urls")))
