"""The image's description: linted, and what it copies is there. It is not built."""

import re
import subprocess
import sys
from pathlib import Path

from sources import ROOT

DOCKERFILE = ROOT / "deploy/Dockerfile"
HADOLINT = Path(sys.executable).with_name("hadolint")


def lint(text: str) -> list[str]:
    done = subprocess.run(
        [HADOLINT, "--no-color", "-"], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    found = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return found or ([f"hadolint ended with {done.returncode}"] if done.returncode else [])


def missing(text: str) -> list[str]:
    """What is copied from the repository and isn't there."""
    wrong = []
    for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE):
        *copied, _ = [part for part in line.split() if not part.startswith("--")]
        if "--from=" not in line:
            wrong += [f"deploy/Dockerfile copies {path}" for path in copied if not (ROOT / path).exists()]
    return wrong


def unlike(text: str) -> list[str]:
    """Where it disagrees with the workspace."""
    cargo = (ROOT / "Cargo.toml").read_text()
    rust = re.search(r'^rust-version = "([^"]+)"', cargo, re.MULTILINE)
    profile = re.search(r"--profile (\w+)", text)
    wrong = []
    if not rust or f"FROM rust:{rust[1]}-" not in text:
        wrong.append("deploy/Dockerfile doesn't build with the workspace's Rust")
    if not profile or f"[profile.{profile[1]}]" not in cargo or f"target/{profile[1]}/stead" not in text:
        wrong.append("deploy/Dockerfile doesn't build with a profile of the workspace")
    return wrong


def wrong() -> list[str]:
    text = DOCKERFILE.read_text()
    return [f"deploy/Dockerfile: {line}" for line in lint(text)] + missing(text) + unlike(text)


def mistakes_missed() -> list[str]:
    """Mistakes made on purpose that aren't found."""
    text = DOCKERFILE.read_text()
    made = {
        "an unknown instruction": lint(text.replace("EXPOSE", "EXPOSES")),
        "an image without a tag": lint(text.replace("debian:bookworm-slim", "debian")),
        "a path that isn't there": missing(text.replace("COPY . .", "COPY nowhere .")),
        "another Rust": unlike(text.replace("FROM rust:", "FROM rust:0")),
        "no profile": unlike(text.replace("--profile dist", "--profile none")),
    }
    return [f"a mistake was not found: {what}" for what, found in made.items() if not found]
