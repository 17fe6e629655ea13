"""Spans for OpenTelemetry: ``instrument()``, or "fragcache.contrib.otel" in INSTALLED_APPS."""

from __future__ import annotations

from fragcache.contrib.otel.spans import instrument, uninstrument

__all__ = ["instrument", "uninstrument"]
