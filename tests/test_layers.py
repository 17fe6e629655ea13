"""The layers of the package: an import only points down."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parent.parent / "fragcache"

PLACE_IT = "has no layer: place it in LAYERS of tests/test_layers.py."

#: From the lowest to the highest. A module may import those of its own layer and of lower ones.
LAYERS: dict[str, str] = {
    "foundations": "bounded chance conf exceptions locks positions signals suggestions tracing",
    "values": "keys entry events histograms readable signing",
    "storage": (
        "backends breaker counters databases deadline guard holed leases local page "
        "physical_keys probing records store token_copies token_memory tokens transactions"
    ),
    "declared": (
        "arguments axes collections declarations digests items "
        "manifest migrations models packing registry row_reading signatures "
        "touching validation versions"
    ),
    "use cases": (
        "additions blocks bubbling contexts dependencies explaining invalidation "
        "reading rendering sets slots stats tombstones verifying warming"
    ),
    "shells": (
        "admin apps checks contrib management middleware monitoring templatetags testing urls views"
    ),
}
ORDER = list(LAYERS)
LAYER_OF = {module: layer for layer, modules in LAYERS.items() for module in modules.split()}

# What a pure module has no use for; `uuid`, `decimal` and the like are fine.
IMPURE = frozenset(
    "asyncio asgiref django fcntl http io logging mmap multiprocessing os pathlib random requests "
    "secrets selectors shelve shutil signal socket sqlite3 ssl subprocess tempfile threading time "
    "urllib".split()
)
# They name a module in a string, as an import does.
IMPORTERS = frozenset({"import_module", "import_string", "__import__"})


class Import(NamedTuple):
    module: str
    line: int


def test_every_import_points_down() -> None:
    assert violations(PACKAGE) == []


def violations(package: Path) -> list[str]:
    """Return a sentence for each import that the layers forbid, and each module without a layer."""
    paths = sorted(path for path in package.rglob("*.py") if path != package / "__init__.py")
    return [
        *dict.fromkeys(
            f"{top_level(package, path)!r} {PLACE_IT}"
            for path in paths
            if top_level(package, path) not in LAYER_OF
        ),
        *(
            f"{path.relative_to(package.parent)}:{found.line} {complaint}"
            for path in paths
            for found in imports(package, path)
            if (complaint := forbidden(package, top_level(package, path), found.module))
        ),
    ]


def forbidden(package: Path, importer: str, module: str) -> str | None:
    """Say why the layers forbid that one top-level module imports what is named."""
    layer = LAYER_OF.get(importer)
    root, _, rest = module.partition(".")
    imported = rest.partition(".")[0]
    if root != package.name:
        is_impure = layer == "values" and root in IMPURE
        return f"imports {module}: values know neither Django nor I/O." if is_impure else None
    if not is_module(package, imported):
        return (
            f"imports {module} from {package.name}/__init__.py, the table of contents: "
            "import it from the module that defines it."
        )
    other = LAYER_OF.get(imported)
    if layer is None or other is None:
        return None  # Reported as modules without a layer.
    if layer == "values" and imported == "conf":
        return "imports conf, which reads Django's settings: give values what they need."
    if ORDER.index(other) > ORDER.index(layer):
        return f"imports {module}: {layer!r} may not know {other!r}, a higher layer."
    return None


def imports(package: Path, path: Path) -> Iterator[Import]:
    """Yield what a file imports anywhere in it, by absolute names."""
    # The package that a leading dot stands for; each further dot is one package more.
    parents = path.relative_to(package.parent).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        match node:
            case ast.Import(names=names):
                yield from (Import(alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = parents[: len(parents) - level + 1] if level else ()
                origin = ".".join([*base, *([module] if module else [])])
                for alias in names:
                    # Of `from package import name`, only the name says which module is meant.
                    is_root = origin == package.name
                    yield Import(f"{origin}.{alias.name}" if is_root else origin, node.lineno)
            case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]):
                called = getattr(function, "id", getattr(function, "attr", None))
                if called in IMPORTERS:
                    yield Import(name, node.lineno)


def top_level(package: Path, path: Path) -> str:
    return path.relative_to(package).parts[0].removesuffix(".py")


def is_module(package: Path, name: str) -> bool:
    return bool(name) and ((package / f"{name}.py").is_file() or (package / name).is_dir())


# The checker itself, on a package that is made for it.


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package in which nothing is wrong."""
    sources = {
        "__init__.py": "from fragcache.reading import get_fragment",
        "conf.py": "from django.conf import settings",
        "exceptions.py": "",
        "keys.py": "import uuid\nfrom fragcache.exceptions import KeyTooLong",
        "entry.py": "from fragcache import keys",
        "store.py": "import socket\nfrom . import conf\nfrom .entry import Entry",
        "registry.py": "import fragcache.store",
        "reading/__init__.py": "from fragcache.reading.api import get_fragment",
        "reading/api.py": "from ..registry import get\nfrom . import lookup",
        "reading/lookup.py": "from fragcache.rendering import render",
        "rendering.py": "from fragcache import store",
        "admin.py": "from fragcache import reading",
    }
    root = tmp_path / "fragcache"
    for name, source in sources.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(source)
    return root


