{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_current(
    versions=ref("probation_probation__region_versions"),
    key=["code"],
    columns=["code", "name", "population", "opened"],
) }}
