{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_versions(
    source=source("probation_probation_validated", "offence_code"),
    columns=["code", "title", "longest_months", "tariff", "in_force_from", "in_force_until"],
    unique_positions=true,
) }}
