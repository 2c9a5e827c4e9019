"""Filters, pages, orders and the envelope."""

import json

import pytest

FILTERS = {
    "operationType": lambda record: record["operateType"],
    "operationStatus": lambda record: record["status"],
    "deviceType": lambda record: record["targets"]["deviceType"],
    "model": lambda record: record["targets"]["model"],
    "manufacturerName": lambda record: record["targets"]["manufacturerName"],
}


def ids(records):
    return [record["operationId"] for record in records]


@pytest.fixture
def client(make):
    return make(tasks=400)


@pytest.fixture
def truth(client):
    return [json.loads(record) for record in client.control.operations()]


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_gives_exactly_the_tasks_that_match(client, truth, name):
    values = {FILTERS[name](record) for record in truth}
    assert len(values) > 1
    for value in values:
        expected = {record["operationId"] for record in truth if FILTERS[name](record) == value}
        assert set(ids(client.everything(**{name: value}))) == expected


def test_the_device_filter_gives_the_tasks_that_name_the_device(make):
    client = make(tasks=5000, devices=60)
    truth = [json.loads(record) for record in client.control.operations()]
    owners = {}
    for record in truth:
        for device in record["targets"]["devices"]:
            owners.setdefault(device, set()).add(record["operationId"])
    shared = [device for device, tasks in owners.items() if len(tasks) > 1]
    for device in [*shared[:10], *list(owners)[:10]]:
        assert set(ids(client.everything(deviceId=device))) == owners[device]


@pytest.mark.parametrize("value", ["unknown", "", "0" * 36, "00000000-0000-0000-0000-000000000000"])
def test_a_value_that_no_task_has_matches_none_and_an_empty_one_filters_nothing(client, value):
    for name in ("deviceId", "model", "deviceType", "manufacturerName"):
        assert client.page(**{name: value})["totalCount"] == (0 if value else 400)


def test_filters_are_combined(client, truth):
    first = truth[0]
    wanted = {name: value(first) for name, value in FILTERS.items()}
    expected = [r for r in truth if all(FILTERS[name](r) == value for name, value in wanted.items())]
    assert set(ids(client.everything(**wanted))) == set(ids(expected))


def test_an_empty_first_pair_and_unknown_parameters_are_accepted(client):
    plain = client.get("operationType=firmware_upgrade").json()
    assert client.get("&operationType=firmware_upgrade").json() == plain
    assert client.get("&operationType=firmware_upgrade&sort=asc").json() == plain


def test_the_defaults_are_the_first_page_of_ten(client):
    page = client.get().json()
    assert (page["pageNo"], page["pageSize"], page["totalCount"], len(page["data"])) == (0, 10, 400, 10)
    assert list(page) == ["totalCount", "pageNo", "pageSize", "data"]


def test_pages_put_together_are_the_list(client):
    whole = ids(client.everything())
    for size in (7, 50, 100):
        pages = [client.page(pageNo=number, pageSize=size)["data"] for number in range(400 // size + 1)]
        assert [each for page in pages for each in ids(page)] == whole


def test_one_task_is_the_same_record_without_an_envelope(client):
    record = client.page()["data"][3]
    assert client.get(operation_id=record["operationId"]).json() == record


def test_newest_and_oldest_first_are_opposite(make):
    newest, oldest = make().everything(), make(order="oldest").everything()
    assert newest == oldest[::-1]
    assert [r["createTime"] for r in oldest] == sorted(r["createTime"] for r in oldest)


def test_a_random_order_is_stable_and_keeps_its_order_as_tasks_are_created(make):
    client = make(order="random", tasks=90)
    before = ids(client.everything())
    assert before == ids(client.everything())
    assert before not in (ids(make(tasks=90).everything()), ids(make(tasks=90).everything())[::-1])
    fresh = set(client.control.create(40))
    after = ids(client.everything())
    assert [each for each in after if each not in fresh] == before
    assert 0 < sum(each in fresh for each in after[:65]) < 40


def test_an_unstable_order_is_new_with_each_call(make):
    client = make(order="unstable")
    first, second = ids(client.everything()), ids(client.everything())
    assert first != second
    assert set(first) == set(second)


def test_a_page_past_the_end_is_empty_or_an_error(make, error):
    assert make().page(pageNo=9)["data"] == []
    assert error(make(past_end="error").get("pageNo=9&pageSize=100")) == (400, "123029")
    assert make(past_end="error", tasks=0, tasks_per_day=0).page()["data"] == []


@pytest.mark.parametrize(("dial", "expected"), [("list", {"data": []}), ("null", {"data": None}), ("missing", {})])
def test_an_empty_result_has_the_shape_of_the_dial(make, dial, expected):
    page = make(empty_data=dial).page(model="unknown")
    assert page == {"totalCount": 0, "pageNo": 0, "pageSize": 100} | expected


@pytest.mark.parametrize(
    ("dial", "expected"),
    [
        ("totalCount", {"totalCount": 40}),
        ("totalSize", {"totalSize": 40}),
        ("string", {"totalCount": "40"}),
        ("missing", {}),
    ],
)
def test_the_total_has_the_name_of_the_dial(make, dial, expected):
    page = make(total_name=dial).page()
    assert {name: value for name, value in page.items() if name.startswith("total")} == expected


def test_a_page_size_above_what_is_served_is_lowered_silently(make):
    page = make(page_size_limit=20).page(pageNo=1, pageSize=100)
    assert (page["pageSize"], len(page["data"])) == (20, 20)
