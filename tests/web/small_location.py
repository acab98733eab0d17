"""A code location of one asset: enough to launch a run, to report events, and for links out of the UI."""

import dagster as dg

HOSTILE = "<script>alert('x')</script>"


@dg.asset(
    key=["shop", "curated", "app", "person"],
    description="Its columns: [lineage](/platform/lineage/shop/curated/app/person)",
    metadata={"lineage page": dg.MetadataValue.url("/platform/lineage/shop/curated/app/person")},
)
def person() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(
        metadata={
            "report": dg.MetadataValue.url("/platform/quarantine/probation"),
            "dagster/column_schema": dg.TableSchema([dg.TableColumn(HOSTILE, HOSTILE, description=HOSTILE)]),
            "dagster/column_lineage": dg.TableColumnLineage(
                {HOSTILE: [dg.TableColumnDep(dg.AssetKey(["shop", HOSTILE]), HOSTILE)]}
            ),
        }
    )


@dg.definitions
def defs() -> dg.Definitions:
    return dg.Definitions(
        assets=[
            person,
            dg.AssetSpec(
                ["shop", "source", "app/odd", "person"], metadata={"dagster/column_lineage": dg.TableColumnLineage({})}
            ),
        ],
        executor=dg.in_process_executor,
    )
