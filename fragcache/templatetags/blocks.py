"""The node of ``{% cache %}``: a block of a Django template that is kept as an entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Final

from django.core.cache import InvalidCacheBackendError, caches
from django.template import Engine, Template
from django.template.base import FilterExpression, Node, NodeList, Parser, Token, Variable
from django.template.context import Context
from django.template.exceptions import TemplateSyntaxError
from django.template.loader_tags import BlockNode

from fragcache.additions import prepared
from fragcache.blocks import Block, Options, shown_block, shown_unstored, token_name
from fragcache.digests.templates import (
    Closure,
    closure_of_nodes,
    closure_of_template,
    fingerprint_of,
    is_reloading_engine,
    resolve_argument,
)
from fragcache.positions import UNNAMED
from fragcache.rendering.holes import live_variables, recorder
from fragcache.rendering.leaks import Guard, request_of, watched
from fragcache.suggestions import did_you_mean
from fragcache.templatetags import comments

#: What the tag takes by name.
OPTIONS: Final = ("using", "version", "stale_while_revalidate", "vary_on", "shared")
_REMEDY: Final = (
    "Let the block vary on it ({% cache 600 name user.pk %}), or put it into {% nocache %}."
)


@dataclass(frozen=True, slots=True)
class DjangoBlock(Block):
    """A block in a template of one engine."""

    engine: Engine = field(compare=False)
    nodelist: NodeList = field(compare=False)
    #: The template that is rendered, where it can override parts of the body.
    overriding: Template | None

    @property
    def is_reloading(self) -> bool:
        return is_reloading_engine(self.engine)

    def closure(self) -> Closure:
        if self.overriding is not None:
            return closure_of_template(self.template_name, self.overriding)
        return closure_of_nodes(self.nodelist, self.engine)


class CacheNode(Node):
    """``{% cache %}``: its body, kept for its time-out."""

    def __init__(
        self,
        nodelist: NodeList,
        fingerprint: str,
        fragment_name: str,
        *,
        timeout: FilterExpression,
        values: Sequence[FilterExpression],
        options: Mapping[str, FilterExpression],
    ) -> None:
        self.nodelist = nodelist
        self.fingerprint = fingerprint
        self.fragment_name = fragment_name
        self.timeout = timeout
        self.values = values
        self.options = options
        self.is_commented = comments.are_wanted()

    def render(self, context: Context) -> str:
        if not self.is_commented:
            return self._shown(context)
        return comments.commented(lambda: [self._shown(context)], self._is_own)[0]

    def _is_own(self, fragment: str) -> bool:
        return fragment.endswith(token_name(self.fragment_name).fragment)

    def _shown(self, context: Context) -> str:
        undefined: list[str] = []
        values = [resolve_argument(value, context, undefined) for value in self.values]
        options = self._options(context, undefined)
        # What is rendered after the answer must not see what the page made of its context.
        live = _copied(context) if options.stale_while_revalidate else context
        body = partial(self._body, live, options)
        block = self._block(context)
        if block.template_name == UNNAMED and self._name is not None:
            why = "what overrides parts of it is a template without a name"
            return shown_unstored(block, why, body)
        return shown_block(
            block,
            values,
            options,
            render=body,
            request=request_of(context),
            page_context=lambda: context,
            undefined=undefined,
        )

    def _options(self, context: Context, undefined: list[str]) -> Options:
        timeout = self._timeout(context)
        given = {
            name: resolve_argument(value, context, undefined)
            for name, value in self.options.items()
        }
        if isinstance(vary_on := given.get("vary_on"), str):  # a template has no lists
            given["vary_on"] = [name.strip() for name in vary_on.split(",")]
        options = Options(timeout=timeout, **given)
        self._check_alias(options.using)
        return options

    def _body(self, context: Context, options: Options) -> str:
        """Return what stands in between; with marks for holes, where it is kept."""
        recording = recorder()
        if recording is None:
            return str(self.nodelist.render(context))
        owner = f"{{% cache %}} {self.fragment_name!r}"
        guard, added_to = Guard(owner, self._allowed(options), _REMEDY), prepared()
        with watched(context, guard), context.push(**live_variables(), **added_to.variables):
            html = str(self.nodelist.render(context))
        return html + recording.added(added_to.added(owner))

    @cached_property
    def _is_overridable(self) -> bool:
        return bool(self.nodelist.get_nodes_by_type(BlockNode))

    def _allowed(self, options: Options) -> set[str]:
        """Return what its keys tell: the paths of its values, and axes."""
        told = [*self.values, *self.options.values()]
        paths = {str(one.var.var) for one in told if isinstance(one.var, Variable)}
        return paths | {name.removeprefix("-") for name in options.vary_on or ()} | {"language"}

    @property
    def _name(self) -> str | None:
        """The name of the template that it stands in."""
        name = getattr(self.origin, "template_name", None)
        return None if name is None else str(name)

    def _block(self, context: Context) -> DjangoBlock:
        """Return the block as it stands in what is rendered."""
        template: Any = context.template
        # Nothing overrides parts of a partial that is rendered by itself, which is no Template.
        is_overridden = self._is_overridable and isinstance(template, Template)
        return DjangoBlock(
            template_name=(template.name if is_overridden else self._name) or UNNAMED,
            name=self.fragment_name,
            fingerprint=self.fingerprint + _switches(context),
            engine=template.engine,
            nodelist=self.nodelist,
            overriding=template if is_overridden else None,
        )

    def _timeout(self, context: Context) -> int | None:
        undefined: list[str] = []
        timeout = resolve_argument(self.timeout, context, undefined)
        if undefined:
            raise self._error(f"its time-out {self.timeout.token} does not resolve")
        try:
            return None if timeout is None else int(timeout)
        except (ValueError, TypeError):
            raise self._error(f"its time-out is {timeout!r}, not a number of seconds") from None

    def _check_alias(self, alias: Any) -> None:
        if alias is not None:
            try:
                caches[alias]
            except InvalidCacheBackendError as error:
                raise self._error(f"using={alias!r} is no alias of settings.CACHES") from error

    def _error(self, problem: str) -> TemplateSyntaxError:
        return TemplateSyntaxError(f"{{% cache %}} {self.fragment_name!r}: {problem}.")


def parsed_cache(parser: Parser, token: Token) -> CacheNode:
    """Parse ``{% cache TIMEOUT NAME [value ...] [option=value ...] %}`` and its body.

    Raises:
        TemplateSyntaxError: it is written otherwise.
    """
    tag, *bits = token.split_contents()
    # Tokens are taken from the end of the list.
    before: list[Token] = list(parser.tokens)  # type: ignore[arg-type]
    nodelist = parser.parse(("endcache",))
    body = before[len(parser.tokens) :]
    parser.delete_first_token()
    if len(bits) < 2:
        raise TemplateSyntaxError(
            f"{{% {tag} %}} takes a time-out in seconds and a name, as in {{% {tag} 600 menu %}}; "
            f"got {token.contents!r}."
        )
    values, options = _arguments(parser, tag, bits[2:])
    return CacheNode(
        nodelist,
        fingerprint_of(body[::-1]),
        _name(bits[1]),
        timeout=parser.compile_filter(bits[0]),
        values=values,
        options=options,
    )


def _arguments(
    parser: Parser, tag: str, bits: Sequence[str]
) -> tuple[list[FilterExpression], dict[str, FilterExpression]]:
    values: list[FilterExpression] = []
    options: dict[str, FilterExpression] = {}
    for bit in bits:
        name, is_option, value = bit.partition("=")
        if not is_option or not name.isidentifier():
            if options:
                raise TemplateSyntaxError(
                    f"{{% {tag} %}}: {bit!r} stands after a name=value: put it before."
                )
            values.append(parser.compile_filter(bit))
            continue
        if name not in OPTIONS:
            raise TemplateSyntaxError(
                f"{{% {tag} %}} has no option {name!r}.{did_you_mean(name, OPTIONS)} Options are "
                f"{', '.join(OPTIONS)}."
            )
        if name in options:
            raise TemplateSyntaxError(f"{{% {tag} %}} gets {name!r} twice.")
        options[name] = parser.compile_filter(value)
    return values, options


def _switches(context: Context) -> str:
    """Return what tells apart a body within ``{% localize off %}`` and its like from one without.

    They may stand around an include of the template that has the block, out of its sight.
    """
    switches = (context.autoescape, context.use_l10n, context.use_tz)
    return "" if switches == (True, None, None) else f" {switches}"


def _copied(context: Context) -> Context:
    """Return a context that keeps the variables of now, bound to the same template."""
    made = context.new({str(name): value for name, value in context.flatten().items()})
    made.template = context.template
    made.render_context = context.render_context
    return made


def _name(bit: str) -> str:
    """Return a block's name: ``"sidebar"`` and ``sidebar`` are one."""
    is_quoted = len(bit) > 1 and bit[0] == bit[-1] and bit[0] in "\"'"
    return bit[1:-1] if is_quoted else bit
