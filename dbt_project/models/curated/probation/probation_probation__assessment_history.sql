{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_history(
    versions=ref("probation_probation__assessment_versions"),
    key=["assessment_id"],
    columns=["assessment_id", "offender_id", "completed_at", "version", "scores", "probability", "weighted_total", "answers", "source_text"],
) }}
