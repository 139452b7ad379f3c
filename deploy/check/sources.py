"""What the manifests have to agree with, read from where it is defined."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def settings() -> dict[str, str]:
    """Every setting's environment variable, and its default."""
    text = (ROOT / "host/stead/src/config/sections.rs").read_text()
    found = {}
    for section in re.finditer(r'\w+ in "(\w+)" \{(.*?)^\s{4}\}', text, re.DOTALL | re.MULTILINE):
        for entry in re.finditer(r'^\s+(\w+): [\w:]+ = "([^"]*)"', section[2], re.MULTILINE):
            found[f"STEAD_{section[1]}_{entry[1]}".upper()] = entry[2]
    assert "STEAD_NODE_DATA" in found and len(found) > 40, "the settings could not be read"
    return found


def admin_paths() -> set[str]:
    """The paths that the admin API serves."""
    text = (ROOT / "host/ingress/src/admin/mod.rs").read_text()
    found = set(re.findall(r'\.route\(\s*"([^"]+)"', text))
    assert found, "the admin API's paths could not be read"
    return found


def version() -> str:
    """The workspace's version."""
    text = (ROOT / "Cargo.toml").read_text()
    found = re.search(r'^\[workspace\.package\]\nversion = "([^"]+)"', text, re.MULTILINE)
    assert found, "the version could not be read"
    return found[1]


def seconds(span: str) -> int:
    """A span as settings have it, in seconds."""
    found = re.fullmatch(r"(\d+)(s|m|h)", span)
    if not found:
        raise ValueError(f"{span!r}, a span of s, m or h,")
    return int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def mebibytes(size: str) -> int:
    """A size as settings or Kubernetes have it, in MiB."""
    found = re.fullmatch(r"(\d+)(Mi|Gi)B?", size)
    if not found:
        raise ValueError(f"{size!r}, a size of Mi or Gi,")
    return int(found[1]) * {"Mi": 1, "Gi": 1024}[found[2]]
