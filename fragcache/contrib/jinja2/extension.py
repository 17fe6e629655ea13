"""The extension of Jinja2's environments."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from jinja2 import Environment, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context
from markupsafe import Markup, escape

from fragcache.blocks import Block, Options, shown_block, shown_unstored
from fragcache.contrib.jinja2.functions import fragment, fragments
from fragcache.contrib.jinja2.parsing import OPTIONS, parsed
from fragcache.contrib.jinja2.values import defined, request_of
from fragcache.jinja2_templates import add_jinja2
from fragcache.templates import Closure

#: Stands for the name of a template that was made of a text.
UNNAMED: Final = "<string>"


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
    """The functions ``fragment`` and ``fragments``, and the tag ``{% cache %}``."""

    tags = {"cache"}

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.globals.update(fragment=fragment, fragments=fragments)
        self._compiling = threading.local()

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
        """Return the node for a ``{% cache %}`` and its body."""
        line = parser.stream.current.lineno
        tag = parsed(parser)
        source: str = self._compiling.source
        mark = Mark(
            template_name=parser.name,
            name=tag.name,
            fingerprint=tag.fingerprint(source),
            source=source if parser.name is None else None,
            is_overridable=tag.is_overridable,
        )
        arguments = [
            nodes.ContextReference(),
            nodes.Const(tuple(mark)),
            tag.timeout,
            nodes.List(tag.values),
        ]
        options = [
            nodes.Keyword(option, tag.options.get(option, nodes.Const(None))) for option in OPTIONS
        ]
        call = self.call_method("show_block", arguments, options, lineno=line)
        return nodes.CallBlock(call, [], [], tag.body, lineno=line)

    def show_block(
        self,
        context: Context,
        mark: tuple[Any, ...],
        timeout: Any,
        values: list[Any],
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

        def render() -> str:
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
            request=request_of(context),
            undefined=undefined,
        )
        return escape(html)
