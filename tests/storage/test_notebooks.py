"""The notebooks without a browser: which file they open, what filters let through, that the numbers are the marts'."""

import importlib.util
import json
import sys
from datetime import date
from pathlib import Path

import duckdb
import nbclient
import nbformat
import pytest

from support.records import Store, counters, record
from support.reports import only_reports

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
ODD = 'O\'Brien "x"; drop table core.operations --'


@pytest.fixture(scope="module", autouse=True)
def _only_what_notebooks_show():
    with only_reports(
        *("success_by_model", "success_by_version", "success_by_model_version", "success_by_day", "success_by_week"),
        *("operation_durations", "success_funnel", "weekly_control_chart", "stalled_operations", "progress_curves"),
        "snapshot",
    ):
        yield


def target(model, device_type="WaterMeter", manufacturer="Acme"):
    return {"model": model, "deviceType": device_type, "manufacturerName": manufacturer, "devices": ["d"]}


def tasks():
    """A few tasks of each of some models, two of which have a name in common, and one with none."""
    models = [
        target("NB-1"),
        target("NB-1", manufacturer="Other"),
        target(ODD),
        target(None),
        target("TL", "Tag"),
        target("TL"),
    ]
    return [
        record(
            f"task-{number}-{copy}",
            createTime=f"2026030{1 + copy % 3}T080000Z",
            targets=of,
            staResult=counters(success=17 - number - copy, fail=copy, timeout=number, stop=1),
            extendPara={"fileVersion": version} if (version := ("V1", "V2", None)[copy % 3]) else None,
            operateType="software_upgrade" if copy == 3 else "firmware_upgrade",
        )
        for number, of in enumerate(models)
        for copy in range(6)
    ]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("notebooks"))
    store.apply(tasks())
    return store.warehouse


@pytest.fixture(scope="module")
def notebook():
    """The notebook as a module: its functions, and the app."""
    specification = importlib.util.spec_from_file_location("upgrade_success", NOTEBOOKS / "upgrade_success.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory without settings."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def opened(notebook, published):
    connections = []
    notebook.open_again(connections, published.served_file())
    yield connections
    notebook.open_again(connections, None)


def served(folder, *tasks):
    store = Store(folder)
    store.apply(list(tasks))
    return store.warehouse


def filters(since=None, until=None, models=(), versions=()):
    return {"since": since, "until": until, "models": list(models), "versions": list(versions)}


def test_without_settings_the_demo_is_shown_until_something_else_is_published(notebook, folder):
    assert notebook.find_published() == notebook.Served(folder / "warehouse")
    demo = served(folder / "demo", record())
    (folder / "warehouse").mkdir()
    demo.root.rename(folder / "warehouse" / "demo")
    found = notebook.find_published()
    assert (found.folder, found.is_demo) == (folder / "warehouse" / "demo", True)
    own = served(folder, record())
    assert notebook.find_published() == notebook.Served(own.root, own.served_file())


def test_with_any_setting_the_demo_is_never_shown(notebook, folder, monkeypatch):
    demo = served(folder / "demo", record())
    (folder / "warehouse").mkdir()
    demo.root.rename(folder / "warehouse" / "demo")
    monkeypatch.setenv("IODM_BASE_URL", "https://iot.example.com:8743")
    assert notebook.find_published() == notebook.Served(folder / "warehouse")


def test_a_wrong_setting_is_told(notebook, folder, monkeypatch):
    monkeypatch.setenv("IODM_PAGE_SIZE", "0")
    assert "IODM_PAGE_SIZE" in notebook.find_published().problem


def test_the_next_publication_is_opened_and_the_one_before_is_closed(notebook, tmp_path):
    store = Store(tmp_path)
    store.apply([record()])
    connections = []
    notebook.open_again(connections, store.warehouse.served_file())
    notebook.filtered(connections, filters())
    first = store.warehouse.served_file()
    assert files_open_below(tmp_path) == {first}
    store.apply([record(), record("task-2")])
    connection = notebook.open_again(connections, store.warehouse.served_file())
    assert connection.execute("select count(*) from core.operations").fetchone() == (2,)
    assert files_open_below(tmp_path) == {store.warehouse.served_file()} != {first}
    assert notebook.open_again(connections, None) is None
    assert files_open_below(tmp_path) == set()


def test_a_file_that_is_gone_or_none_is_no_error(notebook, tmp_path):
    assert notebook.open_again([], tmp_path / "gone.duckdb") is None
    (tmp_path / "broken.duckdb").write_bytes(b"no database")
    assert notebook.open_again([], tmp_path / "broken.duckdb") is None


def files_open_below(folder):
    """What this process has open there (Linux)."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return {file for file in (link.readlink() for link in links) if file.is_relative_to(folder)}


def test_every_model_has_a_name_of_its_own_and_no_longer_than_it_needs(opened):
    names = [name for (name,) in opened[0].execute("select model_name from names").fetchall()]
    assert sorted(names) == sorted(["(no model)", "NB-1 Acme", "NB-1 Other", ODD, "TL Tag", "TL WaterMeter"])


@pytest.mark.parametrize(
    ("chosen", "condition"),
    [
        (filters(), "true"),
        (filters(since=date(2026, 3, 2)), "created_at >= timestamp '2026-03-02'"),
        (filters(until=date(2026, 3, 2)), "created_at < timestamp '2026-03-02'"),
        (filters(models=[ODD]), "model like 'O''Brien%'"),
        (filters(models=["(no model)", "NB-1 Other"]), "model is null or manufacturer_name = 'Other'"),
        (filters(versions=["V1", "(no version)"]), "file_version = 'V1' or file_version is null"),
        (filters(models=["TL Tag"], versions=["V2"]), "device_type = 'Tag' and file_version = 'V2'"),
        (filters(models=["unknown"]), "false"),
    ],
)
def test_a_filter_lets_through_what_it_says(notebook, opened, chosen, condition):
    connection = notebook.filtered(opened, chosen)
    found = connection.execute("select operation_id from chosen order by all").fetchall()
    asked = connection.execute(f"select operation_id from marts.operation_outcomes where {condition} order by all")
    assert found == asked.fetchall()


@pytest.fixture(scope="module")
def shown(notebook, published):
    """All that the cells made, without filters."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IODM_WAREHOUSE", str(published.root))
        _, definitions = notebook.app.run()
    yield definitions
    notebook.open_again(definitions["opened"], None)


