{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_versions(
    source=source("probation_probation_validated", "office"),
    columns=["office_id", "region_code", "name", "postal_address", "opens_at", "closes_at", "step_free", "running_cost"],
    unique_positions=true,
) }}
