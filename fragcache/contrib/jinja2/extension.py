"""The extension of Jinja2's environments."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from jinja2 import Environment, TemplateNotFound, TemplateSyntaxError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context
from markupsafe import Markup, escape

from fragcache.blocks import Block, Options, shown_block, shown_unstored
from fragcache.bounded import Bounded
from fragcache.contrib.jinja2.bodies import paths_of, watched_body
from fragcache.contrib.jinja2.functions import fragment, fragments
from fragcache.contrib.jinja2.holes import SHOW_HOLE, Jinja2Hole, holes_in
from fragcache.contrib.jinja2.parsing import OPTIONS, parsed, parsed_nocache
from fragcache.contrib.jinja2.values import defined, page_context, request_of
from fragcache.contrib.jinja2.watching import in_place_of, watched
from fragcache.digests.jinja2_templates import add_jinja2
from fragcache.digests.templates import Closure
from fragcache.exceptions import UndefinedArgument
from fragcache.positions import UNNAMED
from fragcache.rendering.holes import add_compiler, is_recording, placed
from fragcache.rendering.holes import compiled as note_compiled
from fragcache.rendering.leaks import Guard

#: How many holes are remembered; those of templates with a name are found again.
_HOLES: Final = 1024
_REMEDY: Final = (
    "Let the block vary on it ({% cache 600, 'name', user.pk %}), or put it into {% nocache %}."
)


class Mark(NamedTuple):
    """What is known of a block when it is compiled; the compiled template carries it."""

    #: None for a template that was made of a text.
    template_name: str | None
    name: str
    fingerprint: str
    #: Of a template without a name, which no loader has.
    source: str | None
    #: Whether a template that extends this one can change what the body shows.
    is_overridable: bool
    #: The paths of the values that it varies on.
    told: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Jinja2Block(Block):
    """A block in a template of one environment."""

    environment: Environment
    source: str | None

    @property
    def is_reloading(self) -> bool:
        return self.environment.auto_reload

    def closure(self) -> Closure:
        found = Closure()
        add_jinja2(self.environment, self.template_name, found, self.source)
        return found


class FragcacheExtension(Extension):
    """The functions ``fragment`` and ``fragments``, and ``{% cache %}`` and ``{% nocache %}``."""

    tags = {"cache", "nocache"}

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.globals.update(fragment=fragment, fragments=fragments)
        self._compiling = threading.local()
        self._holes: Bounded[Jinja2Hole] = Bounded(_HOLES, size_of=lambda _hole: 1)
        add_compiler(self)

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Remember the source that this thread is about to parse.

        The compiled template carries what it was compiled of: a file may be replaced by the time
        that it is rendered, and a template that was made of a text has none.
        """
        if self.environment.is_async:
            raise ImproperlyConfigured(
                "FragcacheExtension does not work with enable_async, as fragments are rendered "
                "synchronously: use an environment without it."
            )
        self._compiling.source = source
        return source

    def parse(self, parser: Parser) -> nodes.Node:
        """Return the node for a tag and its body."""
        line = parser.stream.current.lineno
        if parser.stream.current.value == "nocache":
            return self._parse_nocache(parser, line)
        source: str = self._compiling.source
        tag = parsed(parser)
        mark = Mark(
            template_name=parser.name,
            name=tag.name,
            fingerprint=tag.fingerprint(source),
            source=source if parser.name is None else None,
            is_overridable=tag.is_overridable,
            told=tuple(path for value in tag.values for path in paths_of(value)),
        )
        has_holes = any(True for _hole in holes_in(nodes.Scope(tag.body)))
        body = watched_body(tag.body, self._watched_name)
        arguments = [
            nodes.ContextReference(),
            nodes.Const(tuple(mark)),
            tag.timeout,
            nodes.List(tag.values),
            # Variables of loops and macros are the context's only where they are asked for.
            nodes.DerivedContextReference() if has_holes else nodes.Const(None),
        ]
        options = [
            nodes.Keyword(option, tag.options.get(option, nodes.Const(None))) for option in OPTIONS
        ]
        call = self.call_method("show_block", arguments, options, lineno=line)
        return nodes.CallBlock(call, [], [], body, lineno=line)

    def compile_holes(self, template_name: str) -> None:
        """Compile the holes of a template, if the environment has it."""
        loader = self.environment.loader
        if loader is not None:
            with suppress(TemplateNotFound, TemplateSyntaxError):
                source = loader.get_source(self.environment, template_name)[0]
                self.environment.parse(source, template_name)

    def show_hole(
        self,
        template_name: str | None,
        fingerprint: str,
        captured: dict[str, Any],
        *,
        caller: Callable[..., str],
    ) -> str:
        """Return what a ``{% nocache %}`` prints; compiled templates call this."""
        undefined: list[str] = []
        values = defined(captured, undefined)
        if undefined:
            raise UndefinedArgument(
                f"{{% nocache %}} in {template_name}: {', '.join(undefined)} does not resolve. Is "
                "it misspelled, or not passed to this template? Where it may be absent, add "
                "|default(none)."
            )
        mark = placed(template_name, fingerprint, values)
        return caller(**captured) if mark is None else mark

    def in_place_of(self, name: str, value: Any) -> Any:
        """Return what a page's variable stands for in a body; compiled templates call this."""
        return in_place_of(name, value)

    def show_block(
        self,
        context: Context,
        mark: tuple[Any, ...],
        timeout: Any,
        values: list[Any],
        derived: Context | None,
        *,
        using: Any,
        vary_on: Any,
        caller: Callable[[], str],
    ) -> Markup:
        """Return what a ``{% cache %}`` prints; compiled templates call this."""
        compiled = Mark(*mark)
        # The context has the name of the template that is rendered, which may extend this one.
        name = context.name if compiled.is_overridable else compiled.template_name
        block = Jinja2Block(
            template_name=UNNAMED if name is None else name,
            name=compiled.name,
            fingerprint=compiled.fingerprint,
            environment=self.environment,
            source=compiled.source if name is None else None,
        )

        request = request_of(context)

        def render() -> str:
            if not is_recording():  # nothing of it is kept
                return str(caller())
            allowed = {*compiled.told, "language"}
            allowed.update(axis.removeprefix("-") for axis in vary_on or ())
            guard = Guard(f"{{% cache %}} {compiled.name!r}", allowed, _REMEDY)
            with watched(context, guard, request):
                return str(caller())

        if name is None and compiled.template_name is not None:
            why = "what overrides parts of it is a template without a name"
            return escape(shown_unstored(block, why, render))
        undefined: list[str] = []
        html = shown_block(
            block,
            defined(values, undefined),
            Options(
                timeout=timeout,
                using=defined(using, undefined),
                vary_on=defined(vary_on, undefined),
            ),
            render=render,
            request=request,
            page_context=lambda: page_context(derived or context),
            undefined=undefined,
        )
        return escape(html)

    def _parse_nocache(self, parser: Parser, line: int) -> nodes.Node:
        source: str = self._compiling.source
        tag = parsed_nocache(parser)
        fingerprint = tag.fingerprint(source)
        key = parser.name, fingerprint
        [hole] = self._holes.get_many([key])
        if hole is None:
            hole = Jinja2Hole(self.environment, parser.name, source, fingerprint)
            self._holes.keep({key: hole})
        note_compiled(parser.name, fingerprint, hole)
        captured = [nodes.Pair(nodes.Const(name), tag.captured[name]) for name in tag.captured]
        name, told = nodes.Const(parser.name), nodes.Const(fingerprint)
        call = self.call_method(SHOW_HOLE, [name, told, nodes.Dict(captured)], lineno=line)
        parameters = [nodes.Name(name, "param") for name in tag.captured]
        return nodes.CallBlock(call, parameters, [], tag.body, lineno=line)

    def _watched_name(self, name: nodes.Name) -> nodes.Node:
        arguments = [nodes.Const(name.name), name]
        return self.call_method("in_place_of", arguments, lineno=name.lineno)
