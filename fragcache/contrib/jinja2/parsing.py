"""The grammar of ``{% cache %}`` and ``{% nocache %}``: with commas and Jinja2's expressions."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final, NamedTuple

from jinja2 import nodes
from jinja2.parser import Parser

from fragcache.suggestions import did_you_mean

#: What the tag takes by name.
OPTIONS: Final = ("using", "vary_on")
_DIGEST_BYTES: Final = 16
#: What belongs to the template around a hole.
_OF_THE_TEMPLATE: Final = frozenset({"self", "super", "caller"})


class Tag(NamedTuple):
    """A tag as it was parsed."""

    name: str
    timeout: nodes.Expr
    values: list[nodes.Expr]
    options: dict[str, nodes.Expr]
    body: list[nodes.Node]

    def fingerprint(self, source: str) -> str:
        """Return what tells the body in this source of a template from all others.

        The body alone would not do, as it uses what stands around it; nor would the source, in
        which two blocks may have one name.
        """
        return _fingerprint(source, self.body)

    @property
    def is_overridable(self) -> bool:
        """Whether a template that extends this one can change what the body shows."""
        body = nodes.Scope(self.body)
        uses_self = any(name.name == "self" for name in body.find_all(nodes.Name))
        return uses_self or body.find(nodes.Block) is not None


class HoleTag(NamedTuple):
    """A ``{% nocache %}`` as it was parsed."""

    captured: dict[str, nodes.Expr]
    body: list[nodes.Node]

    def fingerprint(self, source: str) -> str:
        """Return what tells the body in this source of a template from all others."""
        return _fingerprint(source, self.body)


def parsed(parser: Parser) -> Tag:
    """Parse ``{% cache TIMEOUT, NAME [, value ...] [, using=...] [, vary_on=...] %}``."""
    next(parser.stream)
    timeout = parser.parse_expression()
    parser.stream.expect("comma")
    name = _name(parser)
    values: list[nodes.Expr] = []
    options: dict[str, nodes.Expr] = {}
    while parser.stream.skip_if("comma"):
        if parser.stream.look().type == "assign":
            option = _option(parser, options)
            options[option] = parser.parse_expression()
        elif options:
            parser.fail("{% cache %}: a value stands after a name=value: put it before.")
        else:
            values.append(parser.parse_expression())
    body = parser.parse_statements(("name:endcache",), drop_needle=True)
    return Tag(name, timeout, values, options, body)


def parsed_nocache(parser: Parser) -> HoleTag:
    """Parse ``{% nocache [with name=value, ...] %}``."""
    next(parser.stream)
    captured: dict[str, nodes.Expr] = {}
    if parser.stream.skip_if("name:with"):
        while not captured or parser.stream.skip_if("comma"):
            name = str(parser.stream.expect("name").value)
            parser.stream.expect("assign")
            captured[name] = parser.parse_expression()
    if parser.stream.current.type != "block_end":
        parser.fail(
            "{% nocache %} takes 'with' and name=value, as in {% nocache with pk=product.pk %}."
        )
    body = parser.parse_statements(("name:endnocache",), drop_needle=True)
    alone = nodes.Scope(body)
    used = {name.name for name in alone.find_all(nodes.Name)} & _OF_THE_TEMPLATE
    if used or alone.find(nodes.Block) is not None:
        lacking = ", ".join(sorted(used)) or "{% block %}"
        parser.fail(f"{{% nocache %}} is rendered by itself, so that it can have no {lacking}.")
    return HoleTag(captured, body)


def _name(parser: Parser) -> str:
    token = parser.stream.current
    is_alone = parser.stream.look().type in {"comma", "block_end"}
    if token.type not in {"name", "string"} or not is_alone:
        parser.fail(
            "{% cache %} takes a time-out and a literal name, as in {% cache 600, 'menu' %}."
        )
    next(parser.stream)
    return str(token.value)


def _option(parser: Parser, others: Iterable[str]) -> str:
    option = str(parser.stream.expect("name").value)
    parser.stream.expect("assign")
    if option not in OPTIONS:
        parser.fail(
            f"{{% cache %}} has no option {option!r}.{did_you_mean(option, OPTIONS)} Options are "
            f"{', '.join(OPTIONS)}."
        )
    if option in others:
        parser.fail(f"{{% cache %}} gets {option!r} twice.")
    return option


def _fingerprint(source: str, body: list[nodes.Node]) -> str:
    text = f"{len(source)}:{source}{body!r}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()
