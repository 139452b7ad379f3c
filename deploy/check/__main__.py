"""Checks deploy/: the manifests by the schemas of Kubernetes and by rules of our own,
the image's description, and the systemd unit. Then makes mistakes in them on purpose
and checks that each is found.

    bash tests/manifests.sh

installs what this needs and runs it.
"""

import sys

import image
import mistakes
import rules
import schemas
import unit
from sources import ROOT
from variant import Variant, files, read

VARIANTS = ("deployment", "statefulset")
# Where the variants' pods may differ.
OWN = {"STEAD_CLUSTER_GRACE", "initialDelaySeconds", "ephemeral-storage", "volumes"}


def by_rules(variant: Variant) -> list[str]:
    found = []
    for rule in rules.RULES:
        try:
            found += [f"{variant.name}: {wrong}" for wrong in rule(variant)]
        except (KeyError, IndexError, ValueError) as error:
            # What may be left out for Kubernetes may not for us.
            found.append(f"{variant.name}: {rule.__name__}: {error} is missing or can't be read")
    return found


def common(value):
    """A pod template without what is one variant's own."""
    if isinstance(value, dict):
        return {key: common(part) for key, part in value.items() if key not in OWN}
    if isinstance(value, list):
        named = [part for part in value if not (isinstance(part, dict) and part.get("name") in OWN)]
        return [common(part) for part in named]
    return value


def of_manifests(variants: list[Variant]):
    directory = ROOT / "deploy/kubernetes"
    listed = {path for variant in VARIANTS for path in files(directory / variant)}
    there = {path for path in directory.rglob("*.y*ml") if path.name != "kustomization.yaml"}
    for path in sorted(there - listed):
        yield f"{path.relative_to(ROOT)} is in no kustomization"
    for path in sorted(listed):
        for manifest in read(path):
            for wrong in schemas.wrong(manifest):
                yield f"{path.relative_to(ROOT)}: {wrong}"
    for variant in variants:
        yield from by_rules(variant)
    one, other = variants
    if common(one.template) != common(other.template):
        yield f"the pods of {one.name} and {other.name} differ in more than {sorted(OWN)}"


def of_mistakes(variants: list[Variant]):
    made = 0
    for variant in variants:
        for mistaken, manifest, words in mistakes.with_each(variant):
            made += 1
            found = list(schemas.wrong(manifest))
            # Rules take it that the schemas are kept to.
            found = found or by_rules(mistaken)
            if not any(words in wrong for wrong in found):
                yield f"a mistake was not found: {words!r} in {variant.name}; found: {found}"
    if made < len(mistakes.MISTAKES):
        yield "not every mistake could be made"
    print(f"mistakes made on purpose: {made}")


def main() -> int:
    variants = [Variant.load(name) for name in VARIANTS]
    wrong = [*of_manifests(variants), *image.wrong(), *unit.wrong()]
    # Only what is right can be made wrong.
    wrong = wrong or [*of_mistakes(variants), *image.mistakes_missed(), *unit.mistakes_missed()]
    for sentence in wrong:
        print(f"wrong: {sentence}", file=sys.stderr)
    if not wrong:
        print(f"deploy/ is sound; Kubernetes {schemas.OLDEST} and {schemas.NEWEST}")
    return 1 if wrong else 0


sys.exit(main())