MEASURES = "operations, total, success, finished, success_rate, clustered_lower, clustered_upper, verdict"


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("rates_by_model", f"select {MEASURES} from marts.success_by_model"),
        ("rates_by_version", f"select {MEASURES} from marts.success_by_version"),
        ("rates_by_model_version", f"select {MEASURES} from marts.success_by_model_version"),
        ("rates_by_day", f"select {MEASURES} from marts.success_by_day"),
        ("rates_by_week", f"select {MEASURES} from marts.success_by_week"),
        ("durations", "select columns('_seconds$|^operations') from marts.operation_durations"),
        ("funnel", "select * from marts.success_funnel where operation_type = 'firmware_upgrade'"),
        ("weeks", "select * from marts.weekly_control_chart where operation_type = 'firmware_upgrade'"),
        ("stalled", "select * from marts.stalled_operations"),
    ],
)
def test_without_filters_the_numbers_are_those_of_the_marts(shown, published, name, sql):
    with duckdb.connect(str(published.served_file()), read_only=True) as connection:
        expected = connection.sql(sql).df()
    columns = [column for column in expected.columns if not (name == "funnel" and column == "model")]
    assert len(shown[name]) == len(expected)
    assert sorted_rows(shown[name][columns]) == sorted_rows(expected[columns])


def sorted_rows(frame):
    """Rows as texts, with as many digits as do not depend on the order of a sum."""
    rows = frame.itertuples(index=False, name=None)
    return sorted([f"{value:.9g}" if isinstance(value, float) else str(value) for value in row] for row in rows)


def test_nothing_published_is_no_error(notebook, folder):
    _, definitions = notebook.app.run()
    assert definitions["file"] is None
    assert "rates_by_model" not in definitions


def test_a_warehouse_without_tasks_is_no_error(notebook, tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.apply([])
    monkeypatch.setenv("IODM_WAREHOUSE", str(store.warehouse.root))
    _, definitions = notebook.app.run()
    notebook.open_again(definitions["opened"], None)
    assert len(definitions["rates_by_model"]) == 0


def test_a_day_that_was_chosen_is_forgotten_where_a_publication_does_not_reach_it(notebook):
    first, last = date(2026, 3, 1), date(2026, 3, 9)
    assert [notebook.day_within(day, first, last) for day in (first, last)] == [first, last]
    assert [notebook.day_within(day, first, last) for day in (date(2026, 2, 28), date(2026, 3, 10), None)] == [None] * 3


def test_progress_takes_the_same_tasks_at_every_age(notebook, tmp_path, monkeypatch):
    """Three tasks followed by hourly syncs: 10 devices each, one more through every hour; a fourth was met too late."""
    store = Store(tmp_path)
    for hour in range(31):
        counts = counters(success=max(0, min(hour - 1, 8)), fail=1 if hour > 4 else 0, total=10)
        store.sync(
            [
                record(f"task-{number}", createTime="20260304T133000Z", status="processing", staResult=counts)
                for number in range(4 if hour > 20 else 3)
            ]
        )
    store.publish()
    monkeypatch.setenv("IODM_WAREHOUSE", str(store.warehouse.root))
    _, definitions = notebook.app.run()
    progress = definitions["progress"].set_index("age_seconds")
    notebook.open_again(definitions["opened"], None)
    assert set(progress.operations) == {3}
    assert set(progress.total) == {30}
    assert progress.index[0] == 0
    assert progress.index[-1] == 24 * 3600
    assert list(progress.iloc[0][["share_finished", "share_succeeded"]]) == [0, 0]
    assert list(progress.iloc[-1][["share_finished", "share_succeeded"]]) == [0.9, 0.8]
    assert progress.share_finished.is_monotonic_increasing


def test_the_notebook_for_jupyter_runs_and_draws(published, monkeypatch):
    monkeypatch.setenv("IODM_WAREHOUSE", str(published.root))
    document = nbformat.read(NOTEBOOKS / "pandas.ipynb", as_version=4)
    nbclient.NotebookClient(
        document, timeout=60, kernel_name="python3", resources={"metadata": {"path": NOTEBOOKS}}
    ).execute()
    _, frame, chart = (cell.get("outputs", []) for cell in document.cells)
    with duckdb.connect(str(published.served_file()), read_only=True) as connection:
        versions = connection.sql("select file_version, finished from marts.success_by_version").fetchall()
    for version, finished in versions:
        assert version is None or f"<td>{version}</td>" in frame[0]["data"]["text/html"]
        assert f"<td>{finished}</td>" in frame[0]["data"]["text/html"]
    assert "<svg" in str(chart[0]["data"]["image/svg+xml"])


def test_the_notebook_for_jupyter_is_committed_without_what_a_run_leaves():
    document = json.loads((NOTEBOOKS / "pandas.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    assert [cell["outputs"] for cell in cells] == [[]] * len(cells)
    assert {cell["execution_count"] for cell in cells} == {None}
    assert set(document["metadata"]) == {"kernelspec", "language_info"}
