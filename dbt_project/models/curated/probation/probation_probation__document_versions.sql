{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_versions(
    source=source("probation_probation_validated", "document"),
    columns=["document_id", "offender_id", "title", "media_type", "content", "size_bytes", "digest", "tags", "stored_at"],
    unique_positions=true,
) }}
