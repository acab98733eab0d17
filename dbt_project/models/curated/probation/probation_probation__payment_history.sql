{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_history(
    versions=ref("probation_probation__payment_versions"),
    key=["payment_id"],
    columns=["payment_id", "conviction_id", "amount", "balance", "ledger_total", "paid_on", "received_at", "reference"],
) }}
