"""Mend what cutting the lessons at their headings broke. Data in, data out: no Django here."""

import re
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urljoin

# A code block may stand in a quotation or begin an item of a list.
FENCE_START = r"^[ >]*(?:(?:[-*+]|\d+[.)])[ ]+)?(?P<ticks>`{3,})"
FENCE = re.compile(rf"{FENCE_START}(?P<info>.*)$", re.MULTILINE)
REFERENCE = re.compile(r"^\[(?P<name>[^\]]+)\]: +\S.*$", re.MULTILINE)
# What looks like markup inside code is code, so code comes first.
MARKUP = re.compile(
    rf"""
      (?P<code>   {FENCE_START}.*?^[ >]*(?P=ticks)`*[ ]*$  |  `[^`\n]+` )
    | (?P<layout> </?div[^>\n]*> )
    | (?P<grid>   ^\+[-=+]+\+$(?:\n[+|].*?[+|]$)+ )
    | (?P<image>  !\[[^\]]*\]\((?P<source>[^)\s]+)[^)]*\)(?P<attributes>\{{[^}}\n]*\}})? )
    | (?P<img>    <img\ alt="(?P<alt>[^"]*)"\ src="(?P<src>[^"]*)"[^>]*> )
    | (?P<link>   (?P<open>\]\(|^\[[^\]]+\]:\ +)(?P<href>[^)\s]+)(?P<close>[^)\n]*\)|$)
                  (?:\{{[^}}\n]*\}})? )
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
DESCRIPTION = re.compile(r"""alt=(?P<quote>['"])(?P<text>.*)(?P=quote)[ }]""")
LESSON_FOLDER = re.compile(r"^(\.{1,2}/)*(episodes/|learners/|instructors/)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonContent:
    kind: str
    title: str
    text: str
    url: str


def published_site(source: str) -> str:
    """Return where the lesson of a repository is published."""
    organisation, repository = source.split("/")
    return f"https://{organisation}.github.io/{repository}/"


def module_title(title: str) -> str:
    """Return the title; one module has only the name of its file: episodes/11-licensing.md"""
    if file_name := re.fullmatch(r"episodes/\d+-(\w+)\.md", title):
        return file_name[1].capitalize()
    return title


def mended_contents(contents: list[dict[str, Any]], site: str) -> list[LessonContent]:
    """Return the contents of one module, each complete in itself.

    Code blocks that the cut went through are closed and opened again; link references defined in
    another content are defined where they are used; relative links lead to the published lesson;
    the description of an image, which stood in the text around it, is the image's own text.
    """
    raw = [
        LessonContent(
            kind=content["kind"],
            title=re.sub(r" *\{#[^}]*\}$", "", content["title"]),
            text=content.get("content", ""),
            url=absolute(content["url"], site) if "url" in content else "",
        )
        for content in contents
    ]
    descriptions = image_descriptions(raw, site)
    mended = with_references(with_whole_code_blocks(raw))
    return [
        replace(
            content,
            text=descriptions.get(content.url, "")
            if content.kind == "image"
            else MARKUP.sub(lambda match: mended_markup(match, site), content.text).strip("\n"),
        )
        for content in mended
    ]


def with_whole_code_blocks(contents: list[LessonContent]) -> list[LessonContent]:
    """A heading inside a code block is no title: put it back, between fences of its own."""
    whole = []
    fence = ""
    for content in contents:
        title, text = content.title, content.text
        if content.kind == "text":
            if fence:
                title, text = "", f"{fence}\n## {title}\n{text}"
            fence = fence_left_open(text)
            if fence:
                text = f"{text}\n```"
        whole.append(replace(content, title=title, text=text))
    return whole


def fence_left_open(text: str) -> str:
    fence = ""
    for match in FENCE.finditer(text):
        if not fence:
            fence = match[0].strip()
        elif not match["info"].strip():
            fence = ""
    return fence


def with_references(contents: list[LessonContent]) -> list[LessonContent]:
    """Lessons define their link references once, at the end."""
    definitions = {
        match["name"]: match[0]
        for content in contents
        for match in REFERENCE.finditer(content.text)
    }
    complete = []
    for content in contents:
        used = [
            line
            for name, line in definitions.items()
            if f"[{name}]" in content.text and line not in content.text
        ]
        complete.append(
            replace(content, text="\n".join([content.text, "", *used])) if used else content
        )
    return complete


def image_descriptions(contents: list[LessonContent], site: str) -> dict[str, str]:
    descriptions = {}
    for content in contents:
        for match in MARKUP.finditer(content.text):
            if match["image"] and (description := DESCRIPTION.search(match["attributes"] or "")):
                text = re.sub(r"\\(\W|_)", r"\1", description["text"])
                descriptions[absolute(match["source"], site)] = text
    return descriptions


def mended_markup(match: re.Match[str], site: str) -> str:
    if match["grid"]:
        return f"````text\n{match['grid']}\n````"  # a table drawn with characters
    if match["layout"] or match["image"]:
        return ""  # an image is a content of its own
    if match["img"]:
        return f"[{match['alt']}]({absolute(match['src'], site)})"
    if match["link"]:
        return match["open"] + absolute(match["href"], site) + match["close"]
    return match[0]


def absolute(href: str, site: str) -> str:
    """Return an address in the lesson as one of its site; another one, as it is."""
    if re.match(r"[a-z]+:|#|\.\.\.$", href):
        return href
    page = re.sub(r"\.R?md(?=#|$)", ".html", LESSON_FOLDER.sub("", href))
    return urljoin(site, page.replace("setup.html", "index.html#setup"))
