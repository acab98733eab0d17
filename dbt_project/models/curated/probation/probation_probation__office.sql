{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_current(
    versions=ref("probation_probation__office_versions"),
    key=["office_id"],
    columns=["office_id", "region_code", "name", "postal_address", "opens_at", "closes_at", "step_free", "running_cost"],
) }}
