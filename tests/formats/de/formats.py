"""Formats of German in a project that has its own."""

DECIMAL_SEPARATOR = ";"
