"""Explanations as HTML: a fragment for notebooks, and a page that needs no network."""

from wenlu.explanation.page.document import write_page
from wenlu.explanation.page.fragment import fragment

__all__ = ["fragment", "write_page"]
