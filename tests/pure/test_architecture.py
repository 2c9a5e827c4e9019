"""What may import what, and that importing does nothing."""

import ast
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

import pipelines
from pipelines.models import column_comments, load

ROOT = Path(pipelines.__file__).parent
MODULES = sorted(module.name for module in pkgutil.walk_packages(pipelines.__path__, "pipelines."))
FILES = sorted(ROOT.rglob("*.py"))

WATCHER = """
import os, sys, threading, importlib
import altair  # looks for proxies in the environment

read = []
class Watched(dict):
    pass
real = os.environ
class Environ(type(real)):
    def __getitem__(self, key):
        if key.startswith("IODM_"):
            read.append(key)
        return super().__getitem__(key)
    def __iter__(self):
        raise SystemExit("iterates over the environment")
real.__class__ = Environ
touched = []
def hook(event, arguments):
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        touched.append(str(arguments[0]))
    if event in ("subprocess.Popen", "socket.connect", "os.mkdir", "os.remove", "os.rename", "socket.bind"):
        touched.append(f"{event} {arguments}")
sys.dont_write_bytecode = True
import click, duckdb, filelock, httptools, msgspec, numpy, pandas, pydantic_settings, pyarrow, pyarrow.compute
import pyarrow.parquet, requests, rich.progress, rich.table, starlette, tenacity, trustme, uvicorn
sys.addaudithook(hook)
for name in sys.argv[1:]:
    importlib.import_module(name)
assert not read, read
assert not touched, touched
assert threading.active_count() == 1, threading.enumerate()
assert not any(name.split(".")[0] == "dagster" for name in sys.modules), "dagster was imported"
"""


def test_importing_any_module_reads_no_setting_writes_nothing_and_starts_nothing(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IODM_")} | {
        "IODM_PAGE_SIZE": "0"
    }
    done = subprocess.run(
        [sys.executable, "-c", WATCHER, *MODULES],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_data_path_never_imports_dagster_or_its_assets(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        assert not {name.split(".")[0] for name in names} & {"dagster", "iodm_assets"}


@pytest.mark.parametrize(
    "file", [file for file in FILES if file.name != "settings.py"], ids=lambda file: str(file.relative_to(ROOT))
)
def test_nothing_but_the_settings_reads_the_environment(file):
    text = file.read_text(encoding="utf-8")
    assert "environ" not in text.replace("merge_environment_settings", "").replace("environment", "")
    assert "getenv" not in text


@pytest.mark.parametrize(
    "file",
    [file for file in FILES if file.name not in ("demo.py", "cli.py")],
    ids=lambda file: str(file.relative_to(ROOT)),
)
def test_only_the_demo_and_the_command_line_know_the_simulator(file):
    assert "from simulator" not in file.read_text(encoding="utf-8")


def test_the_map_names_every_module():
    lines = (pipelines.__doc__ or "").splitlines()
    named = {line.split("`")[1].strip("/") for line in lines if line.startswith("- `")}
    there = {
        path.stem
        for path in ROOT.iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").exists()) and not path.name.startswith("__")
    }
    assert there - named <= {"checks", "marts", "output", "run", "sql_text"}, "modules that the map may leave out"
    assert named <= there


@pytest.mark.parametrize("mart", load("marts").values(), ids=lambda mart: mart.name)
def test_every_mart_says_what_a_row_is_and_comments_its_columns(mart):
    assert mart.description
    assert mart.header["grain"]
    assert column_comments(mart)


def test_column_comments_are_read_from_plain_qualified_and_computed_columns_and_from_structs():
    from pipelines.models import Model

    sql = """select
    tasks.model, -- the model
    cast(created_at as date) as created_date, -- the day
    file_version, -- the version
    count(*) as operations -- last one
    -- a remark, not a column
    'operations': count(*), -- in a struct
from somewhere -- not a column either
"""
    found = column_comments(Model("m", Path("m.sql"), sql, "", {}))
    assert found["model"] == "the model"
    assert found["created_date"] == "the day"
    assert found["file_version"] == "the version"
    assert found["operations"] in ("last one", "in a struct")
    assert set(found) == {"model", "created_date", "file_version", "operations"}


@pytest.mark.parametrize("kind", ["core", "macros", "marts", "checks"])
def test_every_sql_file_is_one_statement_with_a_header(kind):
    models = load(kind)
    assert models
    for model in models.values():
        assert model.sql.startswith("--"), model.name
        assert len(duckdb.extract_statements(model.sql)) == 1, model.name


@pytest.mark.parametrize("check", load("checks").values(), ids=lambda check: check.name)
def test_every_check_gives_its_severity_and_what_should_hold(check):
    assert check.header["severity"] in ("error", "warning")
    assert check.description
