"""The assets: `raw/operations` reads the platform, one step publishes all of `core/*` and `marts/*`, then the report.

Tables and marts belong to one step because one file is published, whole or not at all. What the steps do is in
`pipelines.run`.
(Annotations are no strings here, because Dagster reads those of `context` as they are.)
"""

import time
from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from iodm_assets.checks import check_results, check_specs, row_drop_specs, row_drops
from iodm_assets.failures import failures
from iodm_assets.metadata import extraction_metadata, page_metadata, publication_metadata, read_published
from iodm_assets.resources import SettingsResource
from iodm_assets.specs import (
    ANALYSTS,
    OPERATORS,
    PAGE_MARTS,
    RAW_OPERATIONS,
    UPGRADE_REPORT,
    freshness,
    published_specs,
)
from pipelines.checks import CheckFailedError
from pipelines.hold import HeldError
from pipelines.progress import LogLines
from pipelines.report import check
from pipelines.run import extract, refresh, write_report

FULL_SYNC_WAITS_SECONDS = 6 * 3600.0


class SyncConfig(dg.Config):
    """What a sync reads; as the options of `iodm sync`."""

    full: bool = Field(default=False, description="Read the whole list, not just what changed.")
    accept_removals: bool = Field(
        default=False, description="With full: mark tasks that are gone as removed, however many they are."
    )


@dg.asset(
    key=RAW_OPERATIONS,
    group_name="raw",
    kinds={"json"},
    owners=[OPERATORS],
    freshness_policy=freshness(),
)
def raw_operations(
    context: dg.AssetExecutionContext, config: SyncConfig, settings: SettingsResource
) -> dg.MaterializeResult[None]:
    """Every upgrade task of the platform, each record as received, with the responses that brought them."""
    started = time.monotonic()
    with failures(context.retry_number):
        extraction = extract(
            settings.load(),
            LogLines(context.log),
            is_full=config.full,
            accept_removals=config.accept_removals,
            announce=context.log.info,
            patience_seconds=FULL_SYNC_WAITS_SECONDS if config.full else 0.2,
        )
    return dg.MaterializeResult(
        metadata=extraction_metadata(extraction, time.monotonic() - started),
        data_version=dg.DataVersion(str(extraction.manifest.sync_id)),
    )


def published_assets() -> dg.AssetsDefinition:
    """All tables of the published file. Not subsettable: none can be published without the others."""
    specs = published_specs()

    @dg.multi_asset(
        name="publish",
        specs=specs,
        check_specs=[*check_specs(), *row_drop_specs()],
        can_subset=False,
    )
    def publish(
        context: dg.AssetExecutionContext, settings: SettingsResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        """Apply what was read, check it, serve it.

        Where a check of severity `error` fails, nothing is served: then the step reports the checks and fails without
        a materialization. (A blocking check inside a multi-asset would let its assets be recorded as materialized.)
        While a rollback holds publishing, it reports the checks of what is served, because Dagster wants a result of
        each, and ends well without a materialization.
        """
        started = time.monotonic()
        with failures(context.retry_number):
            try:
                publication = refresh(settings.load(), LogLines(context.log))
            except CheckFailedError as error:
                yield from check_results(error.results)
                raise
            except HeldError as error:
                context.log.warning("Nothing was published: %s", error)
                yield from check_results(check(settings.warehouse()))
                yield from row_drops(context.instance, read_published(settings.warehouse()), dg.AssetCheckSeverity.WARN)
                return
            published = read_published(settings.warehouse())
        seconds = time.monotonic() - started
        drops = row_drops(context.instance, published)
        for spec in specs:
            relation = spec.key.to_user_string()
            yield dg.MaterializeResult(
                asset_key=spec.key,
                metadata=publication_metadata(relation, publication, published, seconds),
                data_version=dg.DataVersion(published.versions[relation]),
            )
        yield from check_results(publication.checks)
        yield from drops

    return publish


@dg.asset(
    key=UPGRADE_REPORT,
    deps=[dg.AssetKey(["marts", mart]) for mart in PAGE_MARTS],
    group_name="reports",
    kinds={"html"},
    owners=[ANALYSTS],
)
def upgrade_report(context: dg.AssetExecutionContext, settings: SettingsResource) -> dg.MaterializeResult[None]:
    """One page for a browser, without a network: how well upgrades succeed, what is under way, what is stuck."""
    with failures(context.retry_number):
        page = write_report(settings.load())
    return dg.MaterializeResult(
        metadata=page_metadata(page, settings.warehouse().report_page),
        data_version=dg.DataVersion(str(page.snapshot["publication"])),
    )
