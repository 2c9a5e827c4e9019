"""Questions to the published file: what is wrong with one is said of it, and of nothing else."""

import pytest

from pipelines.errors import SettingsError, StorageError
from pipelines.report import query
from support.records import Store, record

pytestmark = pytest.mark.usefixtures("few_reports")


@pytest.fixture(scope="module")
def one_task(tmp_path_factory):
    """A published task, for tests that only ask."""
    store = Store(tmp_path_factory.mktemp("one_task"))
    store.apply([record("a")])
    return store


@pytest.mark.parametrize(
    "sql",
    [
        "select cast(if(number > 90000, 'x', '1') as integer) from range(100000) as numbers(number)",
        "selec 1",
        "select * from read_csv('/etc/passwd')",
        "commit",
    ],
)
def test_an_error_of_a_query_is_told_as_one_also_after_its_first_rows(one_task, sql):
    with pytest.raises(SettingsError, match="the query failed: ") as caught:
        query(one_task.warehouse, sql)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("sql", ["", "-- nothing"])
def test_no_query_is_said_to_be_none(one_task, sql):
    with pytest.raises(SettingsError, match="there is no query"):
        query(one_task.warehouse, sql)


def test_a_block_that_is_damaged_is_no_fault_of_the_query(one_task, tmp_path):
    store = one_task.copied(tmp_path)
    file = store.warehouse.served_file()
    file.chmod(0o644)
    content = bytearray(file.read_bytes())
    block = store.row("select min(block_id) as id from pragma_storage_info('core.operations') where block_id >= 0")[
        "id"
    ]
    place = 3 * 4_096 + block * 262_144 + 100  # behind three headers
    content[place : place + 4] = b"xxxx"
    file.write_bytes(content)
    with pytest.raises(StorageError, match="can't be read"):
        query(store.warehouse, "from core.operations")
