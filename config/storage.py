"""How static files are stored: under names with a hash of their content, so that browsers may keep them for ever."""

from servestatic.storage import CompressedManifestStaticFilesStorage


class HashedStaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Also puts the hashed names into the `import` statements of ES modules."""

    support_js_module_import_aggregation = True
