"""The node of ``{% nocache %}``: what each page fills in for itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.template.base import FilterExpression, Node, NodeList, Parser, Token, token_kwargs
from django.template.context import Context
from django.template.exceptions import TemplateSyntaxError

from fragcache.digests.templates import IS_HOLE, fingerprint_of, resolve_argument
from fragcache.exceptions import UndefinedArgument
from fragcache.rendering import holes


class NocacheNode(Node):
    """``{% nocache %}``: its body is rendered by each page that shows what it stands in."""

    def __init__(
        self,
        nodelist: NodeList,
        template_name: str | None,
        fingerprint: str,
        captured: Mapping[str, FilterExpression],
    ) -> None:
        self.nodelist = nodelist
        self.template_name = template_name
        self.fingerprint = fingerprint
        self.captured = captured
        setattr(self, IS_HOLE, True)
        holes.compiled(template_name, fingerprint, self)

    def render(self, context: Context) -> str:
        undefined: list[str] = []
        values = {
            name: resolve_argument(value, context, undefined)
            for name, value in self.captured.items()
        }
        if undefined:
            raise UndefinedArgument(
                f"{{% nocache %}} in {self.template_name}: {', '.join(undefined)} does not "
                "resolve. Is it misspelled, or not passed to this template? Where it may be "
                "absent, add |default:None."
            )
        mark = holes.placed(self.template_name, self.fingerprint, values)
        return self.filled(context, values) if mark is None else mark

    def filled(self, context: Context, captured: Mapping[str, Any]) -> str:
        """Return what it shows on a page that has this context."""
        if not captured:
            return str(self.nodelist.render(context))
        with context.push(**captured):
            return str(self.nodelist.render(context))


def parsed_nocache(parser: Parser, token: Token) -> NocacheNode:
    """Parse ``{% nocache [with name=value ...] %}`` and its body.

    Raises:
        TemplateSyntaxError: it is written otherwise.
    """
    tag, *bits = token.split_contents()
    captured: dict[str, FilterExpression] = {}
    if bits:
        word, *pairs = bits
        captured = token_kwargs(list(pairs), parser)
        if word != "with" or not pairs or len(captured) < len(pairs):
            raise TemplateSyntaxError(
                f"{{% {tag} %}} takes 'with' and name=value, as in "
                f"{{% {tag} with pk=product.pk %}}; got {token.contents!r}."
            )
    before: list[Token] = list(parser.tokens)  # type: ignore[arg-type]
    nodelist = parser.parse((f"end{tag}",))
    body = before[len(parser.tokens) :]
    parser.delete_first_token()
    name = getattr(parser.origin, "template_name", None)
    return NocacheNode(
        nodelist,
        None if name is None else str(name),
        fingerprint_of([token, *body[::-1]]),
        captured,
    )
