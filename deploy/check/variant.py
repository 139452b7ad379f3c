"""One way to deploy: the manifests that its kustomization lists, taken together."""

from pathlib import Path

import yaml

from sources import ROOT

WORKLOADS = ("Deployment", "StatefulSet")


class StrictLoader(yaml.SafeLoader):
    """YAML in which a key that is there twice is an error, as it is for Kubernetes."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is there twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def read(path: Path) -> list[dict]:
    """The documents of a file."""
    documents = yaml.load_all(path.read_text(), Loader=StrictLoader)
    return [document for document in documents if document is not None]


def files(directory: Path) -> list[Path]:
    """The manifests that a directory's kustomization lists, and those of others below."""
    (kustomization,) = read(directory / "kustomization.yaml")
    # Nothing else is understood here, so nothing else may change what is deployed.
    known = {"apiVersion", "kind", "resources"}
    assert set(kustomization) == known, f"{directory}: kustomization.yaml has more than {known}"
    found = []
    for resource in kustomization["resources"]:
        path = (directory / resource).resolve()
        found += files(path) if path.is_dir() else [path]
    return found


class Variant:
    """The manifests of one way to deploy, with names for those that rules look at."""

    def __init__(self, name: str, manifests: list[dict]):
        self.name = name
        self.manifests = manifests

    @classmethod
    def load(cls, name: str) -> "Variant":
        listed = files(ROOT / "deploy/kubernetes" / name)
        return cls(name, [manifest for path in listed for manifest in read(path)])

    def of(self, *kinds: str) -> list[dict]:
        return [manifest for manifest in self.manifests if manifest["kind"] in kinds]

    @property
    def workload(self) -> dict:
        (workload,) = self.of(*WORKLOADS)
        return workload

    @property
    def is_deployment(self) -> bool:
        return self.workload["kind"] == "Deployment"

    @property
    def template(self) -> dict:
        return self.workload["spec"]["template"]

    @property
    def pod(self) -> dict:
        return self.template["spec"]

    @property
    def container(self) -> dict:
        (container,) = self.pod["containers"]
        return container

    @property
    def config(self) -> dict[str, str]:
        (config,) = self.of("ConfigMap")
        return config["data"]

    @property
    def environment(self) -> dict[str, object]:
        """Every variable of the container: its value, or where that comes from."""
        own = self.container["env"]
        return {**self.config, **{entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in own}}

    @property
    def ports(self) -> dict[str, tuple[int, str]]:
        ports = self.container["ports"]
        return {port["name"]: (port["containerPort"], port.get("protocol", "TCP")) for port in ports}

    @property
    def headless(self) -> dict:
        (service,) = [s for s in self.of("Service") if s["spec"].get("clusterIP") == "None"]
        return service
