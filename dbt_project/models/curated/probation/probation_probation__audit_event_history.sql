{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_history(
    versions=ref("probation_probation__audit_event_versions"),
    key=[],
    columns=["occurred_at", "actor", "action", "entity", "duration_ms", "detail"],
) }}
