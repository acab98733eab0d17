{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_versions(
    source=source("probation_probation_validated", "region"),
    columns=["code", "name", "population", "opened"],
    unique_positions=true,
) }}
