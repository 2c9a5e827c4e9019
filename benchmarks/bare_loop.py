"""The least that anybody must do: ask for every page, one after the other, and throw it away.

    python bare_loop.py BASE_URL TOKEN APP_ID FOLDER

Prints one JSON line: seconds and pages.
"""

import json
import sys
import time

import requests

base_url, token, app_id, _ = sys.argv[1:5]
started = time.perf_counter()
session = requests.Session()
session.headers.update({"app_key": app_id, "Authorization": f"Bearer {token}"})
url = f"{base_url}/iodm/northbound/v1.5.0/operations"
first = session.get(url, params={"pageNo": 0, "pageSize": 100}, timeout=30)
pages = -(-first.json()["totalCount"] // 100)
for page_no in range(1, pages):
    session.get(url, params={"pageNo": page_no, "pageSize": 100}, timeout=30).raise_for_status()
print(json.dumps({"steps": {"fetch": time.perf_counter() - started}, "pages": pages}))
