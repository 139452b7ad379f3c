"""Mistakes that the checks must find. One that isn't found is a check that is dead."""

import copy

from variant import Variant

EMPTY_DIR = {"emptyDir": {"sizeLimit": "1Gi"}, "name": "data"}


def change(*path, to):
    """A mistake: one value is another. `None` takes it away."""

    def make(manifest):
        for part in path[:-1]:
            manifest = manifest[part]
        if to is None:
            del manifest[path[-1]]
        else:
            manifest[path[-1]] = to

    return make


POD = ("spec", "template", "spec")
CONTAINER = (*POD, "containers", 0)

# Of which manifest, by kind and name; the mistake; the words by which it is found.
# A kind of None is the workload.
MISTAKES = [
    (None, "stead", change(*CONTAINER, "livenessProb", to={}), "livenessProb"),
    (None, "stead", change(*POD, "terminationGracePeriod", to=60), "terminationGracePeriod"),
    (None, "stead", change(*POD, "terminationGracePeriodSeconds", to="60"), "is not of type"),
    ("Service", "stead-peers", change("spec", "publishNotReadyAdresses", to=True), "publishNotReadyAdresses"),
    ("PodDisruptionBudget", "stead", change("spec", "maxUnavailabel", to=1), "maxUnavailabel"),
    ("ConfigMap", "stead", change("data", "STEAD_MEMORY_GUESTS_MAX", to=1), "is not of type"),
    ("NetworkPolicy", "stead", change("kind", to="NetworkPolice"), "schema"),
    (None, "stead", change("spec", "template", "metadata", "labels", to={"app": "stead"}), "selects"),
    ("Service", "stead", change("spec", "selector", to={"app": "stead"}), "Service stead selects"),
    ("PodDisruptionBudget", "stead", change("spec", "selector", "matchLabels", to={}), "budget selects"),
    ("ConfigMap", "stead", change("data", "STEAD_NODE_STOP_TIME", to="15s"), "is no setting"),
    ("ConfigMap", "stead", change("metadata", "name", to="other"), "takes its settings from"),
    ("ConfigMap", "stead", change("data", "STEAD_ADMIN_LISTEN", to="127.0.0.1:8081"), "don't reach"),
    ("ConfigMap", "stead", change("data", "STEAD_CLUSTER_LISTEN", to="0.0.0.0:9"), "listens on"),
    (None, "stead", change(*CONTAINER, "ports", 3, "protocol", to="TCP"), "has no port for"),
    ("Service", "stead", change("spec", "ports", 0, "targetPort", to="http"), "has no port for"),
    ("NetworkPolicy", "stead", change("spec", "ingress", 1, "ports", 0, "port", to="peer"), "has no port for"),
    ("NetworkPolicy", "stead", change("spec", "ingress", 1, "from", to=None), "lets everyone reach"),
    ("Service", "stead-peers", change("spec", "publishNotReadyAddresses", to=False), "hides nodes"),
    ("Service", "stead-peers", change("spec", "ports", 1, "port", to=8083), "not the headless Service"),
    ("ConfigMap", "stead", change("data", "STEAD_CLUSTER_SEEDS", to="stead:8082"), "not the headless Service"),
    ("ConfigMap", "stead", change("data", "STEAD_CLUSTER_ENABLED", to="false"), "don't form a cluster"),
    ("ConfigMap", "stead", change("data", "STEAD_CLUSTER_EXPECTED_NODES", to="1"), "number of replicas"),
    ("ConfigMap", "stead", change("data", "STEAD_CLUSTER_BOOTSTRAP", to="join"), "nobody would found"),
    (None, "stead", change(*CONTAINER, "env", 0, to={"name": "STEAD_LOG_FILTER", "value": "info"}), "own address"),
    (None, "stead", change(*CONTAINER, "livenessProbe", to=None), "'livenessProbe' is missing"),
    (None, "stead", change(*CONTAINER, "livenessProbe", "httpGet", "path", to="/readyz"), "livenessProbe asks"),
    (None, "stead", change(*CONTAINER, "readinessProbe", "httpGet", "port", to="ingress"), "asks port"),
    (None, "stead", change(*POD, "terminationGracePeriodSeconds", to=30), "a stop may take"),
    ("ConfigMap", "stead", change("data", "STEAD_NODE_STOP_TIMEOUT", to="1m"), "a stop may take"),
    ("PodDisruptionBudget", "stead", change("spec", "maxUnavailable", to=2), "more than one pod go"),
    (None, "stead", change("spec", "replicas", to=2), "survive no loss"),
    ("Deployment", "stead", change("spec", "strategy", "rollingUpdate", "maxUnavailable", to=1), "before there is"),
    ("Deployment", "stead", change("spec", "minReadySeconds", to=5), "outrun the healing"),
    ("Deployment", "stead", change("spec", "progressDeadlineSeconds", to=150), "called stuck"),
    ("StatefulSet", "stead", change("spec", "podManagementPolicy", to="OrderedReady"), "the first pod waits"),
    ("StatefulSet", "stead", change("spec", "serviceName", to="stead"), "serviceName"),
    ("StatefulSet", "stead", change("spec", "updateStrategy", "type", to="OnDelete"), "one pod at a time"),
    (None, "stead", change(*POD, "topologySpreadConstraints", 0, "minDomains", to=1), "share a machine"),
    (None, "stead", change(*POD, "topologySpreadConstraints", 1, to=None), "not spread over zones"),
    (None, "stead", change(*POD, "securityContext", "runAsNonRoot", to=False), "may run as root"),
    (None, "stead", change(*POD, "securityContext", "runAsUser", to=1000), "not the image's"),
    (None, "stead", change(*CONTAINER, "securityContext", "readOnlyRootFilesystem", to=False), "written to"),
    (None, "stead", change(*CONTAINER, "securityContext", "capabilities", to={}), "has privileges"),
    (None, "stead", change(*POD, "automountServiceAccountToken", to=True), "has a token"),
    (None, "stead", change(*CONTAINER, "volumeMounts", 0, "mountPath", to="/var"), "node.data"),
    (None, "stead", change(*CONTAINER, "volumeMounts", 0, "name", to="disk"), "there is no volume"),
    ("Deployment", "stead", change(*POD, "volumes", 0, to=EMPTY_DIR), "full emptyDir"),
    ("ConfigMap", "stead", change("data", "STEAD_MEMORY_GUESTS_MAX", to="4GiB"), "the settings need"),
    (None, "stead", change(*CONTAINER, "resources", "requests", "memory", to="1Gi"), "first to be evicted"),
    (None, "stead", change(*CONTAINER, "resources", "limits", "cpu", to="1"), "not limited"),
    (None, "stead", change(*CONTAINER, "resources", "limits", "ephemeral-storage", to="1Gi"), "evicted with"),
    (None, "stead", change(*CONTAINER, "image", to="stead:latest"), "the image is"),
]


def with_each(variant: Variant):
    """The variant with each mistake that can be made in it, the manifest that has it,
    and the words by which it is found."""
    for kind, name, make, words in MISTAKES:
        mistaken = Variant(variant.name, copy.deepcopy(variant.manifests))
        kinds = [kind] if kind else ["Deployment", "StatefulSet"]
        for manifest in mistaken.of(*kinds):
            if manifest["metadata"]["name"] == name:
                make(manifest)
                yield mistaken, manifest, words
