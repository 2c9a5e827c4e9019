"""The rules of a sweep over a list: every row of a still one is met, and a moving one always ends."""

import dataclasses
import random

from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.extract.sweep import MAX_EMPTY_PAGES, MAX_REREADS, MAX_WIDTH, PageFacts, Sweep, advance, next_pages


def digest_of(rows):
    return hash(tuple(rows)) if rows else 0


class Shelf:
    """A list as the platform may serve it, still unless `move` changes its rows between two responses."""

    def __init__(self, length, *, limit=100, has_total=True, past_end="empty", echoes=True, last_page_no=None):
        self.rows = list(range(length))
        self.limit, self.has_total, self.past_end, self.echoes, self.last_page_no = (
            limit,
            has_total,
            past_end,
            echoes,
            last_page_no,
        )

    def serve(self, page_no, page_size):
        size = min(page_size, self.limit)
        rows = self.rows[page_no * size : (page_no + 1) * size]
        is_refused = (self.past_end == "error" and not rows and page_no > 0) or (
            self.last_page_no is not None and page_no > self.last_page_no
        )
        if is_refused:
            return [], PageFacts(page_no, 0, is_beyond_limit=True)
        total = len(self.rows) if self.has_total else None
        echo = {"echoed_page_no": page_no, "echoed_page_size": size} if self.echoes else {}
        return rows, PageFacts(page_no, len(rows), total, digest=digest_of(rows), **echo)


def read(shelf, page_size, *, between=lambda: None, most=5_000):
    """Sweep a shelf; returns the final state, the rows met, and every batch with the state it left."""
    state, met, batches = Sweep(page_size), set(), []
    while pages := next_pages(state):
        facts = []
        for page_no in pages:
            rows, fact = shelf.serve(page_no, state.page_size)
            met.update(rows)
            facts.append(fact)
            between()
        state = advance(state, facts)
        batches.append((pages, facts, state))
        assert state.calls <= most, "does not end"
    return state, met, batches


shelves = st.builds(
    Shelf,
    st.integers(0, 700),
    limit=st.integers(1, 100),
    has_total=st.booleans(),
    past_end=st.sampled_from(["empty", "error"]),
    echoes=st.booleans(),
)


@given(shelves, st.integers(1, 100))
@example(Shelf(0), 100)
@example(Shelf(100), 100)
@example(Shelf(101), 100)
@example(Shelf(1, limit=1), 100)
@example(Shelf(5, limit=2, has_total=False, past_end="error"), 4)
def test_every_row_of_a_still_list_is_met(shelf, page_size):
    state, met, _ = read(shelf, page_size)
    assert met == set(shelf.rows)
    assert state.is_done
    assert not state.gave_up


