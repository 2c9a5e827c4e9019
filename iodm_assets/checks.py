"""`sql/checks` as asset checks, the same files as on the command line and in tests; and rows against the last run's."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from iodm_assets.metadata import Published, sample_table
from iodm_assets.specs import relations_in
from pipelines.checks import CheckResult
from pipelines.models import Model, load
from pipelines.tables import OPERATION_HISTORY, OPERATIONS, SYNCS

ROWS_DO_NOT_DROP = "rows_do_not_drop"
GROWING = (OPERATIONS, OPERATION_HISTORY, SYNCS)
_SEVERITIES = {"error": dg.AssetCheckSeverity.ERROR, "warning": dg.AssetCheckSeverity.WARN}


def check_specs() -> list[dg.AssetCheckSpec]:
    """A spec for each check. None is `blocking`: publishing itself refuses, before anything is served."""
    return [
        dg.AssetCheckSpec(
            model.name,
            asset=checked_asset(model),
            description=_description(model),
            metadata={"sql": dg.MetadataValue.md(f"```sql\n{model.sql}\n```")},
        )
        for model in load("checks").values()
    ]


def _description(model: Model) -> str:
    blocks = model.header["severity"] == "error"
    return f"{model.description} Where this fails, nothing is published." if blocks else model.description


def checked_asset(model: Model) -> dg.AssetKey:
    """The table that a check is about: the first one that its SQL reads."""
    return dg.AssetKey.from_user_string(relations_in(model.sql)[0])


def check_results(results: Iterable[CheckResult]) -> list[dg.AssetCheckResult]:
    """What the checks found, with the number of offending rows and some of them."""
    return [_check_result(result) for result in results]


def _check_result(result: CheckResult) -> dg.AssetCheckResult:
    metadata: dict[str, dg.MetadataValue] = {"offending_rows": dg.MetadataValue.int(result.offending_rows)}
    if result.share is not None:
        metadata["share"] = dg.MetadataValue.float(result.share)
    if result.sample:
        metadata["sample"] = sample_table(result.sample)
    return dg.AssetCheckResult(
        passed=result.passed,
        asset_key=checked_asset(load("checks")[result.name]),
        check_name=result.name,
        severity=_SEVERITIES[result.severity],
        metadata=metadata,
    )


def row_drop_specs() -> list[dg.AssetCheckSpec]:
    """A spec for each core table that never loses rows: nothing is deleted from a warehouse."""
    return [
        dg.AssetCheckSpec(
            ROWS_DO_NOT_DROP,
            asset=["core", table.name],
            description="It has at least the rows that the last run found: nothing is deleted from a warehouse.",
        )
        for table in GROWING
    ]


def row_drops(
    instance: dg.DagsterInstance,
    published: Published,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> list[dg.AssetCheckResult]:
    """Rows now against those of the last materialization; without one, nothing can have dropped."""
    results = []
    for table in GROWING:
        key = dg.AssetKey(["core", table.name])
        event = instance.get_latest_materialization_event(key)
        last = (
            event.asset_materialization.metadata.get("dagster/row_count")
            if event and event.asset_materialization
            else None
        )
        before = int(str(last.value)) if last else 0
        rows = published.rows[key.to_user_string()]
        results.append(
            dg.AssetCheckResult(
                passed=rows >= before,
                asset_key=key,
                check_name=ROWS_DO_NOT_DROP,
                severity=severity,
                metadata={"rows": rows, "rows_before": before},
            )
        )
    return results
