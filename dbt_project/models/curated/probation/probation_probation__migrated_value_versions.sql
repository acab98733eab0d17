{# Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it. #}
{{ scd2_versions(
    source=source("probation_probation_validated", "migrated_value"),
    columns=["value_id", "label", "tiny", "plain", "big", "money", "long_digits", "beyond_decimal", "any_digits", "approximate", "precise", "day", "clock", "moment", "instant", "flag", "short_text", "padded", "long_text", "identity", "document", "document_binary", "raw", "words", "numbers", "level", "origin", "span", "touched"],
    unique_positions=true,
) }}
