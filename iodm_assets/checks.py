"""`sql/checks` as asset checks: the same files as on the command line and in tests."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from iodm_assets.metadata import sample_table
from iodm_assets.specs import relations_in
from pipelines.checks import CheckResult
from pipelines.models import Model, load

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
    if result.sample:
        metadata["sample"] = sample_table(result.sample)
    return dg.AssetCheckResult(
        passed=result.passed,
        asset_key=checked_asset(load("checks")[result.name]),
        check_name=result.name,
        severity=_SEVERITIES[result.severity],
        metadata=metadata,
    )
