{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_current(
    versions=ref("probation_probation__practitioner_versions"),
    key=["practitioner_id"],
    columns=["practitioner_id", "office_id", "staff_code", "full_name", "grade", "workload", "working_days", "last_login_from", "joined_on", "left_on"],
) }}
