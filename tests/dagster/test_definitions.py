"""What Dagster loads: the graph as a committed snapshot, and that loading it needs nothing.

After a wanted change of the graph: `python tests/dagster/test_definitions.py > tests/dagster/asset_graph.txt`
"""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from iodm_assets.definitions import defs
from iodm_assets.resources import SettingsResource
from iodm_assets.specs import code_version, relations_in, with_named
from pipelines.models import Model, load
from pipelines.tables import TABLES

SNAPSHOT = Path(__file__).with_name("asset_graph.txt")


def drawn() -> str:
    """The graph as text: assets with group, kinds, what they are made from and their checks; jobs and schedules."""
    graph = defs.resolve_asset_graph()
    lines = []
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        lines.append(f"{key.to_user_string()} ({node.group_name}: {', '.join(sorted(node.kinds))})")
        lines += [f"    from {parent.to_user_string()}" for parent in sorted(node.parent_keys)]
        lines += [f"    check {check.name}" for check in sorted(graph.get_check_keys_for_assets({key}))]
    for job in defs.jobs or []:
        steps = defs.resolve_job_def(job.name).graph.node_names()
        lines.append(f"job {job.name}: {', '.join(sorted(steps))}")
    lines += [f"schedule {each.name}: {each.cron_schedule} {each.execution_timezone}" for each in defs.schedules or []]
    return "\n".join(lines)


def model(name: str, sql: str) -> Model:
    return Model(name, Path(f"{name}.sql"), sql, "", {})


def test_the_asset_graph_is_the_committed_one():
    assert drawn() == SNAPSHOT.read_text().strip(), f"if the change is wanted, see {Path(__file__).name}"


def test_every_definition_is_valid():
    dg.Definitions.validate_loadable(defs)


def test_loading_needs_no_setting_and_makes_no_file(tmp_path):
    wrong = {
        "IODM_BASE_URL": "nonsense",
        "IODM_CALLS_PER_MINUTE": "many",
        "IODM_WAREHOUSE": str(tmp_path / "warehouse"),
    }
    code = "import iodm_assets.definitions"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **wrong}, cwd=tmp_path, check=True)
    assert list(tmp_path.iterdir()) == []


def test_every_table_of_the_published_file_is_an_asset_of_one_step():
    [published] = [each for each in defs.assets if isinstance(each, dg.AssetsDefinition) and len(list(each.keys)) > 1]
    keys = {key.to_user_string() for key in published.keys}
    marts = {name for name, each in load("marts").items() if each.is_relation}
    assert keys == {f"core/{table.name}" for table in TABLES} | {f"marts/{name}" for name in {*marts, "data_quality"}}
    assert not published.can_subset


def test_every_check_has_a_spec_that_says_whether_it_blocks():
    graph = defs.resolve_asset_graph()
    names = {key.name for key in graph.asset_check_keys}
    assert names == {*load("checks"), "rows_do_not_drop"}
    for key in graph.asset_check_keys:
        if key.name == "rows_do_not_drop":
            continue
        says_so = "nothing is published" in graph.get(key).description
        assert says_so == (load("checks")[key.name].header["severity"] == "error")


def test_core_columns_are_those_of_the_registry():
    for table in TABLES:
        spec = defs.resolve_asset_graph().get(dg.AssetKey(["core", table.name]))
        columns = spec.metadata["dagster/column_schema"].columns
        assert [(each.name, each.type, each.constraints.nullable) for each in columns] == [
            (each.name, each.duckdb_type, each.nullable) for each in table.columns
        ]


def test_a_query_reads_the_tables_that_its_code_names_in_their_order():
    sql = "-- about core.syncs\nselect 1 -- of marts.snapshot\nfrom marts.a join core.b join marts.a"
    assert relations_in(sql) == ["marts/a", "core/b"]


def test_a_mart_has_another_version_when_a_macro_that_a_macro_calls_changes():
    outer, before, after = (
        model("outer_macro", "inner_macro(x)"),
        model("inner_macro", "x"),
        model("inner_macro", "x+1"),
    )
    versions = [
        code_version(*with_named("select outer_macro(1)", {"outer_macro": outer, "inner_macro": inner}))
        for inner in (before, after)
    ]
    assert versions[0] != versions[1]


def test_a_mart_keeps_its_version_when_a_macro_that_it_does_not_call_changes():
    versions = {code_version(*with_named("select 1", {"other": model("other", text)})) for text in ("x", "y")}
    assert len(versions) == 1


def test_without_a_platform_the_demo_is_read_and_the_real_warehouse_is_left_alone(warehouse):
    settings = SettingsResource().load()
    assert settings.base_url == "http://127.0.0.1:8743"
    assert settings.warehouse == warehouse.root / "demo"
    assert not warehouse.root.exists()


def test_settings_are_read_when_they_are_asked_for(warehouse, monkeypatch: pytest.MonkeyPatch):
    resource = SettingsResource()
    monkeypatch.setenv("IODM_BASE_URL", "https://platform.example:8743")
    assert resource.load().base_url == "https://platform.example:8743"
    assert resource.warehouse() == warehouse


if __name__ == "__main__":
    sys.stdout.write(drawn() + "\n")
