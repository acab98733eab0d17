{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_versions(
    source=source("probation_probation_validated", "contact"),
    columns=["contact_id", "offender_id", "practitioner_id", "contact_type", "happened_at", "diary_time", "minutes", "outcome", "mood", "notes", "sensitive"],
    unique_positions=true,
) }}
