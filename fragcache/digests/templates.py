"""Templates: rendering one, and what one is made of, read from its compiled form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from types import FunctionType
from typing import Any, Final

from django.template import (
    Engine,
    Origin,
    Template,
    TemplateDoesNotExist,
    TemplateSyntaxError,
    VariableDoesNotExist,
)
from django.template.backends.django import Template as DjangoBackendTemplate
from django.template.backends.django import reraise
from django.template.base import FilterExpression, Node, NodeList, Parser, Token, Variable
from django.template.context import BaseContext, Context, make_context
from django.template.library import InclusionNode
from django.template.loader import get_template
from django.template.loader_tags import ExtendsNode, IncludeNode
from django.template.loaders.cached import Loader as CachedLoader

from fragcache.digests.jinja2_templates import add_jinja2
from fragcache.exceptions import ImproperlyDeclared

#: An attribute by which a tag names the fragment that it shows.
SHOWN_FRAGMENT: Final = "fragcache_fragment_name"
#: One by which a tag says that its body is a hole.
IS_HOLE: Final = "fragcache_is_hole"

_OPAQUE: Final = (str, Engine, Origin, Token, Parser, BaseContext, Variable)


@dataclass(slots=True)
class Closure:
    """All that a template is made of, as far as its text says."""

    #: Source by template name; "" for a literal name that no loader finds; "x.html^" for the
    #: template that x.html overrides and extends.
    sources: dict[str, str] = field(default_factory=dict)
    #: Functions and classes of tags and filters.
    codes: list[Callable[..., Any]] = field(default_factory=list)
    #: Names of the fragments it shows.
    fragments: set[str] = field(default_factory=set)
    #: The paths of variables that it reads, but for those in holes, and the classes of its tags.
    variables: set[str] = field(default_factory=set)
    kinds: set[type] = field(default_factory=set)


def render(
    backend_template: Any,
    context: dict[str, Any],
    around: Callable[[Context], AbstractContextManager[None]],
) -> tuple[str, tuple[str, ...]]:
    """Return the output, and the names of the templates that were included by a variable.

    This is ``render_to_string`` without a request, which gives a shared fragment no visitor's
    data to show; it holds on to the Context, which knows what was included. A Django template is
    rendered within ``around(context)``.
    """
    if not isinstance(backend_template, DjangoBackendTemplate):
        return backend_template.render(context), ()
    bound = make_context(context, autoescape=backend_template.backend.engine.autoescape)
    try:
        with around(bound):
            html = backend_template.template.render(bound)
    except TemplateDoesNotExist as error:
        reraise(error, backend_template.backend)
    return html, _dynamic_includes(bound.render_context.dicts[0])


def closure(template_name: str) -> Closure:
    """Return what a template is made of.

    Raises:
        TemplateDoesNotExist, TemplateSyntaxError: as ``get_template`` does.
        ImproperlyDeclared: it extends a template that a variable names.
    """
    found = Closure()
    template: Any = get_template(template_name)
    if isinstance(template, DjangoBackendTemplate):
        _add_template(template_name, template.template, template.backend.engine, found)
    else:
        add_jinja2(template.backend.env, template_name, found)
    return found


def closure_of_template(name: str, template: Template) -> Closure:
    """Return what a compiled template is made of; errors as of ``closure``."""
    found = Closure()
    _add_template(name, template, template.engine, found)
    return found


def closure_of_nodes(nodelist: NodeList, engine: Engine) -> Closure:
    """Return what compiled nodes are made of, but for their own text; errors as of ``closure``."""
    found = Closure()
    _Walk(engine, found, ()).visit(nodelist)
    return found


def fingerprint_of(tokens: Sequence[Token]) -> str:
    """Return what tells a part of a template, by the tokens that it is compiled of, from others."""
    text = "".join(
        f"{token.token_type.value}{len(token.contents)}:{token.contents}" for token in tokens
    )
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def resolve_argument(expression: FilterExpression, context: Context, undefined: list[str]) -> Any:
    """Return the value of a tag's argument; one that does not resolve is named in ``undefined``.

    The absent key of a mapping, and what ``|default`` is applied to, are no typos.
    """
    if not isinstance(expression.var, Variable):
        return expression.resolve(context)
    try:
        value = expression.var.resolve(context)
    except VariableDoesNotExist:
        filters = {function.__name__ for function, _arguments in expression.filters}
        if "default" not in filters and not _is_absent_key(expression.var, context):
            undefined.append(str(expression.token))
            return None
        value = None
    return expression.resolve(context) if expression.filters else value


def is_reloading(template_name: str) -> bool:
    """Whether the template's engine compiles anew for each render."""
    template: Any = get_template(template_name)
    if not isinstance(template, DjangoBackendTemplate):
        return bool(template.backend.env.auto_reload)
    return is_reloading_engine(template.backend.engine)


def is_reloading_engine(engine: Engine) -> bool:
    """Whether an engine compiles its templates anew for each render."""
    loaders = list(engine.template_loaders)
    for loader in loaders:  # one may stand around others, as that of django-template-partials
        loaders += getattr(loader, "loaders", [])
    return not any(isinstance(loader, CachedLoader) for loader in loaders)


