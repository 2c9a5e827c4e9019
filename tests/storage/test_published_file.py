"""The published file and the lake are what the registry and the SQL say: tables, columns, types, descriptions."""

import duckdb
import pyarrow.parquet as pq
import pytest

from pipelines.models import load
from pipelines.tables import TABLES
from support.records import Store, record, without


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("published"))
    store.apply([record("a", createTime="20260131T000000Z"), record("b"), record("broken", createTime=None)])
    return store.warehouse


@pytest.fixture(scope="module")
def served(warehouse):
    with duckdb.connect(str(warehouse.served_file()), read_only=True) as connection:
        yield connection


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_published_tables_are_the_registry(served, table):
    columns = served.execute(
        "select column_name, data_type, is_nullable, comment from duckdb_columns() "
        "where schema_name = 'core' and table_name = ? order by column_index",
        [table.name],
    ).fetchall()
    assert columns == [(column.name, column.duckdb_type, column.nullable, column.comment) for column in table.columns]
    comment = served.execute(
        "select comment from duckdb_tables() where schema_name = 'core' and table_name = ?", [table.name]
    ).fetchall()
    assert comment == [(table.description,)]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_parquet_files_have_the_schema_of_the_registry(warehouse, table):
    files = sorted((warehouse.lake / table.name).rglob("*.parquet"))
    assert files
    for file in files:
        assert pq.read_schema(file).equals(table.file_schema), file
        assert file.relative_to(warehouse.lake / table.name).parts == (
            (file.parent.name, "data.parquet") if table.is_monthly else ("data.parquet",)
        )


def test_every_column_that_is_served_has_a_description(served):
    without = served.execute(
        "select table_name, column_name from duckdb_columns() "
        "where not internal and schema_name = 'marts' and coalesce(comment, '') = ''"
    ).fetchall()
    assert without == []
    tables = served.execute(
        "select table_name from duckdb_tables() where schema_name in ('core', 'marts') and coalesce(comment, '') = ''"
    ).fetchall()
    assert tables == []


def test_every_mart_is_served_under_its_name(served):
    names = {
        name
        for (name,) in served.execute(
            "select table_name from duckdb_tables() where schema_name = 'marts' "
            "union all select view_name from duckdb_views() where schema_name = 'marts'"
        ).fetchall()
    }
    assert {name for name, model in load("marts").items() if model.is_relation} | {"data_quality"} == names


def test_the_file_can_be_opened_by_clients_since_duckdb_1_2(served):
    tags = served.execute("select tags from duckdb_databases() where not internal").fetchall()
    assert "v1.2" in str(tags)


def test_the_key_of_each_report_identifies_its_rows(store):
    texts = ["V1", "V2", None]
    store.apply(
        [
            without(
                record(
                    f"t{number}", extendPara={"fileVersion": texts[number % 3]}, createTime=f"2026030{number}T080000Z"
                ),
                *(["policy"] if number % 2 else []),
            )
            for number in range(1, 9)
        ]
    )
    keys = {name: ", ".join(model.key) for name, model in load("marts").items() if model.key and model.is_relation}
    assert len(keys) > 15
    for mart, key in keys.items():
        assert store.rows(f"select {key} from marts.{mart} group by all having count(*) > 1") == []
