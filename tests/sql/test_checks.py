"""Every check of `sql/checks` has a case that fails it; a sound warehouse passes them all."""

import pytest

from pipelines.checks import CheckFailedError, refuse_if_failed, run_checks
from pipelines.models import load
from support.core import Core


@pytest.fixture(scope="module")
def prepared():
    """A sound warehouse that passes every check."""
    core = sound(Core()).marts()
    yield core
    core.connection.close()


@pytest.fixture
def core(prepared):
    """The same, to be spoiled by one test."""
    prepared.connection.begin()
    yield prepared
    prepared.connection.rollback()


def sound(core):
    core.sync(1)
    core.task("a", success=1, fail=1, started_at="2026-03-01 08:00:00", stopped_at="2026-03-01 08:00:00")
    core.task("b", wait=2, status="wait", status_text="wait")
    core.insert("operation_targets", operation_id="a", target_type="device", position=0, target_id="d")
    core.insert("operation_targets", operation_id="a", target_type="device", position=1, target_id="d")
    core.insert("operation_targets", operation_id="a", target_type="device_group", position=0, target_id="g")
    core.insert("operation_policies", operation_id="a", execute_type="now")
    for sync_id in (1, 2):
        core.insert(
            "operation_history", operation_id="a", observed_at="2026-03-04 12:00:00", sync_id=sync_id, status="wait"
        )
    return core


def quarantine(core, count):
    for number in range(count):
        core.insert("quarantine", operation_id=f"q{number}", first_sync_id=1, last_sync_id=1, reason="r", record="x")


def duplicate(core, table, **values):
    for _ in range(2):
        core.insert(table, operation_id="b", **values)


def spoil_rates(core):
    core.connection.execute("update marts.success_by_day set success_rate = 1.5")


def a_week_later(core):
    return core.sync(2, finished_at="2026-03-20 00:00:00")


def fleet_without_models(core):
    for number in range(60):
        is_recent = number % 2
        created_at = "2026-03-19 00:00:00" if is_recent else "2026-03-10 00:00:00"
        core.task(f"n{number}", created_at=created_at, model=None if is_recent and number < 20 else "NB-1")
    with_outcomes(core)


def remake(core):
    """The marts that a check reads, made of what the core tables hold now."""
    with_outcomes(core).connection.execute(
        "create or replace table marts.counter_identities as from marts.counter_identities_between(null, null)"
    )


def with_outcomes(core):
    core.connection.execute("delete from marts.operation_outcomes")
    core.connection.execute(f"insert into marts.operation_outcomes {load('marts')['operation_outcomes'].sql}")
    return core


