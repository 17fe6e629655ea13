"""``{% nocache %}``: what each page fills in for itself, compiled as a template of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final

from django.template.backends.utils import csrf_input_lazy
from django.template.context import Context
from jinja2 import Environment, Template, nodes

from fragcache.contrib.jinja2.watching import unwatched
from fragcache.rendering.showing import live_value

#: The method of the extension that shows a hole.
SHOW_HOLE: Final = "show_hole"
#: What stands at the top of a template, and its holes use as well.
_TOP: Final = (nodes.Import, nodes.FromImport, nodes.Macro)


class Jinja2Hole:
    """A hole in a template, of the source that the template was compiled of."""

    def __init__(
        self, environment: Environment, template_name: str | None, source: str, fingerprint: str
    ) -> None:
        self._environment = environment
        self._template_name = template_name
        self._source = source
        self._fingerprint = fingerprint

    def filled(self, context: Context, captured: Mapping[str, Any]) -> str:
        """Return what it shows on a page that has this context."""
        variables: dict[str, Any] = {str(name): value for name, value in context.flatten().items()}
        if variables.get("request") is not None and "csrf_input" not in variables:
            variables["csrf_input"] = csrf_input_lazy(variables["request"])
        variables.setdefault("csrf_input", live_value("csrf_input", context))
        with unwatched():
            return self._template.render({**variables, **captured})

    @cached_property
    def _template(self) -> Template:
        """The hole, compiled once."""
        tree = self._environment.parse(self._source, self._template_name)
        call = next(node for node in holes_in(tree) if fingerprint_of(node) == self._fingerprint)
        top = [node for node in tree.body if isinstance(node, _TOP)]
        alone = nodes.Template([*top, *call.body], lineno=call.lineno)
        alone.set_environment(self._environment)
        code = self._environment.compile(alone, self._template_name, self._template_name)
        environment = self._environment
        return environment.template_class.from_code(
            environment, code, environment.make_globals(None)
        )


def holes_in(node: nodes.Node) -> Iterator[nodes.CallBlock]:
    """Yield the holes in a part of a template."""
    for call in node.find_all(nodes.CallBlock):
        method = call.call.node
        if isinstance(method, nodes.ExtensionAttribute) and method.name == SHOW_HOLE:
            yield call


def fingerprint_of(hole: nodes.CallBlock) -> str:
    """Return what tells a hole from all others in its template."""
    fingerprint = hole.call.args[1]
    assert isinstance(fingerprint, nodes.Const)
    return str(fingerprint.value)
