"""A step's summary as a browser gets it: rendered by the library that GitHub itself renders Markdown with, and parsed.

What GitHub's own filters do after that is left out: they take harm away (scripts, event handlers), so that a page which
is harmless before them is harmless.
"""

from html.parser import HTMLParser

import cmarkgfm  # type: ignore[import-untyped]
from cmarkgfm.cmark import Options  # type: ignore[import-untyped]

# In these GitHub looks for no mention, reference or address; see its HTML pipeline's filters.
_VERBATIM = frozenset({"a", "code", "pre"})


class Page(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, markdown: str) -> None:
        """Render a page as GitHub does, with raw HTML passed through, and parse it."""
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = self.verbatim = ""
        """All text outside of links and code, and inside of them."""
        self.comments: list[str] = []
        """Comments, declarations and processing instructions."""
        self._open: list[str] = []
        self.feed(cmarkgfm.github_flavored_markdown_to_html(markdown, options=Options.CMARK_OPT_UNSAFE))
        self.close()

    @property
    def links(self) -> list[str | None]:
        return [attributes.get("href") for tag, attributes in self.elements if tag == "a"]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if _VERBATIM & set(self._open):
            self.verbatim += data
        else:
            self.text += data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    handle_decl = unknown_decl = handle_pi = handle_comment  # type: ignore[assignment]
