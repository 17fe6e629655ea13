"""Spans, as the SDK of OpenTelemetry takes them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from fragcache import Fragment, get_fragment, get_fragments, tracing
from fragcache.contrib.otel import instrument, uninstrument
from fragcache.tracing import recording
from fragcache.warming import Plan, Run
from tests.fixtures import any_cache, in_request, warm
from tests.library.models import Artist
from tests.lines import ROOT

pytestmark = pytest.mark.django_db
CARD = "library.artist_card"


@pytest.fixture
def provider() -> TracerProvider:
    return TracerProvider()


@pytest.fixture
def spans(provider: TracerProvider, cache_alias: str) -> Iterator[InMemorySpanExporter]:
    """The spans that have ended, while fragcache is instrumented."""
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrument(provider)
    yield exporter
    uninstrument()
    assert not recording.is_on


def about(span: ReadableSpan) -> dict[str, Any]:
    return {
        name.removeprefix("fragcache."): list(value) if isinstance(value, tuple) else value
        for name, value in (span.attributes or {}).items()
    }


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


@any_cache
def test_a_call_and_its_renders_are_spans_within_the_request(
    spans: InMemorySpanExporter,
    provider: TracerProvider,
    artist_card: Fragment,
    artists: list[Artist],
) -> None:
    with in_request(), provider.get_tracer("site").start_as_current_span("GET /") as request:
        get_fragments(artist_card, artists)
        assert trace.get_current_span() is request
    [call] = named(spans, f"fetch {CARD}")
    renders = named(spans, f"render {CARD}")
    assert call.parent == request.get_span_context()
    assert [render.parent for render in renders] == [call.context] * 2
    assert all(
        call.start_time <= one.start_time <= one.end_time <= call.end_time for one in renders
    )  # type: ignore[operator]
    found = about(call)
    assert found["fragment"] == CARD
    assert (found["instances"], found["hits"]) == (2, 0)
    assert (found["outcome"], found["miss.reason"]) == (["rendered"], ["cold"])
    assert found["code.file.path"] == __file__
    assert found["cache.alias"] == "embedded"
    assert found["round_trips"] >= 1
    assert set(about(renders[0])) == {"fragment", "context.duration"}
    assert "db.system.name" not in found


@any_cache
def test_a_hit_says_so(
    spans: InMemorySpanExporter, artist_card: Fragment, artists: list[Artist]
) -> None:
    for _time in range(2):
        with in_request():
            get_fragment(artist_card, artists[0])
    found = about(named(spans, f"fetch {CARD}")[1])
    assert found["outcome"] == ["hit_local"]
    assert "miss.reason" not in found
    assert len(named(spans, f"render {CARD}")) == 1


@pytest.mark.parametrize("cache_alias", ["redis", "memcached"], indirect=True)
def test_the_system_is_that_of_the_cache(
    cache_alias: str, spans: InMemorySpanExporter, greeting: Fragment
) -> None:
    get_fragment(greeting, "Nina")
    [call] = named(spans, "fetch library.greeting")
    assert about(call)["db.system.name"] == cache_alias


@any_cache
def test_what_is_personal_is_told_where_that_is_asked_for(
    spans: InMemorySpanExporter, provider: TracerProvider, greeting: Fragment
) -> None:
    get_fragment(greeting, "Nina")
    [call], [render] = (named(spans, f"{verb} library.greeting") for verb in ("fetch", "render"))
    assert "Nina" not in repr([about(call), about(render)])
    instrument(provider, arguments=True)
    spans.clear()
    get_fragment(greeting, "Ella")
    [call], [render] = (named(spans, f"{verb} library.greeting") for verb in ("fetch", "render"))
    assert "Ella" in about(call)["arguments"][0]
    assert "Ella" in about(render)["arguments"][0]
    assert about(call)["axis.language"] == "en-us"


@any_cache
def test_what_the_sites_code_raises_is_its_error(
    spans: InMemorySpanExporter, declare: Any, templates: Any
) -> None:
    templates({"broken.html": "never shown"})
    declare("broken.html", name="library.broken")(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        get_fragment("library.broken")
    [call] = named(spans, "fetch library.broken")
    assert call.status.status_code is StatusCode.ERROR
    assert about(call)["error.type"] == "ZeroDivisionError"


@any_cache
@pytest.mark.django_db(transaction=True)
def test_a_warm_run_has_batches_with_renders(
    spans: InMemorySpanExporter, artist_card: Fragment, artists: list[Artist]
) -> None:
    warm(artist_card, batch_size=1)
    [run] = named(spans, "warm")
    batches = named(spans, f"warm {CARD}")
    renders = named(spans, f"render {CARD}")
    assert [batch.parent for batch in batches] == [run.context] * 2
    assert [render.parent for render in renders] == [batch.context for batch in batches]
    found = about(run)
    assert (found["warm.status"], found["warm.planned"], found["warm.rendered"]) == ("ok", 2, 2)
    assert about(batches[0])["warm.stored"] == 1


@any_cache
@pytest.mark.django_db(transaction=True)
def test_what_a_run_has_done_is_not_kept_in_memory(
    cache_alias: str, artist_card: Fragment, artists: list[Artist]
) -> None:
    with tracing.record() as recorded:
        Run(Plan(fragments=[artist_card])).execute()
    [run] = recorded.spans
    assert run.children == []


@any_cache
def test_without_it_there_are_no_spans(spans: InMemorySpanExporter, greeting: Fragment) -> None:
    uninstrument()
    get_fragment(greeting, "Nina")
    assert spans.get_finished_spans() == ()


def test_the_package_imports_neither_library_by_itself() -> None:
    program = (
        "import django, sys; django.setup(); import fragcache.urls, fragcache.monitoring.urls;"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'prometheus'))])"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(ROOT)}
    told = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "[]\n"


def test_the_app_instruments(settings: Any) -> None:
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "fragcache.contrib.otel"]
    assert recording.is_on
    uninstrument()
    assert not recording.is_on
