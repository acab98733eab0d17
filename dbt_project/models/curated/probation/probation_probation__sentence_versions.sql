{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_versions(
    source=source("probation_probation_validated", "sentence"),
    columns=["sentence_id", "conviction_id", "kind", "starts_on", "ends_on", "unpaid_hours", "conditions", "imposed_at"],
    unique_positions=true,
) }}
