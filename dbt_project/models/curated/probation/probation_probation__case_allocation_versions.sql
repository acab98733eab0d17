{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_versions(
    source=source("probation_probation_validated", "case_allocation"),
    columns=["offender_id", "allocated_at", "practitioner_id", "ended_at", "reason"],
    unique_positions=true,
) }}
