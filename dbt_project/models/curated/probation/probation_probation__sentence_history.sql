{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_history(
    versions=ref("probation_probation__sentence_versions"),
    key=["sentence_id"],
    columns=["sentence_id", "conviction_id", "kind", "starts_on", "ends_on", "unpaid_hours", "conditions", "imposed_at"],
) }}
