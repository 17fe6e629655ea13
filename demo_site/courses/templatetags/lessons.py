"""Markdown of the lessons to safe HTML.

The lessons follow CommonMark; Python-Markdown needs some help with lists and indented code.
"""

import itertools
import re

import nh3
from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown import Markdown
from markdown.extensions import Extension
from markdown.preprocessors import Preprocessor

register = template.Library()

FENCE = re.compile(
    r"^(?P<lead> *(?:(?:[-*+]|\d+[.)]) +)?)(?P<fence>`{3,}) *\{?(?P<language>\w*)[^`]*$"
)
EMPTY_ITEM = re.compile(r"^([-*+]|\d+[.)])$")
LIST_ITEM = re.compile(r"^ {0,3}([-*+]|1[.)]) +\S")
INLINE_TAGS = {"code", "em", "strong", "kbd", "sub", "sup"}
BLOCK_TAGS = INLINE_TAGS | {
    *("a", "p", "br", "hr", "pre", "blockquote", "ul", "ol", "li", "h3", "h4", "h5", "h6"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


@register.filter
def lesson_markdown(text: str) -> SafeString:
    extensions = ["tables", "sane_lists", CommonMarkExtension()]
    html = Markdown(extensions=extensions, tab_length=2).convert(text)
    return sanitised(html, BLOCK_TAGS, {"a": {"href", "title"}, "code": {"class"}})


@register.filter
def lesson_title(text: str) -> SafeString:
    """Titles have code and emphasis in them, and nothing larger."""
    return sanitised(Markdown().convert(text), INLINE_TAGS, {})


def sanitised(html: str, tags: set[str], attributes: dict[str, set[str]]) -> SafeString:
    clean = nh3.clean(html, tags=tags, attributes=attributes, attribute_filter=absolute_href)
    # Safe by what the line above did.
    return mark_safe(clean.strip())


def absolute_href(element: str, attribute: str, value: str) -> str | None:
    """Drop what leads nowhere on this site: anchors and placeholders of the lessons."""
    if attribute == "href" and not value.startswith(("https:", "http:", "mailto:")):
        return None
    return value


class CommonMarkExtension(Extension):
    def extendMarkdown(self, md: Markdown) -> None:
        md.preprocessors.register(IndentedFences(md), "indented_fences", 28)
        md.preprocessors.register(ListsInParagraphs(md), "lists_in_paragraphs", 27)


class IndentedFences(Preprocessor):
    """Code blocks inside list items; Python-Markdown knows them at the left margin only."""

    def run(self, lines: list[str]) -> list[str]:
        kept: list[str] = []
        rest = iter(lines)
        for line in rest:
            opening = FENCE.match(line)
            if opening is None:
                kept.append(line)
                continue
            end = re.compile(rf" *{opening['fence']}`* *$")
            code = list(itertools.takewhile(lambda inner: not end.match(inner), rest))  # noqa: B023
            indented = re.compile(rf" {{0,{len(opening['lead'])}}}")
            block = self.code_block(
                [indented.sub("", inner, count=1) for inner in code], opening["language"]
            )
            if kept and EMPTY_ITEM.match(kept[-1]):
                kept[-1] += f" {block}"
            elif opening["lead"].isspace():
                kept += ["", f"  {block}"]  # one level of a list, see tab_length
            else:
                kept += ["", opening["lead"] + block]
            kept.append("")
        return kept

    def code_block(self, code: list[str], language: str) -> str:
        lines = escape("\n".join(code))
        block = f'<pre><code class="language-{language or "text"}">{lines}\n</code></pre>'
        return str(self.md.htmlStash.store(block))


class ListsInParagraphs(Preprocessor):
    """A list that follows a line of text; Python-Markdown wants an empty line between them."""

    def run(self, lines: list[str]) -> list[str]:
        kept: list[str] = []
        in_list = False
        for line in lines:
            is_item = bool(LIST_ITEM.match(line))
            if is_item and not in_list and kept and kept[-1].strip():
                kept.append("")
            is_new_paragraph = line.strip() and line[0] != " " and not (kept and kept[-1].strip())
            in_list = is_item or (in_list and not is_new_paragraph)
            kept.append(line)
        return kept
