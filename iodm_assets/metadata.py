"""What a run found, as typed metadata of its materializations. Decides nothing; the numbers come from `pipelines`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from iodm_assets.lineage import lineage_of
from iodm_assets.specs import DATA_QUALITY, relations_in
from pipelines.extract.raw import newest_sync
from pipelines.models import load
from pipelines.publish import Publication
from pipelines.report import query
from pipelines.run import Extraction
from pipelines.warehouse import Warehouse

if TYPE_CHECKING:
    from pipelines.page import Page

Metadata = dict[str, Any]

_COLUMNS = """
select schema_name || '/' || table_name, column_name, data_type, comment
from duckdb_columns()
where schema_name in ('core', 'marts')
order by column_index
"""
_ROWS = """
select schema_name || '/' || table_name, estimated_size
from duckdb_tables()
where schema_name in ('core', 'marts')
"""
_MONTHS = """
select table_name, created_month, rows, round(bytes / 1e6, 1) as megabytes, last_sync_id, last_rewritten_at
from marts.lake_months
where created_month is not null
order by table_name, created_month desc
"""
_FILES = """
select 'core/' || table_name, md5(string_agg(sha256, '' order by created_month))
from core._lake_files
group by table_name
"""
_LAST_SYNC = "select sync_id, mode, grade, api_calls as calls, pages from core.syncs order by sync_id desc limit 1"


@dataclass(frozen=True)
class Published:
    """What the published file says of itself, by relation (`core/operations`), and the last sync in it.

    `versions` are short names for the content; `months` say how many rows each has and which sync last rewrote it.
    """

    rows: dict[str, int]
    versions: dict[str, str]
    columns: dict[str, dg.TableSchema]
    months: dict[str, list[Metadata]]
    last_sync: Metadata


def read_published(warehouse: Warehouse) -> Published:
    """Ask the published file.

    Raises:
        StorageError: it can't be opened.
    """
    columns: dict[str, list[dg.TableColumn]] = {}
    for relation, name, data_type, comment in query(warehouse, _COLUMNS).rows:
        columns.setdefault(relation, []).append(dg.TableColumn(name, data_type, comment))
    rows = dict(query(warehouse, _ROWS).rows)  # exact, not estimated: nothing was deleted from a file made from scratch
    months: dict[str, list[Metadata]] = {}
    every = query(warehouse, _MONTHS)
    for row in every.rows:
        months.setdefault(f"core/{row[0]}", []).append(dict(zip(every.columns[1:], row[1:], strict=True)))
    return Published(
        rows,
        _versions(warehouse, list(rows)),
        {relation: dg.TableSchema(each) for relation, each in columns.items()},
        months,
        _last_sync(warehouse),
    )


def _versions(warehouse: Warehouse, tables: list[str]) -> dict[str, str]:
    """A short name for the content of each relation: the same for the same rows, whatever their order.

    Core tables are named after their Parquet files, views after the tables that they read.
    """
    contents = " union all ".join(
        f"select '{table}', count(*) || '-' || coalesce(bit_xor(hash(rows)), 0) from {table.replace('/', '.')} as rows"
        for table in tables
        if table.startswith("marts/")
    )
    versions = dict(query(warehouse, f"{_FILES} union all {contents}").rows)
    versions |= {table: "empty" for table in tables if table not in versions}
    for model in load("marts").values():
        if model.kind == "view":
            versions[f"marts/{model.name}"] = "-".join(versions[relation] for relation in relations_in(model.sql))
    return versions


def _last_sync(warehouse: Warehouse) -> Metadata:
    result = query(warehouse, _LAST_SYNC)
    values = dict(zip(result.columns, result.rows[0], strict=True))
    manifest = newest_sync(warehouse)
    if manifest is not None and manifest.sync_id == values["sync_id"]:  # else another one was committed meanwhile
        values["evidence"] = manifest.grade_evidence
    return values


def extraction_metadata(extraction: Extraction, duration_seconds: float) -> Metadata:
    """What a sync read, what that cost, and how far to trust it."""
    manifest = extraction.manifest
    values: Metadata = {
        "dagster/row_count": manifest.records,
        "sync_id": manifest.sync_id,
        "mode": manifest.mode,
        "grade": manifest.grade,
        "evidence": manifest.grade_evidence,
        "calls": manifest.api_calls,
        "pages": manifest.pages,
        "quarantined": manifest.quarantined,
        "observed_at": dg.MetadataValue.timestamp(manifest.finished_at),
        "waited_minutes": round(extraction.waited_seconds / 60, 2),
        "duration_seconds": round(duration_seconds, 3),
    }
    if manifest.total_after is not None:
        values["total_after"] = manifest.total_after
    return values


def publication_metadata(
    relation: str, publication: Publication, published: Published, duration_seconds: float
) -> Metadata:
    """What one relation of the published file holds, and where it came from.

    The columns of marts are known from the file only; those of core tables stand in their definitions. A view's
    rows are not counted: that would be the work that a view saves.
    """
    schema = {"dagster/column_schema": published.columns[relation]} if relation.startswith("marts/") else {}
    rows = {"dagster/row_count": published.rows[relation]} if relation in published.rows else {}
    months = {"months": sample_table(published.months[relation])} if relation in published.months else {}
    lineage = {} if relation == DATA_QUALITY else {"dagster/column_lineage": lineage_of(relation)}
    return {
        **rows,
        **schema,
        **lineage,
        **months,
        **published.last_sync,
        "publication": publication.number,
        "file": dg.MetadataValue.path(publication.file),
        "changed_months": dg.MetadataValue.json(publication.changed_months),
        "duration_seconds": round(duration_seconds, 3),
    }


def page_metadata(page: Page, file: Path) -> Metadata:
    """Where the report page is, and the number that it begins with."""
    return {
        "file": dg.MetadataValue.path(file),
        "bytes": len(page.html.encode()),
        **{name: page.headline[name] for name in ("success_rate", "clustered_lower", "clustered_upper", "verdict")},
        **{name: page.snapshot[name] for name in ("grade", "publication")},
        "observed_at": dg.MetadataValue.timestamp(page.snapshot["observed_at"].replace(tzinfo=UTC)),
    }


def sample_table(rows: Sequence[Mapping[str, object]]) -> dg.MetadataValue:
    """Some rows as a table; values as text, because Dagster knows neither timestamps nor nulls there."""
    records = [
        dg.TableRecord({name: "" if value is None else str(value) for name, value in row.items()}) for row in rows
    ]
    columns = [dg.TableColumn(name) for name in rows[0]] if rows else []
    return dg.MetadataValue.table(records, dg.TableSchema(columns))
