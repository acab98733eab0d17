{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_history(
    versions=ref("probation_probation__requirement_versions"),
    key=["sentence_id", "requirement_no"],
    columns=["sentence_id", "requirement_no", "category", "hours_set", "hours_done", "completed_at"],
) }}