def test_imports_that_point_down_pass(package: Path) -> None:
    assert violations(package) == []


@pytest.mark.parametrize(
    "source",
    [
        "from fragcache.reading import get_fragment",
        "from fragcache.reading.api import get_fragment",
        "import fragcache.reading.api as api",
        "from fragcache import reading",
        "from . import reading",
        "from .reading.api import get_fragment",
        "def late():\n    from fragcache import reading",
        "if TYPE_CHECKING:\n    from fragcache.reading import get_fragment",
        "import_string('fragcache.reading.get_fragment')",
        "importlib.import_module('fragcache.reading')",
    ],
)
def test_an_import_that_points_up_is_found_however_it_is_written(
    package: Path, source: str
) -> None:
    (package / "store.py").write_text(source)

    (violation,) = violations(package)

    assert violation.startswith("fragcache/store.py:")
    assert violation.endswith("'storage' may not know 'use cases', a higher layer.")


def test_a_relative_import_of_a_nested_module_is_resolved(package: Path) -> None:
    (package / "reading" / "api.py").write_text("from ..admin import Page")

    (violation,) = violations(package)

    assert violation == (
        "fragcache/reading/api.py:1 imports fragcache.admin: "
        "'use cases' may not know 'shells', a higher layer."
    )


@pytest.mark.parametrize("module", ["django.conf", "os", "socket", "sqlite3", "os.path"])
def test_a_value_that_imports_django_or_io_is_found(package: Path, module: str) -> None:
    (package / "entry.py").write_text(f"def late():\n    import {module}")

    assert violations(package) == [
        f"fragcache/entry.py:2 imports {module}: values know neither Django nor I/O."
    ]


def test_a_value_that_reads_the_settings_by_conf_is_found(package: Path) -> None:
    (package / "entry.py").write_text("from fragcache import conf")

    (violation,) = violations(package)

    assert "imports conf, which reads Django's settings" in violation


@pytest.mark.parametrize(
    "source",
    ["from fragcache import get_fragment", "import fragcache", "from .. import get_fragment"],
)
def test_a_name_taken_from_the_table_of_contents_is_found(package: Path, source: str) -> None:
    (package / "reading" / "lookup.py").write_text(source)

    (violation,) = violations(package)

    assert "the table of contents: import it from the module that defines it." in violation


def test_a_new_module_has_to_be_placed(package: Path) -> None:
    (package / "sidecar.py").write_text("")
    (package / "store.py").write_text("from fragcache import sidecar")

    assert violations(package) == [f"'sidecar' {PLACE_IT}"]


def test_foundations_know_nothing_of_what_stands_on_them(package: Path) -> None:
    (package / "conf.py").write_text(
        dedent("""\
            from fragcache.exceptions import FragcacheError
            from fragcache.keys import encode
        """)
    )

    (violation,) = violations(package)

    assert violation == (
        "fragcache/conf.py:2 imports fragcache.keys: "
        "'foundations' may not know 'values', a higher layer."
    )
