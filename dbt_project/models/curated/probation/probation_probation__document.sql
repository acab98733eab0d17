{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_current(
    versions=ref("probation_probation__document_versions"),
    key=["document_id"],
    columns=["document_id", "offender_id", "title", "media_type", "content", "size_bytes", "digest", "tags", "stored_at"],
) }}
