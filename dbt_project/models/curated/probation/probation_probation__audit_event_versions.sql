{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_versions(
    source=source("probation_probation_validated", "audit_event"),
    columns=["occurred_at", "actor", "action", "entity", "duration_ms", "detail"],
    unique_positions=true,
) }}
