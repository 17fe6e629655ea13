"""Static files without a web server in front, whatever DEBUG is. A real site leaves them to one."""

from django.contrib.staticfiles.views import serve
from django.urls import path

urlpatterns = [path("static/<path:path>", serve, {"insecure": True})]