@given(st.integers(0, 2_000), st.integers(1, 100))
def test_a_still_list_with_a_total_is_read_in_as_many_calls_as_it_has_pages(length, page_size):
    state, _, _ = read(Shelf(length), page_size)
    assert state.calls == max(1, -(-length // page_size))
    assert not state.hit_ceiling


@given(st.integers(1, 700), st.integers(1, 100), st.booleans())
def test_a_smaller_page_than_asked_for_costs_few_extra_calls(length, limit, echoes):
    state, met, _ = read(Shelf(length, limit=limit, echoes=echoes), 100)
    assert met == set(range(length))
    assert state.calls <= -(-length // min(limit, 100)) + MAX_REREADS + 1


@given(st.integers(101, 700), st.integers(0, 6))
def test_a_refusal_before_the_total_is_a_ceiling_and_after_it_is_the_end(length, last_page_no):
    state, met, _ = read(Shelf(length, last_page_no=last_page_no), 100)
    is_all = (last_page_no + 1) * 100 >= length
    assert state.hit_ceiling is not is_all
    assert met == set(range(min(length, (last_page_no + 1) * 100)))


@given(
    st.integers(0, 2**32),
    st.integers(0, 600),
    st.integers(1, 100),
    st.floats(0, 0.2),
    st.floats(0, 3),
    st.sampled_from(["front", "back", "anywhere"]),
)
def test_a_list_that_moves_is_read_to_an_end_in_bounded_calls(seed, length, page_size, growth, removals, where):
    """`growth`: pages by which the list grows with each call; from a quarter on nobody can keep up (the next test)."""
    chance, shelf = random.Random(seed), Shelf(length)
    insertions = growth * page_size
    fresh = iter(range(10_000, 10**9))
    longest = length

    def move():
        nonlocal longest
        for _ in range(int(chance.random() * 2 * removals)):
            if shelf.rows:
                shelf.rows.pop(chance.randrange(len(shelf.rows)))
        for _ in range(int(chance.random() * 2 * insertions)):
            place = {"front": 0, "back": len(shelf.rows), "anywhere": chance.randint(0, len(shelf.rows))}[where]
            shelf.rows.insert(place, next(fresh))
        longest = max(longest, len(shelf.rows))

    state, _, _ = read(shelf, page_size, between=move)
    assert state.calls <= 4 * (-(-longest // page_size) + 50) + 4 * MAX_WIDTH


def test_a_list_that_grows_faster_than_it_can_be_read_is_given_up():
    shelf = Shelf(300)
    state, _, _ = read(
        shelf,
        10,
        between=lambda: (
            shelf.rows.insert(0, len(shelf.rows)) or shelf.rows.insert(0, -len(shelf.rows)) or shelf.rows.insert(0, 0.5)
        ),
    )
    assert state.gave_up


@given(st.integers(0, 2**32), st.integers(100, 900), st.integers(5, 100))
def test_no_row_that_was_there_all_along_is_lost_when_tasks_are_only_added_ahead(seed, length, page_size):
    chance, shelf = random.Random(seed), Shelf(length)
    fresh = iter(range(10_000, 10**9))

    def move():
        if chance.random() < 0.3:
            shelf.rows.insert(0, next(fresh))

    state, met, _ = read(shelf, page_size, between=move)
    assert state.gave_up or set(range(length)) <= met


@given(st.integers(0, 2**32), st.integers(1, 100))
def test_whatever_a_server_answers_a_sweep_ends(seed, page_size):
    chance = random.Random(seed)
    lengths = [chance.randrange(0, 1_000) for _ in range(chance.randint(1, 4))]

    class Liar:
        def serve(self, page_no, asked):
            if chance.random() < 0.05:
                return [], PageFacts(page_no, 0, is_beyond_limit=True)
            total = chance.choice([None, *lengths])
            records = chance.choice([0, 1, asked, asked, asked, chance.randint(0, asked)])
            echo = {
                "echoed_page_no": chance.choice([None, page_no, page_no, page_no + 1]),
                "echoed_page_size": chance.choice([None, asked, chance.randint(1, 200), 0]),
            }
            return [], PageFacts(page_no, records, total, digest=chance.randrange(4), **echo)

    state, _, _ = read(Liar(), page_size)
    assert state.is_done


@given(st.integers(0, 2**32), st.integers(200, 2_000))
def test_several_requests_are_in_flight_only_while_the_list_is_calm(seed, length):
    chance, shelf = random.Random(seed), Shelf(length)

    def move():
        if chance.random() < 0.1:
            shelf.rows.append(10_000 + len(shelf.rows))

    _, _, batches = read(shelf, 20, between=move)
    known = None
    for (pages, facts, state), following in zip(batches, [*batches[1:], None], strict=True):
        assert len(pages) <= MAX_WIDTH
        known = facts[0].total if known is None else known
        if any(fact.total != known for fact in facts) and following:
            assert len(following[0]) <= max(1, len(pages) // 2)
        known = state.total


def test_a_shrinking_list_is_read_again_from_before_the_gap():
    state = advance(Sweep(100), [PageFacts(0, 100, 1_000, digest=1)])
    state = advance(state, [PageFacts(number, 100, 1_000, digest=10 + number) for number in next_pages(state)])
    pages = next_pages(state)
    state = advance(state, [PageFacts(number, 100, 750, digest=20 + number) for number in pages])
    assert next_pages(state)[0] == max(0, pages[0] - 1 - 3)


def test_an_empty_page_in_the_middle_ends_nothing():
    shelf = Shelf(500)
    honest, faults = shelf.serve, iter([2, 3])

    def serve(page_no, size):
        rows, facts = honest(page_no, size)
        if page_no == 2 and next(faults, None):
            return [], PageFacts(page_no, 0, 500, echoed_page_no=page_no, echoed_page_size=100)
        return rows, facts

    shelf.serve = serve
    state, met, _ = read(shelf, 100)
    assert met == set(range(500))
    assert state.calls < 20


def test_a_total_that_is_far_too_large_keeps_no_sweep_running():
    shelf = Shelf(250)
    honest = shelf.serve

    def serve(page_no, size):
        rows, facts = honest(page_no, size)
        return rows, dataclasses.replace(facts, total=2**31 - 1)

    shelf.serve = serve
    state, met, _ = read(shelf, 100)
    assert met == set(range(250))
    assert state.gave_up
    assert state.empty_pages == MAX_EMPTY_PAGES
    assert state.calls < 100
