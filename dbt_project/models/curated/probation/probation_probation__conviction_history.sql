{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_history(
    versions=ref("probation_probation__conviction_versions"),
    key=["conviction_id"],
    columns=["conviction_id", "offender_id", "offence_code", "court", "convicted_on", "fine", "costs", "guilty_plea"],
) }}
