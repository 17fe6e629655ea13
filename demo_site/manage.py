#!/usr/bin/env python
"""Run a management command of the source site, or with DEMO_SITE=target of the target site."""

import os
import sys

SITES = ("source", "target")


def main() -> None:
    site = os.environ.get("DEMO_SITE", "source")
    if site not in SITES:
        sys.exit(f"DEMO_SITE is {site!r}; it must be one of {', '.join(SITES)}.")
    os.environ["DJANGO_SETTINGS_MODULE"] = f"{site}.settings"
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
