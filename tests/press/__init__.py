"""A user's site with its tests, for Django's runner and for pytest-django."""
