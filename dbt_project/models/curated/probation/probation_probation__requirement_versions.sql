{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_versions(
    source=source("probation_probation_validated", "requirement"),
    columns=["sentence_id", "requirement_no", "category", "hours_set", "hours_done", "completed_at"],
    unique_positions=true,
) }}
