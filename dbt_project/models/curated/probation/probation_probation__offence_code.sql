{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_current(
    versions=ref("probation_probation__offence_code_versions"),
    key=["code"],
    columns=["code", "title", "longest_months", "tariff", "in_force_from", "in_force_until"],
) }}
