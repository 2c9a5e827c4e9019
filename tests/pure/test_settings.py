"""Settings: each wrong value is named with what to write, and no secret is ever shown."""

import datetime as dt
import pickle
import traceback
from pathlib import Path

import duckdb
import pytest

from pipelines.errors import SettingsError
from pipelines.extract.past import Reading
from pipelines.settings import Settings, load_settings, require_platform

SECRET = "do-not-show-this"


@pytest.fixture(autouse=True)
def _nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # no .env of this machine


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IODM_BASE_URL", "platform:8743"),
        ("IODM_BASE_URL", "ftp://platform"),
        ("IODM_BASE_URL", "https://platform/iodm"),
        ("IODM_BASE_URL", "https://platform:port"),
        ("IODM_BASE_URL", "https://platform:99999"),
        ("IODM_BASE_URL", "https://"),
        ("IODM_BASE_URL", "https://user@platform:8743"),
        ("IODM_BASE_URL", "https://platform:8743?x=1"),
        ("IODM_BASE_URL", "https://platform:8743/?"),
        ("IODM_BASE_URL", "https://platform:8743#a"),
        ("IODM_BASE_URL", "https://plat\tform:8743"),
        ("IODM_BASE_URL", "https://platform :8743"),
        ("IODM_BASE_URL", "https://platform\n:8743"),
        ("IODM_BASE_URL", "https://.platform:8743"),
        ("IODM_BASE_URL", "https://[::1"),
        ("IODM_BASE_URL", "http://platform:8743"),
        ("IODM_BASE_URL", "http://10.0.0.7"),
        ("IODM_BASE_URL", "http://127.0.0.1.example.com"),
        ("IODM_BASE_URL", "http://localhost.example.com"),
        ("IODM_CALLS_PER_MINUTE", "0"),
        ("IODM_CALLS_PER_MINUTE", "many"),
        ("IODM_PAGE_SIZE", "0"),
        ("IODM_PAGE_SIZE", "101"),
        ("IODM_PAGE_SIZE", "ten"),
        ("IODM_TIMEOUT_SECONDS", "0"),
        ("IODM_TIMEOUT_SECONDS", "-1"),
        ("IODM_OPERATION_TYPE", "hardware_upgrade"),
        ("IODM_CA_FILE", "missing.pem"),
        ("IODM_CLIENT_CERT", "missing.pem"),
        ("IODM_CLIENT_KEY", "missing.key"),
        ("IODM_MEMORY_LIMIT", "lots"),
        ("IODM_MEMORY_LIMIT", "1GB'; drop"),
        ("IODM_TARGET_SUCCESS_RATE", "95"),
        ("IODM_TARGET_SUCCESS_RATE", "0"),
        ("IODM_TARGET_SUCCESS_RATE", "nan"),
        ("IODM_MEMORY_LIMIT", "99999999999999999999GB"),
        ("IODM_MEMORY_LIMIT", "\u0661GB"),
        ("IODM_RESUME_HOURS", "inf"),
        ("IODM_RESUME_HOURS", "nan"),
        ("IODM_RESUME_HOURS", "1e11"),
        ("IODM_BASE_URL", "https://*.example.com"),
        ("IODM_APP_ID", "app\u20131"),
        ("IODM_ACCESS_TOKEN", "\u201ctoken\u201d"),
        ("IODM_ACCESS_TOKEN", "one\ntwo"),
        ("IODM_WAREHOUSE", "/data/fleet*"),
        ("IODM_WAREHOUSE", "/data/fleet?"),
        ("IODM_WAREHOUSE", "/data/back\\slash"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as caught:
        load_settings()
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) > len(name) + 20  # says what to write


