"""From upgrade tasks on the platform to SQL answers in one DuckDB file.

The map, in data-flow order; nothing here imports dagster:

- `settings`   what the user may set, from the environment or `.env`
- `errors`     what can go wrong, and the exit code of each
- `tables`     the registry: every core column once, with type, unit and description
- `warehouse`  where the data lies, whose it is, and who may write (the lock)
- `platform/`  one authenticated, paced, retried request; the API's structures as typed records
- `extract/`   sweeps over lists, the durable raw store, a whole sync and its grade
- `records`    raw files to one table of typed records
- `base`       what is kept of syncs whose responses were dropped
- `flatten`    typed records to core tables, merged with what is already served
- `lake`       core tables to one Parquet file per table and month
- `models`     the SQL of `sql/`, read with its headers
- `marts`      macros and marts made in a file that is being built
- `checks`     data checks run on it
- `hold`       an older published file served on purpose, until it is released
- `publish`    all of that in order, into a new DuckDB file, then served
- `prune`      old raw responses dropped, once a base holds what a rebuild needs of them
- `run`        a whole run under the lock: what the command line and Dagster call
- `doctor`     what stands in the way of a sync, item by item
- `report`     rates, status and queries read from the published file
- `evidence`   raw records of tasks, and the responses that brought them
- `explain`    rows of a report back to tasks, raw records and responses
- `charts`     rows of the marts as pictures, for the notebook and the report page
- `chart_parts` what those are made of: colours with shapes, axes, legends
- `page_figures` charts of the report page, and the words around them
- `page`       the report page, one HTML file, with its template in `templates/`
- `rules`      when to stop a rollout, in a small language
- `backtest`   such rules tried on the rollouts of the past
- `alerts`     incidents in the published file, told to a webhook
- `dictionary` the data dictionary, from the registry and the headers of `sql/`
- `output`     rows as a table, CSV or JSON
- `demo`       a simulated fleet synced over some days
- `progress`   bars on a terminal, log lines elsewhere
- `cli_answers` the commands of `iodm` that only read
- `cli_upkeep`  the commands `iodm doctor`, `rebuild`, `rollback`, `prune`
- `cli_explain` the command `iodm explain`
- `cli_backtest` the command that tries abort rules
- `cli`        the command `iodm`
"""
