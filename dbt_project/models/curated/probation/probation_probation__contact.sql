{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_current(
    versions=ref("probation_probation__contact_versions"),
    key=["contact_id"],
    columns=["contact_id", "offender_id", "practitioner_id", "contact_type", "happened_at", "diary_time", "minutes", "outcome", "mood", "notes", "sensitive"],
) }}
