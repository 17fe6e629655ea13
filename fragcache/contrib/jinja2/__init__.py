"""Fragments and cached blocks in Jinja2 templates.

TEMPLATES = [{"BACKEND": "django.template.backends.jinja2.Jinja2",
              "OPTIONS": {"extensions": ["fragcache.contrib.jinja2.FragcacheExtension"]}}]

{{ fragment("courses.course_card", course, variant="row") }}
{{ fragments("courses.course_card", courses) }}
{% cache 600, "sidebar", user.pk %}...{% nocache %}...{% endnocache %}...{% endcache %}
"""

from django.core.exceptions import ImproperlyConfigured

try:
    import jinja2 as _jinja2  # noqa: F401 - says what is missing before anything else does
except ImportError as error:
    raise ImproperlyConfigured(
        f"FragcacheExtension needs Jinja2 ({error}): pip install fragcache[jinja2]"
    ) from error

from fragcache.contrib.jinja2.extension import FragcacheExtension

__all__ = ["FragcacheExtension"]
