"""A step's summary as a browser gets it: rendered by the library that GitHub itself renders Markdown with, and parsed.

What GitHub's own filters do after that is left out: they take harm away (scripts, event handlers), so that a page which
is harmless before them is harmless.
"""

from dataclasses import dataclass, field
from html.parser import HTMLParser

import cmarkgfm  # type: ignore[import-untyped]
from cmarkgfm.cmark import Options  # type: ignore[import-untyped]

# In these GitHub looks for no mention, reference or address; see its HTML pipeline's filters.
_VERBATIM = frozenset({"a", "code", "pre"})


@dataclass
class Page:
    """The elements and the text of a page."""

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    """Names and attributes, in order."""
    text: str = ""
    """All text outside of links and code."""
    verbatim: str = ""
    """All text inside of them."""
    comments: list[str] = field(default_factory=list)

    @property
    def tags(self) -> set[str]:
        """The names of all elements."""
        return {tag for tag, _ in self.elements}

    @property
    def links(self) -> list[str | None]:
        """Where the links lead."""
        return [attributes.get("href") for tag, attributes in self.elements if tag == "a"]


def render(markdown: str) -> Page:
    """Render a page as GitHub does, with raw HTML passed through, and parse it."""
    parser = _Parser()
    parser.feed(cmarkgfm.github_flavored_markdown_to_html(markdown, options=Options.CMARK_OPT_UNSAFE))
    parser.close()
    return parser.page


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if _VERBATIM & set(self._open):
            self.page.verbatim += data
        else:
            self.page.text += data

    def handle_comment(self, data: str) -> None:
        self.page.comments.append(data)

    def handle_decl(self, decl: str) -> None:
        self.page.comments.append(decl)

    def unknown_decl(self, data: str) -> None:
        self.page.comments.append(data)

    def handle_pi(self, data: str) -> None:
        self.page.comments.append(data)
