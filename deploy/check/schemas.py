"""Manifests against the schemas of Kubernetes, from the oldest version that has all
that is used to the newest that there are schemas of. Unknown fields are refused."""

import kubernetes_validate
from kubernetes_validate.utils import InvalidSchemaError, SchemaNotFoundError, ValidationError

# 1.30 is the first that has preStop.sleep by default.
OLDEST, NEWEST = "1.30", "1.37"


def wrong(manifest: dict):
    """What is wrong with a manifest, a sentence each."""
    what = f"{manifest.get('kind')} {manifest.get('metadata', {}).get('name')}"
    for version in (OLDEST, NEWEST):
        try:
            checked = kubernetes_validate.validate(manifest, version, strict=True)
            # It takes an older version's schema where it has none of this one.
            assert checked == version, f"there is no schema of {version}"
        except ValidationError as error:
            place = ".".join(str(part) for part in error.path)
            yield f"{what}, by the schema of {version}: {place or 'top'}: {error.message}"
        except (SchemaNotFoundError, InvalidSchemaError) as error:
            yield f"{what}: {error.message}"