def test_a_misspelt_name_is_warned_of_once(monkeypatch, caplog, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IODM_MODLE", "MW-310")
    (tmp_path / ".env").write_text("IODM_PAGESIZE=5\nIODM_PAGE_SIZE=5\nOTHER=1\n")
    for _ in range(2):
        assert load_settings().page_size == 5
    assert [line.split()[0] for line in caplog.messages] == ["IODM_MODLE", "IODM_PAGESIZE"]


def test_a_pattern_is_answered_with_an_example(monkeypatch):
    monkeypatch.setenv("IODM_MEMORY_LIMIT", "1gb")
    with pytest.raises(SettingsError, match=r"IODM_MEMORY_LIMIT: write it like '1GB'"):
        load_settings()


def test_the_largest_values_are_of_use(monkeypatch):
    monkeypatch.setenv("IODM_RESUME_HOURS", "100000")
    monkeypatch.setenv("IODM_MEMORY_LIMIT", "9999999.9TiB")
    settings = load_settings()
    assert Reading(1, 1, began_at=dt.datetime.now(dt.UTC)).is_younger(settings.resume_hours, dt.datetime.now(dt.UTC))
    duckdb.connect(config={"memory_limit": settings.memory_limit}).close()


def test_the_blanks_and_line_breaks_around_a_value_are_no_part_of_it(monkeypatch):
    for name, value in {"BASE_URL": "https://platform:8743", "APP_ID": "app-1", "ACCESS_TOKEN": "a-token"}.items():
        monkeypatch.setenv(f"IODM_{name}", f" {value}\n")
    settings = load_settings()
    assert (settings.base_url, settings.app_id) == ("https://platform:8743", "app-1")
    assert settings.access_token.get_secret_value() == "a-token"


def test_the_home_folder_may_be_written_as_a_tilde(monkeypatch):
    monkeypatch.setenv("IODM_WAREHOUSE", "~/fleet")
    assert load_settings().warehouse == Path.home() / "fleet"


def test_several_wrong_values_are_all_named(monkeypatch):
    monkeypatch.setenv("IODM_PAGE_SIZE", "0")
    monkeypatch.setenv("IODM_TIMEOUT_SECONDS", "0")
    with pytest.raises(SettingsError, match=r"IODM_PAGE_SIZE.*IODM_TIMEOUT_SECONDS"):
        load_settings()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8743",
        "http://localhost:8743",
        "http://[::1]:8743",
        "http://127.9.9.9",
        "HTTPS://platform",
        "https://platform:8743",
        "https://10.0.0.7:8743/",
    ],
)
def test_https_goes_anywhere_and_http_only_to_this_machine(monkeypatch, url):
    monkeypatch.setenv("IODM_BASE_URL", url)
    assert load_settings().base_url == url.rstrip("/")


def test_a_key_without_its_certificate_is_refused(tmp_path, monkeypatch):
    key = tmp_path / "client.key"
    key.write_text("key")
    monkeypatch.setenv("IODM_CLIENT_KEY", str(key))
    with pytest.raises(SettingsError, match="IODM_CLIENT_CERT"):
        load_settings()


@pytest.mark.parametrize(
    ("known", "missing"),
    [
        ({}, "IODM_BASE_URL"),
        ({"base_url": "https://platform"}, "IODM_APP_ID"),
        ({"base_url": "https://platform", "app_id": "a"}, "IODM_SECRET"),
    ],
)
def test_what_a_sync_lacks_is_named(known, missing):
    with pytest.raises(SettingsError, match=missing):
        require_platform(load_settings(**known))


def test_a_token_is_as_good_as_a_secret():
    require_platform(load_settings(base_url="https://platform", app_id="a", access_token="t"))


def test_an_empty_variable_is_as_good_as_none(monkeypatch):
    monkeypatch.setenv("IODM_BASE_URL", "")
    monkeypatch.setenv("IODM_PAGE_SIZE", "")
    assert load_settings().base_url is None
    assert load_settings().page_size == 100


def test_settings_come_from_a_file_too_and_the_environment_wins(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("IODM_PAGE_SIZE=7\nIODM_APP_ID=from-file\nUNRELATED=1\n")
    monkeypatch.setenv("IODM_APP_ID", "from-environment")
    assert (load_settings().page_size, load_settings().app_id) == (7, "from-environment")


@pytest.mark.parametrize("name", ["IODM_SECRET", "IODM_ACCESS_TOKEN"])
@pytest.mark.parametrize("wrong", [{}, {"IODM_PAGE_SIZE": "0"}, {"IODM_BASE_URL": "http://far"}])
def test_secrets_show_in_no_repr_no_text_and_no_error(monkeypatch, name, wrong):
    for variable, value in {name: SECRET, **wrong}.items():
        monkeypatch.setenv(variable, value)
    try:
        settings = load_settings()
        shown = f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"
    except SettingsError as error:
        shown = "".join(traceback.format_exception(error)) + repr(error) + repr(pickle.dumps(str(error)))
    assert SECRET not in shown


@pytest.mark.parametrize("user", [f":{SECRET}", f"user:{SECRET}", f"{SECRET}:", SECRET, f"user:{SECRET}@more"])
def test_an_address_with_a_user_or_a_password_is_refused_without_showing_it(monkeypatch, user):
    monkeypatch.setenv("IODM_BASE_URL", f"http://{user}@127.0.0.1:8743")
    with pytest.raises(SettingsError, match=r"IODM_BASE_URL.*password") as caught:
        load_settings()
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_filters_are_spelled_as_the_api_spells_them():
    settings = Settings(
        _env_file=None,
        operation_type="firmware_upgrade",
        device_type="d",
        model="m",
        manufacturer_name="n",
        device_id="i",
    )
    assert settings.filters == {
        "operationType": "firmware_upgrade",
        "deviceType": "d",
        "model": "m",
        "manufacturerName": "n",
        "deviceId": "i",
    }
    assert Settings(_env_file=None).filters == {}
