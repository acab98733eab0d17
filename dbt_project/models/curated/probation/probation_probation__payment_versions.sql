{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_versions(
    source=source("probation_probation_validated", "payment"),
    columns=["payment_id", "conviction_id", "amount", "balance", "ledger_total", "paid_on", "received_at", "reference"],
    unique_positions=true,
) }}