def _is_absent_key(variable: Variable, context: Context) -> bool:
    *path, _key = variable.lookups or ("",)
    if not path:
        return False
    try:
        owner = Variable(".".join(path)).resolve(context)
    except VariableDoesNotExist:
        return False
    return isinstance(owner, Mapping)


def _dynamic_includes(render_state: Mapping[Any, Any]) -> tuple[str, ...]:
    # IncludeNode.render() keeps what it loaded under itself, by the tuple of names tried.
    nodes = [node for node in render_state if isinstance(node, IncludeNode)]
    if not nodes:  # optimisation: most templates include nothing
        return ()
    names = {
        template.name
        for node in nodes
        if _literal(node.template) is None
        for template in render_state[node].values()
    }
    return tuple(sorted(names))


def _add_template(
    name: str, template: Any, engine: Engine, found: Closure, children: Sequence[Origin] = ()
) -> None:
    if name in found.sources:
        return
    # A partial (page.html#name) is known by the whole file that it stands in.
    file_name = name.partition("#")[0]
    whole = template if file_name == name else engine.get_template(file_name)
    found.sources[name] = str(whole.source)
    _Walk(engine, found, children).visit(template.nodelist)


class _Walk:
    """A walk over compiled nodes, with whatever attributes tags keep their parts in."""

    def __init__(self, engine: Engine, found: Closure, children: Sequence[Origin]) -> None:
        self.engine = engine
        self.found = found
        #: The templates that extend this one, each the next.
        self.children = children
        #: By id, and held so that no id is used twice.
        self.seen: dict[int, Any] = {}
        self.is_in_hole = False

    def visit(self, part: Any) -> None:
        if id(part) in self.seen or isinstance(part, _OPAQUE):
            return
        self.seen[id(part)] = part
        if isinstance(part, Template):
            self._load(part.name or str(part.source), part)
        elif isinstance(part, FilterExpression):
            self._visit_expression(part)
        elif isinstance(part, dict):
            self.visit(list(part.values()))
        elif isinstance(part, FunctionType) or hasattr(part, "__wrapped__"):
            self.found.codes.append(part)
        elif isinstance(part, list | tuple | set):
            for inner in part:
                self.visit(inner)
        elif isinstance(part, Node) or type(part).__module__.startswith("django.template."):
            self._visit_node(part)

    def _visit_expression(self, expression: FilterExpression) -> None:
        self.visit([function for function, _arguments in expression.filters])
        if not self.is_in_hole:
            given = [one for _function, arguments in expression.filters for _, one in arguments]
            read = [one for one in (expression.var, *given) if isinstance(one, Variable)]
            self.found.variables.update(str(one.var) for one in read)

    def _visit_node(self, node: Any) -> None:
        former = self.is_in_hole
        self.is_in_hole = former or getattr(node, IS_HOLE, False)
        self._visit_parts(node)
        self.is_in_hole = former

    def _visit_parts(self, node: Any) -> None:
        self.found.kinds.add(type(node))
        if not type(node).__module__.startswith("django."):
            self.found.codes.append(type(node))
        if isinstance(node, ExtendsNode):
            self._load_parent(node)
        elif isinstance(node, IncludeNode):
            if (name := _literal(node.template)) is not None:
                self._load(name)
        elif isinstance(node, InclusionNode):
            self._load_inclusion(node)
        elif hasattr(node, "partial_mapping"):  # {% partial %}
            with suppress(KeyError, TemplateSyntaxError):
                self.visit(node.partial_mapping[node.partial_name].nodelist)
        if shown := getattr(node, SHOWN_FRAGMENT, None):
            self.found.fragments.add(shown)
        self.visit(list(vars(node).values()))

    def _load_parent(self, node: ExtendsNode) -> None:
        name = _literal(node.parent_name)
        if name is None:
            raise ImproperlyDeclared(
                f"A fragment's template extends {node.parent_name!s}, which only a render knows: "
                "name the parent literally, so that its changes change the fragment's digest."
            )
        # It may extend the one of its own name that it overrides, which find_template() then finds.
        skipped = [*self.children, node.origin]
        parent, _origin = self.engine.find_template(name, skip=skipped)
        overriding = sum(origin.template_name == name for origin in skipped)
        _add_template(name + "^" * overriding, parent, self.engine, self.found, skipped)

    def _load_inclusion(self, node: Any) -> None:
        names = [node.filename] if isinstance(node.filename, str) else node.filename
        for name in names if isinstance(names, list | tuple) else []:
            self._load(name)

    def _load(self, name: str, template: Template | None = None) -> None:
        try:
            loaded = template or self.engine.get_template(name)
            _add_template(name, loaded, self.engine, self.found)
        except TemplateDoesNotExist:  # it may stand behind an {% if %} that is never true
            self.found.sources.setdefault(name, "")


def _literal(expression: Any) -> str | None:
    """Return the text of a quoted template name, or None where a variable names it."""
    if isinstance(expression.var, Variable) or expression.filters:
        return None
    return str(expression.var)
