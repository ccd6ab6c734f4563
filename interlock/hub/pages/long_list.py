"""A list that may be millions long goes in; one page of it comes out, and how long it is as far as one counts.

A database counts rows one by one. So the length is told exactly up to COUNTED_MAX and as "more than" above it,
and of a page first its keys are read, along an index, and then the rows of those keys alone.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet

COUNTED_MAX = 10_000
"""Nobody leafs through two hundred pages; the filter's answer to "how many" stays exact for most questions."""

ModelT = TypeVar("ModelT", bound=Model)

if TYPE_CHECKING:
    _Paginator: TypeAlias = Paginator[int]
    _Page: TypeAlias = Page[int]
else:
    _Paginator, _Page = Paginator, Page


class LongPaginator(_Paginator):
    """Pages of keys. Above COUNTED_MAX rows there are as many pages as one looks for; one behind the last row
    shows the last."""

    def __init__(self, keys: QuerySet[Any], per_page: int) -> None:
        super().__init__(keys, per_page)
        self._keys = keys

    @cached_property
    def count(self) -> int:
        """How many rows there are; more than COUNTED_MAX say only that."""
        return self._keys.order_by()[: COUNTED_MAX + 1].count()

    @property
    def counted_max(self) -> int:
        """Up to how many rows are counted."""
        return COUNTED_MAX

    @property
    def is_longer(self) -> bool:
        """Whether there are more rows than are counted."""
        return self.count > COUNTED_MAX

    def get_page(self, number: Any) -> Page[int]:
        """The page of that number; the first where it is no number, the last where there is no such page."""
        if not self.is_longer:
            return super().get_page(number)
        try:
            wanted = int(number)
        except (TypeError, ValueError, OverflowError):
            wanted = 1
        first = (wanted - 1) * self.per_page
        # One key more than is shown says whether another page follows.
        there = 0 <= first < _ROWS_MAX
        keys = list(self._keys[first : first + self.per_page + 1]) if there else []
        if keys:
            return LongPage(keys, wanted, self)
        # No such page: only now it pays to know where the end is.
        rows = self._keys.order_by().count()
        wanted = max(1, -(-rows // self.per_page))
        first = (wanted - 1) * self.per_page
        return LongPage(list(self._keys[first : first + self.per_page]), wanted, self)


class LongPage(_Page):
    """A page of a list that is longer than what is counted."""

    def __init__(self, keys: list[int], number: int, paginator: LongPaginator) -> None:
        super().__init__(keys[: paginator.per_page], number, paginator)
        self._shown = len(self.object_list)
        self._goes_on = len(keys) > paginator.per_page

    def has_next(self) -> bool:
        """Whether a row follows the last one shown."""
        return self._goes_on

    def next_page_number(self) -> int:
        """The number of the page after this one."""
        return self.number + 1

    def previous_page_number(self) -> int:
        """The number of the page before this one."""
        return self.number - 1

    def start_index(self) -> int:
        """The place of the first row shown, from 1 on."""
        return (self.number - 1) * self.paginator.per_page + 1

    def end_index(self) -> int:
        """The place of the last row shown."""
        return self.start_index() + self._shown - 1


def in_order(rows: QuerySet[ModelT], keys: list[int]) -> list[ModelT]:
    """The rows of `keys`, in the order of `keys`: one query."""
    found = {one.pk: one for one in rows.filter(pk__in=keys).order_by()}
    return [found[key] for key in keys if key in found]


_ROWS_MAX = 2**31
"""More than any lab has: a number typed by hand must not reach what a database cannot count to."""
