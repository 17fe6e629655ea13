"""Formats of the tests, which FORMAT_MODULE_PATH may name."""
