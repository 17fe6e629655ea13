"""System checks: what ``manage.py check`` says of settings, caches and declarations."""

from fragcache.checks.asking import check_interface, check_source
from fragcache.checks.caches import check_caches, check_plan
from fragcache.checks.declarations import check_fragments
from fragcache.checks.extent import check_extent
from fragcache.checks.settings import check_settings
from fragcache.checks.templates import check_templates
from fragcache.checks.versions import check_versions

__all__ = [
    "check_caches",
    "check_extent",
    "check_fragments",
    "check_interface",
    "check_plan",
    "check_settings",
    "check_source",
    "check_templates",
    "check_versions",
]
