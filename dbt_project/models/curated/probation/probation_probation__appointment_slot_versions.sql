{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_versions(
    source=source("probation_probation_validated", "appointment_slot"),
    columns=["office_id", "slot_date", "slot_time", "offender_id", "booked_at", "room"],
    unique_positions=true,
) }}
