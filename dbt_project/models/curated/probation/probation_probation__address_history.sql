{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_history(
    versions=ref("probation_probation__address_versions"),
    key=["address_id"],
    columns=["address_id", "offender_id", "line", "town", "postcode", "latitude", "longitude", "main", "lived_from", "lived_until"],
) }}
