{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_versions(
    source=source("probation_probation_validated", "assessment"),
    columns=["assessment_id", "offender_id", "completed_at", "version", "scores", "probability", "weighted_total", "answers", "source_text"],
    unique_positions=true,
) }}
