"""The commands of `dms-assets`, one file each; `dms_assets.cli` imports one only when it is asked for."""
