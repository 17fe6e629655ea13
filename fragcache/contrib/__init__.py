"""Contrib: fragments where Django's templates and caches are not all there is."""
