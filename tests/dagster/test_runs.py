"""Real runs of the job on an ephemeral instance, against a simulator in a process of its own."""

import inspect
import logging
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from iodm_assets.definitions import defs
from iodm_assets.failures import failures
from iodm_assets.specs import PAGE_MARTS
from pipelines.errors import PlatformError, SettingsError
from pipelines.models import Model, load
from pipelines.page import make_page
from pipelines.progress import Silent
from pipelines.report import query, snapshot_of
from pipelines.run import release, rollback
from pipelines.settings import load_settings
from pipelines.tables import TABLES


def run(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def("sync_operations").execute_in_process(instance=instance, raise_on_error=False)


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, object]]:
    return {
        event.asset_key.to_user_string(): {
            name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
    }


def versions_of(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    return {
        event.asset_key.to_user_string(): event.step_materialization_data.materialization.tags["dagster/data_version"]
        for event in result.get_asset_materialization_events()
    }


def failure_of(result: dg.ExecuteInProcessResult, step: str) -> dg.Failure:
    [event] = [each for each in result.all_events if each.is_step_failure and each.step_key == step]
    return event.step_failure_data.user_failure_data


def test_a_run_says_what_it_read_and_how_far_to_trust_it(first_run):
    assert first_run.result.success
    read = metadata_of(first_run.result)["raw/operations"]
    assert read["grade"] == "counted"
    assert read["evidence"] == "300 tasks known, 300 there after the reading"
    assert read["total_after"] == 300
    assert read["sync_id"] == 1
    assert read["calls"] >= read["pages"] >= 4
    assert read["waited_minutes"] >= 0
    assert read["duration_seconds"] > 0


def test_every_published_table_says_its_rows_and_where_they_came_from(first_run):
    metadata = metadata_of(first_run.result)
    marts = [model for model in load("marts").values() if model.is_relation]
    views = {f"marts/{model.name}" for model in marts if model.header.get("relation") == "view"}
    assert len(metadata) == 1 + len(TABLES) + len(marts) + 1 + 1
    del metadata["raw/operations"], metadata["reports/upgrade_report"]
    for relation, values in metadata.items():
        [(rows,)] = query(first_run.warehouse, f"select count(*) from {relation.replace('/', '.')}").rows
        assert values.get("dagster/row_count") == (None if relation in views else rows), relation
        assert values["file"] == str(first_run.warehouse.served_file())
        assert (values["publication"], values["sync_id"], values["grade"]) == (1, 1, "counted")
        assert values["evidence"] == "300 tasks known, 300 there after the reading"
        assert values["changed_months"] == ["2026-03"]
        assert values["duration_seconds"] > 0


def test_an_unchanged_table_keeps_its_version_and_a_changed_one_gets_another(
    first_run, after_first_run, instance, start_platform
):
    simulator = start_platform()
    first, second = versions_of(first_run.result), versions_of(run(instance))
    assert {relation for relation in first if first[relation] != second[relation]} <= {
        *("raw/operations", "core/syncs", "marts/snapshot", "marts/lake_months", "marts/data_quality"),
        "reports/upgrade_report",
        *("marts/stalled_operations", "marts/success_at_age", "marts/rollouts_at_equal_age"),  # they tell the time
    }
    simulator.advance(3600)
    third = versions_of(run(instance))
    assert {"core/operations", "marts/progress_curves", "marts/success_by_day"} <= {
        relation for relation in first if third[relation] != second[relation]
    }


def test_the_report_page_is_made_of_what_was_published_and_says_its_rate(first_run):
    warehouse = first_run.warehouse
    values = metadata_of(first_run.result)["reports/upgrade_report"]
    [(rate, verdict)] = query(warehouse, "select success_rate, verdict from marts.success_overall").rows
    assert (values["success_rate"], values["verdict"], values["publication"]) == (rate, verdict, 1)
    page = warehouse.report_page.read_text()
    assert (values["file"], values["bytes"]) == (str(warehouse.report_page), len(page.encode()))
    assert f'id="rate">{rate:.1%}<' in page
    assert 'id="age">' in page


def test_the_report_page_reads_the_marts_that_it_is_said_to_be_made_of():
    text = Path(inspect.getsourcefile(make_page)).read_text() + inspect.getsource(snapshot_of)
    marts = [name for name, model in load("marts").items() if model.is_relation]
    assert {name for name in [*marts, "data_quality"] if f'"{name}"' in text or f"marts.{name}" in text} == set(
        PAGE_MARTS
    )


def test_months_say_which_sync_last_rewrote_them(after_first_run, instance):
    table = metadata_of(run(instance))["core/operations"]["months"]
    assert [record.data["last_sync_id"] for record in table.records] == ["1"] * len(table.records)


def test_a_table_that_lost_rows_fails_its_check(after_first_run, instance):
    instance.report_runless_asset_event(
        dg.AssetMaterialization(dg.AssetKey(["core", "operations"]), metadata={"dagster/row_count": 301})
    )
    drops = {
        each.asset_key.to_user_string(): each.passed
        for each in run(instance).get_asset_check_evaluations()
        if each.check_name == "rows_do_not_drop"
    }
    assert drops == {"core/operations": False, "core/operation_history": True, "core/syncs": True}


def test_columns_of_marts_have_the_types_and_comments_of_the_file(first_run):
    schema = metadata_of(first_run.result)["marts/success_by_day"]["dagster/column_schema"]
    columns = {column.name: (column.type, column.description) for column in schema.columns}
    assert columns["created_date"] == ("DATE", "day of creation, UTC")
    assert columns["success_rate"][0] == "DOUBLE"
    assert all(description for _, description in columns.values())


def test_every_check_is_reported_with_its_offending_rows(instance, warehouse, start_platform):
    start_platform(broken=0.01)
    result = run(instance)
    assert result.success
    evaluations = {each.check_name: each for each in result.get_asset_check_evaluations()}
    assert set(evaluations) == {*load("checks"), "rows_do_not_drop"}
    empty = evaluations["quarantine_is_empty"]
    [(quarantined,)] = query(warehouse, "select count(*) from core.quarantine").rows
    assert (empty.passed, empty.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert empty.metadata["offending_rows"].value == quarantined > 0
    assert empty.metadata["sample"].records[0].data.keys() == {"operation_id", "reason", "last_sync_id"}


def test_a_refused_publication_reports_its_checks_but_no_table_and_what_was_served_stays(
    after_first_run, instance, warehouse, start_platform
):
    served = warehouse.served_file()
    start_platform(broken=0.3)
    result = run(instance)
    assert not result.success
    assert set(metadata_of(result)) == {"raw/operations"}
    evaluations = {each.check_name: each for each in result.get_asset_check_evaluations()}
    assert set(evaluations) == set(load("checks"))
    small = evaluations["quarantine_is_small"]
    assert (small.passed, small.severity) == (False, dg.AssetCheckSeverity.ERROR)
    failure = failure_of(result, "publish")
    assert "sql/checks/quarantine_is_small.sql" in failure.description
    assert failure.metadata["check"].value == "sql/checks/quarantine_is_small.sql"
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    assert warehouse.served_file() == served


@pytest.mark.parametrize("kind", ["macros", "marts", "checks"])
def test_a_query_that_fails_is_named_with_its_text_and_nothing_looks_materialized(
    after_first_run, instance, warehouse, monkeypatch, tmp_path, kind
):
    served = warehouse.served_file()
    broken = Model("broken", tmp_path / kind / "broken.sql", "select no_such_column from core.operations", "", {})
    broken = replace(broken, header={"severity": "error", "share of": "core.operations"})
    monkeypatch.setitem(load(kind), "broken", broken)
    result = run(instance)
    assert not result.success
    assert set(metadata_of(result)) == {"raw/operations"}
    failure = failure_of(result, "publish")
    assert f"sql/{kind}/broken.sql failed" in failure.description
    assert failure.metadata["query"].value == f"sql/{kind}/broken.sql"
    assert "no_such_column" in failure.metadata["sql"].value
    assert warehouse.served_file() == served


def test_the_run_after_a_refused_one_heals_it(instance, warehouse, start_platform):
    start_platform(broken=0.15)
    assert not run(instance).success
    start_platform()
    result = run(instance)
    assert result.success
    assert metadata_of(result)["core/operations"]["dagster/row_count"] == 300


def test_a_refused_login_fails_the_run_at_once_with_advice_and_no_secret(after_first_run, instance, monkeypatch):
    monkeypatch.setenv("IODM_SECRET", "not-the-secret")
    result = run(instance)
    assert not result.success
    failure = failure_of(result, "raw__operations")
    assert failure.metadata["advice"].value in failure.description
    assert not metadata_of(result)
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    assert not [event for event in result.all_events if "not-the-secret" in str(event)]


def test_a_wrong_setting_fails_the_run_and_is_named(after_first_run, instance, monkeypatch):
    monkeypatch.setenv("IODM_PAGE_SIZE", "1000")
    assert "IODM_PAGE_SIZE" in failure_of(run(instance), "raw__operations").description


def test_one_table_can_not_be_published_without_the_others(instance, warehouse):
    with pytest.raises(dg.DagsterInvalidSubsetError):
        defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection={dg.AssetKey(["core", "operations"])})


@pytest.mark.parametrize(
    ("is_retryable", "retry_number", "is_tried_again"),
    [(True, 0, True), (True, 1, True), (True, 2, False), (False, 0, False)],
)
def test_only_what_waiting_may_help_is_tried_again_and_not_for_ever(is_retryable, retry_number, is_tried_again):
    with pytest.raises((dg.Failure, dg.RetryRequested)) as caught, failures(retry_number):
        raise PlatformError(
            "the platform did not answer", advice="Try later", is_retryable=is_retryable, url="https://p"
        )
    assert isinstance(caught.value, dg.RetryRequested) == is_tried_again
    failure = caught.value.__cause__ if is_tried_again else caught.value
    assert failure.description == "the platform did not answer. Try later"
    assert failure.metadata["url"].value == "https://p"


def test_what_is_no_error_of_ours_stays_what_it_is():
    with pytest.raises(ZeroDivisionError), failures():
        _ = 1 / 0
    with pytest.raises(dg.Failure), failures():
        raise SettingsError("wrong", advice="Correct it")


def test_while_held_a_run_reads_and_succeeds_and_nothing_looks_published(after_first_run, instance, warehouse):
    assert run(instance).success
    rollback(load_settings())
    served = warehouse.served_file()
    before = {key: instance.get_latest_materialization_event(key) for key in instance.all_asset_keys()}
    result = run(instance)
    assert result.success
    assert set(metadata_of(result)) == {"raw/operations"}
    changed = {
        key.to_user_string()
        for key in instance.all_asset_keys()
        if instance.get_latest_materialization_event(key) != before[key]
    }
    assert changed == {"raw/operations"}
    assert {each.check_name for each in result.get_asset_check_evaluations()} == {*load("checks"), "rows_do_not_drop"}
    [warning] = [
        record.user_message
        for record in instance.all_logs(result.run_id)
        if record.level == logging.WARNING and "Nothing was published" in record.user_message
    ]
    assert "iodm rollback --release" in warning
    assert warehouse.served_file() == served
    release(load_settings(), Silent())
    assert len(metadata_of(run(instance))) > 1
