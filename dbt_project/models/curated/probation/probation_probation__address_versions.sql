{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_versions(
    source=source("probation_probation_validated", "address"),
    columns=["address_id", "offender_id", "line", "town", "postcode", "latitude", "longitude", "main", "lived_from", "lived_until"],
    unique_positions=true,
) }}
