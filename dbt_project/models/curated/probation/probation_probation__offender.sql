{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_current(
    versions=ref("probation_probation__offender_versions"),
    key=["offender_id"],
    columns=["offender_id", "crn", "person_uuid", "first_name", "last_name", "aliases", "date_of_birth", "sex", "risk", "risk_score", "practitioner_id", "needs", "case_summary", "restricted", "last_contact_at", "created_at", "updated_at"],
) }}
