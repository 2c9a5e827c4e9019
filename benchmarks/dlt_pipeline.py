"""What a data engineer would pick from the shelf: dlt's rest_api source into DuckDB.

    python dlt_pipeline.py BASE_URL TOKEN APP_ID FOLDER

It pages until an empty page, because its page-number paginator takes a total for a number of pages. Parquet between the
stages, which is dlt's faster way into DuckDB. Prints one JSON line: seconds by step, tasks and devices that landed,
versions.
"""

import json
import sys
import time
from importlib.metadata import version

import dlt
from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator
from dlt.sources.rest_api import rest_api_source

base_url, token, app_id, folder = sys.argv[1:5]
source = rest_api_source(
    {
        "client": {
            "base_url": f"{base_url}/iodm/northbound/v1.5.0/",
            "headers": {"app_key": app_id},
            "auth": {"type": "bearer", "token": token},
            "paginator": PageNumberPaginator(
                base_page=0, page_param="pageNo", total_path=None, stop_after_empty_page=True
            ),
        },
        "resources": [
            {
                "name": "operations",
                "primary_key": "operationId",
                "write_disposition": "replace",
                "endpoint": {"path": "operations", "params": {"pageSize": 100}, "data_selector": "data"},
            }
        ],
    }
)
destination = dlt.destinations.duckdb(f"{folder}/dlt.duckdb")
pipeline = dlt.pipeline("benchmark", destination=destination, dataset_name="landing", pipelines_dir=f"{folder}/state")
steps = {}
for name, run in {
    "extract": lambda: pipeline.extract(source, loader_file_format="parquet"),
    "normalize": pipeline.normalize,
    "load": lambda: pipeline.load(raise_on_failed_jobs=True),
}.items():
    started = time.perf_counter()
    run()
    steps[name] = time.perf_counter() - started
rows = pipeline.last_trace.last_normalize_info.row_counts
counts = {"operations": rows["operations"], "devices": rows["operations__targets__devices"]}
print(
    json.dumps({"steps": steps, **counts, "versions": {name: version(name) for name in ("dlt", "pyarrow", "duckdb")}})
)
