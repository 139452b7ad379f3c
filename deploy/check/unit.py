"""The systemd unit and the settings beside it."""

import re
import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path

import sources

UNIT = sources.ROOT / "deploy/systemd/stead.service"
SETTINGS = sources.ROOT / "deploy/systemd/stead.toml"
PROGRAM = "/usr/local/bin/stead"


def verify(text: str) -> list[str]:
    """What systemd itself has to say, where it is installed."""
    tool = shutil.which("systemd-analyze")
    if not tool:
        print("systemd-analyze is not here: the unit's keys were not verified")
        return []
    with tempfile.TemporaryDirectory() as directory:
        unit = Path(directory) / UNIT.name
        # The program need not be installed for its unit to be sound.
        unit.write_text(text.replace(PROGRAM, "/bin/true"))
        done = subprocess.run(
            [tool, "verify", "--man=no", unit], capture_output=True, text=True, timeout=60, check=False
        )
    # Other units of this machine may be unsound; it tells of them too.
    said = [line for line in (done.stdout + done.stderr).splitlines() if UNIT.name in line]
    return said or ([f"systemd-analyze ended with {done.returncode}"] if done.returncode else [])


def disagreements(text: str) -> list[str]:
    """Where it disagrees with the program."""
    known = sources.settings()
    wrong = [
        f"{name} is no setting of the node"
        for name in re.findall(r"^Environment=(\w+)=", text, re.MULTILINE)
        if name not in known
    ]
    stop = sources.seconds(known["STEAD_NODE_STOP_TIMEOUT"])
    found = re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    if not found or int(found[1]) < 2 * stop + 10:
        wrong.append("TimeoutStopSec is too short for a stop")
    if f"ExecStart={PROGRAM} node\n" not in text:
        wrong.append("it doesn't run a node")
    return wrong


def strangers(text: str) -> list[str]:
    """What `stead.toml` sets that is no setting."""
    known = sources.settings()
    names = [
        f"STEAD_{section}_{key}".upper().replace("-", "_")
        for section, keys in tomllib.loads(text).items()
        for key in keys
    ]
    return [f"{name} is no setting of the node" for name in names if name not in known]


def wrong() -> list[str]:
    unit = UNIT.read_text()
    return [f"deploy/systemd/{UNIT.name}: {line}" for line in verify(unit) + disagreements(unit)] + [
        f"deploy/systemd/{SETTINGS.name}: {line}" for line in strangers(SETTINGS.read_text())
    ]


def mistakes_missed() -> list[str]:
    """Mistakes made on purpose that aren't found."""
    unit, settings = UNIT.read_text(), SETTINGS.read_text()
    made = {
        "an unknown variable": disagreements(unit.replace("STEAD_NODE_DATA", "STEAD_NODE_DATE")),
        "a short stop": disagreements(unit.replace("TimeoutStopSec=60", "TimeoutStopSec=10")),
        "another program": disagreements(unit.replace("stead node", "stead nodes")),
        "an unknown setting": strangers(settings.replace("expected-nodes", "expected")),
    }
    if shutil.which("systemd-analyze"):
        made["a misspelt key"] = verify(unit.replace("ProtectHome=", "ProtectHouse="))
        made["a misspelt value"] = verify(unit.replace("Restart=on-failure", "Restart=sometimes"))
    return [f"a mistake was not found: {what} in the unit" for what, found in made.items() if not found]
