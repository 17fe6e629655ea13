"""``{% load fragcache %}``: fragments in Django templates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, TypeVar

from django import template
from django.db.models import Manager
from django.template.base import FilterExpression, Node, Parser, Token, Variable, token_kwargs
from django.template.context import Context
from django.template.exceptions import TemplateSyntaxError

from fragcache import page
from fragcache.arguments import RESERVED, as_item
from fragcache.digests.templates import SHOWN_FRAGMENT, resolve_argument
from fragcache.exceptions import InvalidArguments
from fragcache.reading import prefetch_shown, shown_fragments
from fragcache.rendering.leaks import request_of
from fragcache.templatetags import comments
from fragcache.templatetags.blocks import CacheNode, parsed_cache
from fragcache.templatetags.holes import NocacheNode, parsed_nocache

register = template.Library()

T = TypeVar("T")
_Parsed = tuple[FilterExpression, list[FilterExpression], dict[str, FilterExpression], str | None]


class FragmentNode(Node):
    """``{% fragment %}``: one instance."""

    def __init__(
        self,
        name: FilterExpression,
        args: Sequence[FilterExpression],
        kwargs: Mapping[str, FilterExpression],
        target: str | None,
    ) -> None:
        self.name = name
        self.args = args
        self.kwargs = kwargs
        self.target = target
        self.is_commented = target is None and comments.are_wanted()
        if not isinstance(name.var, Variable):
            setattr(self, SHOWN_FRAGMENT, str(name.var))

    def render(self, context: Context) -> str:
        undefined: list[str] = []
        args = tuple(resolve_argument(value, context, undefined) for value in self.args)
        return self.placed(context, self.shown(context, [as_item(args)], undefined)[0])

    def shown(self, context: Context, items: Sequence[Any], undefined: list[str]) -> list[str]:
        """Return the HTML of the instances, "" for those that are not to be had."""
        call = partial(shown_fragments, page_context=lambda: context)
        if self.is_commented:
            show = partial(self.read, call, context, items, undefined)
            return comments.commented(show, comments.anything)
        return self.read(call, context, items, undefined)

    def read(
        self, call: Callable[..., T], context: Context, items: Sequence[Any], undefined: list[str]
    ) -> T:
        """Return what a reading function returns; a render outside of a request is one page."""
        kwargs: dict[str, Any] = {
            name: resolve_argument(value, context, undefined) for name, value in self.kwargs.items()
        }
        request = request_of(context)
        if request is not None:
            kwargs["request"] = request
        name = self.name.resolve(context)
        if page.active() is not None:
            return call(name, items, undefined=undefined, **kwargs)
        with page.entered(page.of_render(context.render_context.dicts[0])):
            return call(name, items, undefined=undefined, **kwargs)

    def placed(self, context: Context, result: str | list[str]) -> str:
        """Return what the tag prints: nothing where ``as`` puts it into a variable."""
        if self.target is None:
            # Optimisation: not a SafeString, of which each join around it would be a copy.
            return result if isinstance(result, str) else "".join(result)
        context[self.target] = result
        return ""


class FragmentsNode(FragmentNode):
    """``{% fragments %}``: many instances in one round trip."""

    tag: ClassVar[str] = "fragments"

    def render(self, context: Context) -> str:
        undefined: list[str] = []
        items = self.items(context, undefined)
        return self.placed(context, self.shown(context, items, undefined))

    def items(self, context: Context, undefined: list[str]) -> list[Any]:
        """Return the items that the tag names."""
        items = resolve_argument(self.args[0], context, undefined)
        items = items.all() if isinstance(items, Manager) else items or ()
        if not isinstance(items, Iterable) or isinstance(items, str):
            raise InvalidArguments(
                f"{{% {self.tag} %}} takes a list of items, not {items!r}: for one use "
                "{% fragment %}."
            )
        return list(items)


class PrefetchNode(FragmentsNode):
    """``{% prefetch_fragments %}``: fetched with what the page shows first, placed anywhere."""

    tag: ClassVar[str] = "prefetch_fragments"

    def render(self, context: Context) -> str:
        undefined: list[str] = []
        items = self.items(context, undefined)
        self.read(prefetch_shown, context, items, undefined)
        return ""


@register.tag
def fragment(parser: Parser, token: Token) -> FragmentNode:
    """Show one instance of a fragment::

    {% fragment "courses.course_card" course variant="row" %}
    {% fragment "courses.course_card" course as card %}
    """
    return FragmentNode(*_parsed(parser, token))


@register.tag
def fragments(parser: Parser, token: Token) -> FragmentsNode:
    """Show many instances of a fragment, fetched in one round trip::

    {% fragments "courses.course_card" courses variant="row" %}
    {% fragments "courses.course_card" courses as cards %}
    """
    return FragmentsNode(*_parsed_list(parser, token))


@register.tag
def prefetch_fragments(parser: Parser, token: Token) -> PrefetchNode:
    """Fetch instances now, to place them later, in any order, by ``{% fragment %}``::

    {% prefetch_fragments "courses.course_card" courses variant="row" %}
    """
    name, args, kwargs, target = _parsed_list(parser, token)
    if target is not None:
        raise TemplateSyntaxError(
            "{% prefetch_fragments %} prints nothing that 'as' could keep: place its instances by "
            "{% fragment %}."
        )
    return PrefetchNode(name, args, kwargs, None)


@register.tag("cache")
def cache(parser: Parser, token: Token) -> CacheNode:
    """Keep what stands in between, for so many seconds and by the values it varies on::

    {% cache 600 sidebar user.pk %}...{% endcache %}
    {% cache 600 sidebar user.pk using="fragments" stale_while_revalidate=60 %}...{% endcache %}
    """
    return parsed_cache(parser, token)


@register.tag
def nocache(parser: Parser, token: Token) -> NocacheNode:
    """Render what stands in between for each page, inside of ``{% cache %}`` or a fragment::

    {% nocache %}Hello {{ user }}{% endnocache %}
    {% nocache with pk=product.pk %}{% if pk in cart %}in your cart{% endif %}{% endnocache %}
    """
    return parsed_nocache(parser, token)


def _parsed_list(parser: Parser, token: Token) -> _Parsed:
    parsed = _parsed(parser, token)
    if len(parsed[1]) != 1:
        raise TemplateSyntaxError(
            f"{{% {token.split_contents()[0]} %}} takes a name and one list of items, then "
            f"name=value; got {len(parsed[1])} arguments: {token.contents!r}."
        )
    return parsed


def _parsed(parser: Parser, token: Token) -> _Parsed:
    tag, *bits = token.split_contents()
    target = None
    if len(bits) >= 2 and bits[-2] == "as":
        target = bits[-1]
        bits = bits[:-2]
    if not bits:
        raise TemplateSyntaxError(f"{{% {tag} %}} needs the name of a fragment.")
    name = parser.compile_filter(bits[0])
    args: list[FilterExpression] = []
    kwargs: dict[str, FilterExpression] = {}
    if "as" in bits:
        raise TemplateSyntaxError(f"{{% {tag} %}}: 'as' stands before one name, at the end.")
    for bit in bits[1:]:
        named = token_kwargs([bit], parser)
        if named:
            _check_keyword(tag, next(iter(named)), kwargs)
            kwargs |= named
        elif kwargs:
            raise TemplateSyntaxError(
                f"{{% {tag} %}}: {bit!r} stands after a name=value: put it before."
            )
        else:
            args.append(parser.compile_filter(bit))
    return name, args, kwargs, target


def _check_keyword(tag: str, name: str, others: Mapping[str, FilterExpression]) -> None:
    if name in others:
        raise TemplateSyntaxError(f"{{% {tag} %}} gets {name!r} twice.")
    if name in RESERVED:
        raise TemplateSyntaxError(f"{{% {tag} %}}: {name!r} cannot be given in a template.")
