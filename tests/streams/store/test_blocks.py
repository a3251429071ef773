"""Blocks are halved around rows that are refused and where they are too large; a bad table keeps its rows."""

import contextlib
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.store.blocks import LEAST_BYTES, PATIENCE, SUSPICIOUS, Blocks, RefusedRow
from streams.store.errors import BlockTooLargeError, DoubtfulRowError, RetryableStoreError, RowError


class Table:
    """Takes what it is told to take."""

    def __init__(self, bad: Iterable[int] = (), most: int = 10**9, error: type[RowError] = RowError) -> None:
        self.bad, self.most, self.error = set(bad), most, error
        self.kept: list[int] = []
        self.tokens: list[str] = []
        self.attempts = 0
        self.away = False

    def __call__(self, rows: Sequence[int], token: str) -> None:
        self.attempts += 1
        if self.away:
            raise RetryableStoreError("away")
        if len(rows) > self.most:
            raise BlockTooLargeError("too large", certain=True)
        if self.bad.intersection(rows):
            raise self.error("no")
        self.kept.extend(rows)
        self.tokens.append(token)


def blocks(rows: int, size: int = 1) -> Blocks[int]:
    return Blocks(range(rows), "t", lambda _: size)


@given(bad=st.sets(st.integers(0, 63), max_size=8), size=st.integers(1, 64))
def test_every_good_row_goes_in_once_and_in_order(bad: set[int], size: int) -> None:
    table, waiting = Table(bad), blocks(size)
    waiting.insert(table)
    assert waiting.done
    assert {each.row for each in waiting.refused} == {row for row in range(size) if row in bad}
    assert len(waiting.refused) == len(bad.intersection(range(size)))
    assert table.kept == [row for row in range(size) if row not in bad]
    assert waiting.taken == len(table.kept)
    assert len(set(table.tokens)) == len(table.tokens)


@pytest.mark.parametrize("error", [RowError, DoubtfulRowError])
def test_when_every_row_is_refused_it_is_the_table(error: type[RowError]) -> None:
    table, waiting = Table(set(range(200)), error=error), blocks(200)
    for _ in range(3):
        with pytest.raises(RetryableStoreError, match="every row"):
            waiting.insert(table)
        assert not waiting.refused
    assert table.attempts < 3 * (SUSPICIOUS * 2 + 20), "and that is found soon"
    table.bad = {7}
    waiting.insert(table)
    assert waiting.refused == [RefusedRow(7, "no", error is RowError)]
    assert table.kept == [row for row in range(200) if row != 7]


def test_a_table_that_is_mended_meanwhile_loses_no_row() -> None:
    for mended_at in range(60):
        table, waiting = Table(set(range(40)), error=DoubtfulRowError), blocks(40)

        def insert(rows: Sequence[int], token: str, table: Table = table, mended_at: int = mended_at) -> None:
            if table.attempts == mended_at:
                table.bad = set()
            table(rows, token)

        while not waiting.done:
            with contextlib.suppress(RetryableStoreError):
                waiting.insert(insert)
        assert not waiting.refused
        assert sorted(table.kept) == list(range(40))


def test_a_row_alone_is_only_given_up_when_it_is_surely_to_blame() -> None:
    alone = blocks(1)
    alone.insert(Table({0}))
    assert alone.refused == [RefusedRow(0, "no")]
    doubtful = blocks(1)
    with pytest.raises(RetryableStoreError):
        doubtful.insert(Table({0}, error=DoubtfulRowError))
    doubtful.insert(Table())
    assert doubtful.done
    assert not doubtful.refused


def test_a_block_that_is_too_large_is_halved_until_it_goes_in() -> None:
    table, waiting = Table(most=3), blocks(100)
    waiting.insert(table)
    assert waiting.done
    assert table.kept == list(range(100))


def test_a_store_short_of_memory_is_not_flooded_with_small_blocks() -> None:
    sizes = []

    def short(rows: Sequence[int], _: str) -> None:
        sizes.append(len(rows))
        raise BlockTooLargeError("memory", certain=False)

    waiting = blocks(64, LEAST_BYTES // 4)
    for _ in range(5):
        with pytest.raises(BlockTooLargeError):
            waiting.insert(short)
    assert sizes == [64, 32, 16, 8, 4, *[4] * 4]
    table = Table()
    waiting.insert(table)
    assert table.kept == list(range(64))


def test_a_row_that_is_too_large_alone_does_not_hold_up_the_others() -> None:
    def insert(rows: Sequence[int], token: str) -> None:
        if 5 in rows:
            raise BlockTooLargeError("HTTP status 413", certain=True)
        table(rows, token)

    table, waiting = Table(), blocks(10, 10**9)
    waiting.insert(insert)
    assert waiting.refused == [RefusedRow(5, "HTTP status 413")]
    assert table.kept == [0, 1, 2, 3, 4, 6, 7, 8, 9]


def test_what_went_in_is_not_sent_again_and_a_failing_block_gets_smaller() -> None:
    table, waiting = Table(most=50), blocks(100, LEAST_BYTES)
    seen: list[int] = []

    def failing(rows: Sequence[int], token: str) -> None:
        seen.append(len(rows))
        if rows[0] >= 50:
            raise RetryableStoreError("timed out")
        table(rows, token)

    for _ in range(PATIENCE + 2):
        with pytest.raises(RetryableStoreError):
            waiting.insert(failing)
    assert seen == [100, 50, 50, 50, 50, 25]
    waiting.insert(table)
    assert table.kept == list(range(100))


def test_while_the_store_is_away_nothing_changes() -> None:
    table, waiting = Table(), blocks(10)
    table.away = True
    for _ in range(9):
        with pytest.raises(RetryableStoreError, match="away"):
            waiting.insert(table)
    table.away = False
    waiting.insert(table)
    assert table.tokens == ["t"]
