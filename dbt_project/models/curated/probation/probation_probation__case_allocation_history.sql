{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_history(
    versions=ref("probation_probation__case_allocation_versions"),
    key=["offender_id", "allocated_at"],
    columns=["offender_id", "allocated_at", "practitioner_id", "ended_at", "reason"],
) }}
