"""What a good analyst writes in an afternoon: requests, json_normalize, explode, Parquet by month, DuckDB.

    python pandas_script.py BASE_URL TOKEN APP_ID FOLDER

One request at a time, everything in memory; no checks, no history, no second try. Prints one JSON line: seconds by
step, tasks and devices that landed, versions.
"""

import json
import sys
import time
from importlib.metadata import version

import duckdb
import pandas as pd
import requests

base_url, token, app_id, folder = sys.argv[1:5]
started = time.perf_counter()
session = requests.Session()
session.headers.update({"app_key": app_id, "Authorization": f"Bearer {token}"})
records = []
while True:
    page = {"pageNo": len(records) // 100, "pageSize": 100}
    body = session.get(f"{base_url}/iodm/northbound/v1.5.0/operations", params=page, timeout=30).json()
    records += body["data"]
    if len(body["data"]) < 100:
        break
fetched = time.perf_counter()

operations = pd.json_normalize(records, max_level=1)
operations["created_month"] = operations["createTime"].str[:6]
operations["extendPara"] = operations.filter(like="extendPara.").to_dict("records")  # whatever keys a task has
truth = {True: True, False: False, "true": True, "True": True, "false": False, "False": False}  # all are sent
operations["policy.retryType"] = operations["policy.retryType"].map(truth)
for column in [*operations.filter(like="staResult.").columns, "policy.retryTimes"]:
    operations[column] = pd.to_numeric(operations[column])  # some come as text
key = ["operationId", "created_month"]
devices = operations[[*key, "targets.devices"]].explode("targets.devices").dropna(subset=["targets.devices"])
tables = {
    "operations": operations.drop(columns=["targets.devices", "targets.deviceGroups", "extendPara"], errors="ignore"),
    "devices": devices,
    "results": operations[[*key, *operations.filter(like="staResult.").columns]],
    "policies": operations[[*key, *operations.filter(like="policy.").columns]],
}
flattened = time.perf_counter()

for name, frame in tables.items():
    frame.to_parquet(f"{folder}/{name}", partition_cols=["created_month"])
with duckdb.connect(f"{folder}/pandas.duckdb") as connection:
    for name in tables:
        files = f"read_parquet('{folder}/{name}/**/*.parquet', hive_partitioning = true, union_by_name = true)"
        connection.execute(f"create table {name} as select * from {files}")
    counts = {
        name: connection.execute(f"select count(*) from {name}").fetchone()[0] for name in ("operations", "devices")
    }
landed = time.perf_counter()

steps = {"fetch": fetched - started, "flatten": flattened - fetched, "land": landed - flattened}
print(
    json.dumps(
        {"steps": steps, **counts, "versions": {name: version(name) for name in ("pandas", "pyarrow", "duckdb")}}
    )
)
