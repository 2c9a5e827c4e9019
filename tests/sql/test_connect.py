"""What docs/connect.md says of the published file: its examples run, its messages are DuckDB's, its rules hold."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from support.records import Store, record
from support.reports import only_reports

DOC = Path(__file__).parents[2].joinpath("docs", "connect.md").read_text(encoding="utf-8")
INSTALLED = {"duckdb", "pandas", "pyarrow"}
FILE = "warehouse/iodm.duckdb"

OPEN = """
import sys, duckdb
try:
    connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "read-only")
    for statement in sys.argv[3:]:
        connection.execute(statement)
    print("open", flush=True)
    sys.stdin.read()
except duckdb.Error as error:
    print(error)
"""
LARGE = "create temp table large as select md5(i::varchar) as text from range(2000000) as numbers(i)"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL)


def imports(code):
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in nodes]
    return {name.split(".")[0] for name in names}


EXAMPLES = [code for code in blocks("python") if imports(code) <= INSTALLED and ".pl()" not in code]
MESSAGES = re.findall(r"^\| `(.+?)` \|", DOC.split("\n## Messages\n")[1], re.MULTILINE)
QUOTED = {message: re.compile(".+".join(map(re.escape, message.split("…"))), re.DOTALL) for message in MESSAGES}


@pytest.fixture(scope="module", autouse=True)
def _only_what_the_page_names():
    with only_reports("success_by_day", "success_by_model", "snapshot"):
        yield


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    Store(folder).apply([record()])
    return folder


@pytest.fixture
def store(published, tmp_path, monkeypatch):
    """A warehouse with one publication, in a working directory where the paths of the page lead to it."""
    shutil.copytree(published, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Store(tmp_path)


def one(connection, query):
    return connection.execute(query).fetchone()[0]


def said(action):
    with pytest.raises(duckdb.Error) as caught:
        action()
    return str(caught.value)


def in_memory(*statements):
    with duckdb.connect() as connection:
        for statement in statements:
            connection.execute(statement)


def read_only(*statements):
    with duckdb.connect(FILE, read_only=True) as connection:
        for statement in statements:
            connection.execute(statement)


def opened_elsewhere(mode, *statements):
    """Another process that opens the file; as root it gives up the right to write what nobody may write."""
    bare = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if bare and not shutil.which("setpriv"):
        pytest.skip("root may write every file, and there is no setpriv to do without that")
    command = [*bare, sys.executable, "-c", OPEN, FILE, mode, *statements]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def without_read_only():
    return opened_elsewhere("read-write").communicate()[0]


def while_somebody_writes():
    Path(FILE).resolve().chmod(0o644)
    with opened_elsewhere("read-write") as writer:
        assert writer.stdout.readline() == "open\n"
        return said(read_only)


def while_somebody_reads():
    Path(FILE).resolve().chmod(0o644)
    with duckdb.connect(FILE, read_only=True):
        return without_read_only()


def with_other_settings():
    with duckdb.connect(FILE, read_only=True):
        return said(lambda: duckdb.connect(FILE))


def spilling():
    published = Path(FILE).resolve().parent
    published.chmod(0o555)
    try:
        return opened_elsewhere("read-only", "set memory_limit = '20MB'", LARGE).communicate()[0]
    finally:
        published.chmod(0o755)


def beside(*statements):
    return said(lambda: in_memory(f"attach '{FILE}' as iodm (read_only)", *statements))


PROVOKED = {
    'Cannot open file "…": Permission denied': without_read_only,
    'Could not set lock on file "…": Conflicting lock is held in … (PID …)': while_somebody_writes,
    "Conflicting lock is held in … (PID …). However, you would be able to open this database in read-only mode": (
        while_somebody_reads
    ),
    "Can't open a connection to same database file with a different configuration than existing connections": (
        with_other_settings
    ),
    'Cannot open database "…" in read-only mode: database does not exist': lambda: said(
        lambda: duckdb.connect("warehouse/nothing.duckdb", read_only=True)
    ),
    "Cannot launch in-memory database in read-only mode!": lambda: said(lambda: duckdb.connect(read_only=True)),
    'Cannot execute statement of type "…" on database "…" which is attached in read-only mode!': lambda: said(
        lambda: read_only("delete from core.operations")
    ),
    'Failed to create directory "….tmp": Permission denied': spilling,
    "Scalar Function with name … does not exist!": lambda: beside("select success_rate(1, 2, 3)"),
    'Table with name "marts.…" does not exist because schema "marts" does not exist': lambda: beside(
        "from iodm.marts.success_by_day_between(null, null)"
    ),
    'Table with name "….marts.…" does not exist because schema "….marts" does not exist': lambda: said(
        lambda: read_only('from "iodm-000042".marts.success_by_day')
    ),
    'Cannot detach database "…" because it is the default database': lambda: beside("use iodm", "detach iodm"),
}
# Of other clients, of older ones, and of mounts that a test can't make.
NOT_PROVOKED = {
    'Cannot open file "…": Read-only file system',
    'Unique file handle conflict: Database "…" is already attached',
    "Trying to read a database file with version number 65, but we can only read version 64",
    'unrecognized configuration parameter "read_only"',
}


@pytest.mark.parametrize("code", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs_as_it_stands(store, code, capsys):
    exec(compile(code, "docs/connect.md", "exec"), {})
    assert capsys.readouterr().out


def test_the_examples_that_need_other_packages_are_known():
    others = [code for code in blocks("python") if code not in EXAMPLES]
    assert len(EXAMPLES) == 2
    assert [imports(code) - INSTALLED for code in others] == [
        set(),  # Polars is what `.pl()` needs
        {"adbc_driver_duckdb", "adbc_driver_manager"},
        {"sqlalchemy"},
    ]


def test_the_sql_examples_run_in_one_go_and_the_last_shows_the_next_publication(store):
    first, again = blocks("sql")
    with duckdb.connect() as connection:
        connection.execute(first)
        assert one(connection, "select count(*) from core.operations") == 1
        store.apply([record(), record("task-2")])
        assert one(connection, "select count(*) from core.operations") == 1
        connection.execute(again)
        assert one(connection, "select count(*) from core.operations") == 2


def test_what_is_open_stays_and_a_new_connection_shows_the_next_publication(store):
    with duckdb.connect(FILE, read_only=True) as old:
        store.apply([record(), record("task-2")])
        with duckdb.connect(FILE, read_only=True) as new:
            assert [one(each, "select publication from marts.snapshot") for each in (old, new)] == [1, 2]
            Path("warehouse/published/iodm-000001.duckdb").unlink()
            assert [one(each, "select count(*) from core.operations") for each in (old, new)] == [1, 2]


def test_the_name_of_the_database_may_change_with_every_publication(store):
    """Should it ever stay, the page can do without its third rule."""

    def name():
        with duckdb.connect(FILE, read_only=True) as connection:
            return one(connection, "select current_database()")

    assert name() == "iodm-000001"
    store.apply([record()])
    assert name() == "iodm-000002"


def test_every_quoted_message_is_provoked_or_named_as_one_that_cannot_be():
    assert {*PROVOKED, *NOT_PROVOKED} == set(QUOTED)
    assert not PROVOKED.keys() & NOT_PROVOKED


@pytest.mark.parametrize("message", PROVOKED)
def test_a_quoted_message_is_what_duckdb_says(store, message):
    assert QUOTED[message].search(PROVOKED[message]())


def test_a_query_that_needs_more_than_memory_spills_beside_the_file_unless_told_otherwise(store, tmp_path):
    where = "select current_setting('temp_directory')"
    with duckdb.connect(FILE, read_only=True) as connection:
        assert Path(one(connection, where)).parent == tmp_path / "warehouse" / "published"
    with duckdb.connect(FILE, read_only=True, config={"temp_directory": "spill"}) as connection:
        assert one(connection, where) == "spill"
