{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_current(
    versions=ref("probation_probation__appointment_slot_versions"),
    key=["office_id", "slot_date", "slot_time"],
    columns=["office_id", "slot_date", "slot_time", "offender_id", "booked_at", "room"],
) }}
