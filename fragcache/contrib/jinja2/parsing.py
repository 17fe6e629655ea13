"""The grammar of ``{% cache %}``: Django's, with commas and Jinja2's expressions."""

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
        text = f"{len(source)}:{source}{self.body!r}"
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()

    @property
    def is_overridable(self) -> bool:
        """Whether a template that extends this one can change what the body shows."""
        body = nodes.Scope(self.body)
        uses_self = any(name.name == "self" for name in body.find_all(nodes.Name))
        return uses_self or body.find(nodes.Block) is not None


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
