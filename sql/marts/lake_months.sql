-- Which sync last rewrote which month of which table in the lake: what changed, and what stands still.
-- grain: one core table and month of creation; tables without months have one row
-- key: table_name, created_month
select
    files.table_name, -- the core table
    files.created_month, -- month of the tasks; null for tables without months
    files.rows, -- rows of the month
    files.bytes, -- size of its Parquet file
    files.sync_id as last_sync_id, -- sync that last changed it
    syncs.mode as last_sync_mode, -- full, incremental or interrupted
    syncs.finished_at as last_rewritten_at -- platform's clock at the end of that sync, UTC
from core._lake_files as files
left join core.syncs as syncs on files.sync_id = syncs.sync_id
order by files.table_name, files.created_month
