"""Pages of the platform's lists, in HAL (https://datatracker.ietf.org/doc/html/draft-kelly-json-hal)."""

from collections.abc import Sequence
from typing import NamedTuple

from matatika_deploy.platform.responses import InvalidResponse, Response

PAGE_SIZE = 20
MOST_PAGES = 50


class Page(NamedTuple):
    """The entries of one page, as parsed JSON; `number` and `last` (that of the last page) count from 0."""

    entries: Sequence[object]
    number: int
    last: int

    @property
    def has_more(self) -> bool:
        """Whether another page follows."""
        return bool(self.entries) and self.number < self.last


def parse_page(response: Response, relation: str) -> Page:
    """Read a page of a list; `relation` names what it holds, as `jobs`.

    Raises:
        InvalidResponse: if it is no such page.
    """
    page = response.json()
    if not isinstance(page, dict) or not ("_embedded" in page or "page" in page):
        raise InvalidResponse(f"expected a page of {relation}")
    embedded = page.get("_embedded") or {}
    entries = embedded.get(relation, []) if isinstance(embedded, dict) else None
    if not isinstance(entries, list):
        raise InvalidResponse(f"expected a page of {relation}")
    facts = page.get("page")
    number, total = (facts.get("number"), facts.get("totalPages")) if isinstance(facts, dict) else (0, 1)
    if not isinstance(number, int) or not isinstance(total, int):
        return Page(entries, 0, 0)
    return Page(entries, number, max(total - 1, 0))
