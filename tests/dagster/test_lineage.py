"""Column lineage from the parsed SQL: its ends are columns that there are, and every rate has one."""

import pytest

from iodm_assets.lineage import RAW, lineage_of
from pipelines.models import load
from pipelines.tables import TABLES
from support.core import Core

COUNTS = {"operations", "operations_outside_rates", "peers", "comparisons"}
OF_THE_RUN = {"publication", "published_at", "target_success_rate", "age_hours", "peers_share"}
RELATIONS = [
    *(f"core/{table.name}" for table in TABLES),
    *(f"marts/{name}" for name, model in load("marts").items() if model.is_relation),
]


@pytest.fixture(scope="module")
def columns():
    """The columns of every table of a published file."""
    core = Core().sync(1).marts()
    found: dict[str, list[str]] = {}
    for row in core.rows("select schema_name, table_name, column_name from duckdb_columns() where not internal"):
        found.setdefault(f"{row['schema_name']}/{row['table_name']}", []).append(row["column_name"])
    core.connection.close()
    return found


def sources(relation):
    return {
        column: {(dep.asset_key.to_user_string(), dep.column_name) for dep in deps}
        for column, deps in lineage_of(relation).deps_by_column.items()
    }


@pytest.mark.parametrize("relation", RELATIONS)
def test_what_a_column_is_made_from_exists(columns, relation):
    for column, origins in sources(relation).items():
        assert column in columns[relation]
        for source, name in origins:
            if source == RAW:
                assert name.startswith("record")
            elif not source.startswith("core/_"):
                assert name in columns[source]


@pytest.mark.parametrize("relation", [each for each in RELATIONS if each.startswith("marts/success")])
def test_every_column_of_a_mart_has_a_lineage_unless_it_counts_rows_or_is_a_constant(columns, relation):
    without = set(columns[relation]) - set(sources(relation)) - COUNTS - OF_THE_RUN
    assert without == set()


def test_a_measure_is_made_from_just_the_counters_that_it_needs():
    found = sources("marts/success_by_model")
    outcomes = "marts/operation_outcomes"
    assert found["wait"] == {(outcomes, "wait")}
    assert found["rate_of_total"] == {(outcomes, "success"), (outcomes, "total")}
    assert found["clustered_lower"] == found["verdict"] == {(outcomes, each) for each in ("success", "fail", "timeout")}


def test_core_columns_lead_to_the_record_as_received():
    assert sources("core/operations")["file_version"] == {(RAW, "record.extendPara")}
    assert sources("core/operation_results")["wait"] == {(RAW, "record.staResult.wait")}
    assert sources("core/operation_policies")["start_at"] == {(RAW, "record.policy.startTime")}
