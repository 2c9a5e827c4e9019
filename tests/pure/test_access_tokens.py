"""Access tokens: one login at a time, renewal before the end, and giving up when somebody else keeps killing them."""

import threading
import time
import traceback

import pytest

from pipelines.errors import PlatformError
from pipelines.platform.tokens import Grant, Tokens
from simulator.faults import Fault, Match
from support.clock import Clock

REFRESH = Match(kind="refresh")


@pytest.fixture
def tokens_of():
    return lambda site, fixed=None: Tokens(site.client, fixed, clock=site.clock)


def logins(site):
    statistics = site.platform.statistics()
    return statistics["logins"], statistics["refreshes"]


def together(count, function):
    results = []
    threads = [threading.Thread(target=lambda: results.append(function())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_many_workers_share_one_login(make_site, tokens_of):
    site = make_site()
    tokens = tokens_of(site)
    assert len(set(together(16, tokens.current))) == 1
    assert logins(site) == (1, 0)


class Refusing:
    """A platform that takes its time to refuse a login."""

    logins = 0

    def log_in(self):
        self.logins += 1
        time.sleep(0.3)
        raise PlatformError("refused", advice="")

    def refresh(self, refresh_token):
        raise NotImplementedError


def test_who_waited_for_a_login_that_failed_does_not_try_another_one():
    platform = Refusing()
    tokens = Tokens(platform)

    def attempt():
        with pytest.raises(PlatformError):
            tokens.current()

    together(8, attempt)
    assert platform.logins == 1
    attempt()
    assert platform.logins == 2


def test_a_dead_token_is_replaced_once_however_many_workers_noticed(make_site, tokens_of):
    site = make_site()
    tokens = tokens_of(site)
    dead = tokens.current()
    assert set(together(16, lambda: tokens.replace(dead))) == {tokens.current()}
    assert tokens.current() != dead
    assert logins(site) == (2, 0)


def test_a_token_that_was_replaced_meanwhile_is_not_replaced_again(make_site, tokens_of):
    site = make_site()
    tokens = tokens_of(site)
    dead = tokens.current()
    newer = tokens.replace(dead)
    assert tokens.replace(dead) == newer
    assert logins(site) == (2, 0)


def test_a_token_is_refreshed_two_minutes_before_its_end(make_site, tokens_of):
    site = make_site(token_life=3600)
    tokens = tokens_of(site)
    first = tokens.current()
    site.clock.advance(3600 - 121)
    assert tokens.current() == first
    site.clock.advance(2)
    assert tokens.current() != first
    assert logins(site) == (1, 1)


@pytest.mark.parametrize("life", [1, 10, 300])
def test_a_token_of_a_short_life_is_used_for_most_of_it(make_site, tokens_of, life):
    site = make_site(token_life=life)
    tokens = tokens_of(site)
    first = tokens.current()
    site.clock.advance(life * 0.85)
    assert tokens.current() == first
    site.clock.advance(life * 0.1)
    assert tokens.current() != first


@pytest.mark.parametrize("kind", ["fixed", "rotating", "null"])
def test_renewal_works_with_every_kind_of_refresh_token(make_site, tokens_of, kind):
    site = make_site(refresh_token=kind)
    tokens = tokens_of(site)
    tokens.current()
    for _ in range(3):
        site.clock.advance(3590)
        tokens.current()
    assert logins(site) == ((4, 0) if kind == "null" else (1, 3))


@pytest.mark.parametrize("code", ["100208", "50400"])
def test_a_refused_refresh_ends_in_a_login(make_site, tokens_of, code):
    site = make_site(Fault("error_code", REFRESH, status=401, error_code=code))
    tokens = tokens_of(site)
    tokens.current()
    site.clock.advance(3590)
    tokens.current()
    assert logins(site) == (2, 1)


def test_three_tokens_killed_within_ten_minutes_mean_another_program(make_site, tokens_of):
    site = make_site()
    tokens = tokens_of(site)
    for _ in range(2):
        tokens.replace(tokens.current())
        site.clock.advance(200)
    with pytest.raises(PlatformError, match="Another program") as caught:
        tokens.replace(tokens.current())
    assert caught.value.is_retryable
    assert caught.value.exit_code == 3


def test_tokens_killed_now_and_then_are_replaced_for_ever(make_site, tokens_of):
    site = make_site()
    tokens = tokens_of(site)
    for _ in range(10):
        tokens.replace(tokens.current())
        site.clock.advance(301)
    assert logins(site)[0] == 11


def test_a_token_that_merely_ended_was_not_killed(make_site, tokens_of):
    site = make_site(token_life=60)
    tokens = tokens_of(site)
    for _ in range(8):
        old = tokens.current()
        site.clock.advance(60)
        tokens.replace(old)


def test_a_given_token_never_logs_in_and_is_not_replaced(make_site, tokens_of):
    site = make_site()
    tokens = tokens_of(site, "given-token")
    assert tokens.current() == "given-token"
    site.clock.advance(10**6)
    assert tokens.current() == "given-token"
    with pytest.raises(PlatformError, match="IODM_ACCESS_TOKEN") as caught:
        tokens.replace("given-token")
    assert "given-token" not in str(caught.value)
    assert logins(site) == (0, 0)


class Granting:
    """A platform whose tokens are as given: the first by a login, the second by a refresh."""

    def __init__(self, login, refresh="unused"):
        self.tokens = login, refresh

    def log_in(self):
        return Grant(self.tokens[0], "r3fresh")

    def refresh(self, refresh_token):
        assert refresh_token == "r3fresh"
        return Grant(self.tokens[1])


def test_the_blanks_and_line_breaks_around_a_token_are_no_part_of_it():
    clock = Clock()
    tokens = Tokens(Granting(" t0ken\r\n", "\tn3wer "), clock=clock)
    assert tokens.current() == "t0ken"
    clock.advance(3590)
    assert tokens.current() == "n3wer"


@pytest.mark.parametrize("unfit", ["t0ken\u0142", "t0ken\x07", "t0ken\nx: y", "t0ken\u2019", " \n"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(unfit):
    clock = Clock()
    refreshed = Tokens(Granting("first", unfit), clock=clock)
    refreshed.current()
    clock.advance(3590)
    for tokens in (Tokens(Granting(unfit)), refreshed):
        with pytest.raises(PlatformError, match="IODM_ACCESS_TOKEN") as caught:
            tokens.current()
        assert caught.value.exit_code == 3
        assert "t0ken" not in "".join(traceback.format_exception(caught.value))


def test_a_grant_shows_no_token():
    assert "t0ken" not in f"{Grant('t0ken', 'r3fresh')!r} {Grant('t0ken', 'r3fresh')}"
    assert "r3fresh" not in repr(Grant("t0ken", "r3fresh"))