SPOILERS = {
    "counters_add_up": [lambda core: core.task("x", success=1, total=9)],
    "counters_are_not_negative": [
        lambda core: core.task("x", success=-1, total=-1),
        lambda core: core.task("x").result("x", fail_as_received=-1),
    ],
    "coverage_is_known": [lambda core: core.connection.execute("update marts.snapshot set grade = 'unproven'")],
    "fields_are_readable": [lambda core: core.task("x", _broken_fields=["policy"])],
    "no_task_ended_before_it_started": [
        lambda core: core.task("x", started_at="2026-03-02", stopped_at="2026-03-01 09:00:00"),
        lambda core: core.task("x", stopped_at="2026-03-01 07:59:59"),
        lambda core: core.task("x", started_at="2026-03-01 07:59:59"),
    ],
    "operations_have_unique_ids": [lambda core: core.task("a")],
    "parts_belong_to_a_task": [
        lambda core: core.insert("operation_targets", operation_id="x", target_type="device", position=0),
        lambda core: core.insert("operation_policies", operation_id="x"),
        lambda core: core.result("x"),
        lambda core: core.insert("operation_history", operation_id="x", sync_id=1),
    ],
    "parts_have_unique_keys": [
        lambda core: duplicate(core, "operation_targets", target_type="device", position=0),
        lambda core: duplicate(core, "operation_policies"),
        lambda core: core.result("a"),
        lambda core: duplicate(core, "operation_history", sync_id=1),
    ],
    "counter_identities": [
        lambda core: remake(
            core.task("x")
            .result("x", fail=2, timeout=1, total=2, timeout_in_fail=True)
            .task("y")
            .result("y", fail=2, timeout=1, timeout_in_fail=False)
        ),
        lambda core: remake(core.task("x", success=1, total=9)),
    ],
    "quarantine_is_empty": [lambda core: quarantine(core, 1)],
    "quarantine_is_small": [lambda core: quarantine(core, 11)],
    "statuses_are_known": [
        lambda core: core.task("x", status="paused"),
        lambda core: core.task("x", status=None),
        lambda core: core.task("x", operation_type="hardware_upgrade"),
        lambda core: core.task("x", operation_type=None),
    ],
    "rates_lie_between_0_and_1": [
        spoil_rates,
        lambda core: core.connection.execute("update marts.success_by_day set clustered_lower = 0.9"),
        lambda core: core.connection.execute("update marts.success_by_day set success_rate_upper = 1.1"),
        lambda core: core.connection.execute("update marts.success_by_day set clustered_lower = -0.1"),
    ],
    "fields_are_documented": [lambda core: core.sync(2, mode="incremental", _undocumented_fields=["policy.newField"])],
    "spellings_are_not_new": [
        lambda core: a_week_later(core).task("x", status_text="Succeeded", _first_observed_at="2026-03-19 00:00:00"),
        lambda core: a_week_later(core).task("x", operation_type="x", _first_observed_at="2026-03-19 00:00:00"),
    ],
    "null_shares_are_stable": [lambda core: fleet_without_models(a_week_later(core))],
    "roll_ups_add_up": [
        lambda core: core.connection.execute("update marts.success_by_week set operations = 3"),
        lambda core: core.connection.execute("delete from marts.success_by_group"),
        lambda core: core.connection.execute("update marts.success_by_model_version set success = 7"),
    ],
}
CASES = [(name, number, spoil) for name, spoils in SPOILERS.items() for number, spoil in enumerate(spoils)]


def test_a_sound_warehouse_passes_every_check(core):
    results = run_checks(core.connection)
    assert {result.name: result.sample for result in results if not result.passed} == {}
    refuse_if_failed(results)


def test_an_empty_warehouse_passes_every_check():
    assert all(result.passed for result in run_checks(Core().sync(1).marts().connection))


def test_every_check_has_a_case_that_fails_it():
    assert set(SPOILERS) == set(load("checks"))


@pytest.mark.parametrize(("name", "number", "spoil"), CASES, ids=[f"{name}-{number}" for name, number, _ in CASES])
def test_a_check_finds_what_it_is_for(core, name, number, spoil):
    spoil(core)
    results = run_checks(core.connection)
    (found,) = (result for result in results if result.name == name)
    assert not found.passed
    assert found.offending_rows >= len(found.sample) >= 1
    if found.severity == "error":
        with pytest.raises(CheckFailedError) as caught:
            refuse_if_failed([found])
        assert (caught.value.check, caught.value.sample) == (name, found.sample)
    else:
        refuse_if_failed([found])


@pytest.mark.parametrize(
    ("broken", "good", "is_refused"),
    [(10, 2, False), (11, 2, True), (11, 208, True), (11, 209, False), (12, 1_000, False)],
)
def test_quarantine_blocks_above_ten_records_and_above_five_percent(core, broken, good, is_refused):
    core.connection.execute("delete from core.operations")
    quarantine(core, broken)
    core.connection.execute(
        "insert into core.operations (operation_id, created_at, _broken_fields) "
        "select range, timestamp '2026-03-01', [] from range(?)",
        [good],
    )
    results = run_checks(core.connection)
    (found,) = (result for result in results if result.name == "quarantine_is_small")
    assert found.passed is not is_refused


def test_what_the_platform_can_send_is_at_most_a_warning():
    errors = {name for name, check in load("checks").items() if check.header["severity"] == "error"}
    assert errors == {
        "counters_are_not_negative",
        "operations_have_unique_ids",
        "parts_belong_to_a_task",
        "parts_have_unique_keys",
        "quarantine_is_small",
        "rates_lie_between_0_and_1",
        "roll_ups_add_up",
    }
