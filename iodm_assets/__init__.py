"""Dagster's view of the pipeline: what there is, when it runs, what each run found. All I/O is in `pipelines`.

- `definitions`   everything put together; what Dagster loads
- `resources`     the settings of a run, read when it needs them
- `assets`        `raw/operations`, then `core/*` and `marts/*` in one step, then the report page
- `specs`         what each asset is: columns, SQL, version, what it is made from
- `lineage`       columns that each column is made from, from the parsed SQL
- `checks`        `sql/checks` as asset checks; rows that drop
- `metadata`      what a run found, on each materialization
- `failures`      errors of the pipeline as Dagster shows them
- `schedules`     the jobs and when they run
- `alerts`        a sensor that tells of incidents, once each
- `ui`            `python -m iodm_assets.ui`: Dagster for one warehouse, with the simulator where no platform is set
"""
