{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_versions(
    source=source("probation_probation_validated", "conviction"),
    columns=["conviction_id", "offender_id", "offence_code", "court", "convicted_on", "fine", "costs", "guilty_plea"],
    unique_positions=true,
) }}
