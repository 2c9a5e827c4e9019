"""Only the newest access token is valid, and only for its life."""

import pytest


def test_a_login_kills_the_token_before(make, error):
    client = make()
    first = dict(client.headers)
    client.log_in()
    assert client.get().status_code == 200
    client.headers = first
    assert error(client.get()) == (403, "1010005")


def test_a_refresh_kills_the_token_before_and_gives_a_new_one(make, error):
    client = make()
    answer = client.log_in()
    refreshed = client.refresh(answer["refreshToken"]).json()
    assert set(refreshed) == {"accessToken", "refreshToken", "tokenType", "expiresIn", "scope"}
    assert error(client.get()) == (403, "1010005")
    client.use(refreshed["accessToken"])
    assert client.get().status_code == 200


def test_a_token_dies_at_the_end_of_its_life(make, error):
    client = make(token_life=600)
    assert client.log_in()["expiresIn"] == 600
    client.clock.sleep(599.9)
    assert client.get().status_code == 200
    client.clock.sleep(0.1)
    assert error(client.get()) == (403, "1010005")


def test_a_refresh_token_lives_for_a_day_and_can_be_used_again(make, error):
    client = make()
    token = client.log_in()["refreshToken"]
    client.clock.sleep(86_399)
    assert client.refresh(token).json()["refreshToken"] == token
    client.clock.sleep(1)
    assert error(client.refresh(token)) == (401, "100208")


def test_a_rotating_refresh_token_is_good_for_one_use(make, error):
    client = make(refresh_token="rotating")
    token = client.log_in()["refreshToken"]
    renewed = client.refresh(token).json()["refreshToken"]
    assert error(client.refresh(token)) == (401, "100208")
    assert client.refresh(renewed).status_code == 200


def test_the_refresh_token_can_be_null(make):
    assert make(refresh_token="null").log_in()["refreshToken"] is None


@pytest.mark.parametrize("token_type", ["Bearer", "Bearer ", "bearer"])
def test_the_token_type_is_sent_as_given(make, token_type):
    assert make(token_type=token_type).log_in()["tokenType"] == token_type


def test_another_program_that_logs_in_kills_the_token(make, error):
    client = make()
    client.control.kill_token()
    assert error(client.get()) == (403, "1010005")
