"""What must hold between the manifests, and between them and the program.

A rule takes a variant and yields what is wrong, a sentence each.
"""

import sources

# A stop takes the stop timeout twice, for requests and then for work that was
# accepted, and a few seconds to leave and to close the stores.
STOP_SPARE_S = 10
# What a node needs beside what its settings bound: itself, and compiling.
MEMORY_SPARE_MIB = 1024


def selectors_match_the_pods(variant):
    labels = variant.template["metadata"]["labels"]
    selectors = [("the workload", variant.workload["spec"]["selector"]["matchLabels"])]
    for manifest in variant.of("Service"):
        selectors.append((f"Service {manifest['metadata']['name']}", manifest["spec"]["selector"]))
    for manifest in variant.of("PodDisruptionBudget"):
        selectors.append(("the disruption budget", manifest["spec"]["selector"]["matchLabels"]))
    for manifest in variant.of("NetworkPolicy"):
        selectors.append(("the network policy", manifest["spec"]["podSelector"]["matchLabels"]))
        for rule in manifest["spec"]["ingress"]:
            for peer in rule.get("from", []):
                selectors.append(("a peer of the network policy", peer["podSelector"]["matchLabels"]))
    for spread in variant.pod["topologySpreadConstraints"]:
        selectors.append((f"the spread over {spread['topologyKey']}", spread["labelSelector"]["matchLabels"]))
    for what, selector in selectors:
        if not selector or not selector.items() <= labels.items():
            yield f"{what} selects {selector}, but the pods are labelled {labels}"


def settings_exist(variant):
    known = sources.settings()
    for name in variant.environment:
        if name not in known:
            yield f"{name} is no setting of the node"
    references = [source["configMapRef"]["name"] for source in variant.container["envFrom"]]
    (config,) = variant.of("ConfigMap")
    if references != [config["metadata"]["name"]]:
        yield f"the pod takes its settings from {references}"


def ports_are_those_listened_on(variant):
    listens = {"ingress": "INGRESS", "admin": "ADMIN", "peers": "CLUSTER", "gossip": "CLUSTER"}
    wanted = {}
    for name, section in listens.items():
        address = variant.environment[f"STEAD_{section}_LISTEN"]
        host, _, port = address.rpartition(":")
        wanted[name] = (int(port), "UDP" if name == "gossip" else "TCP")
        if host not in ("0.0.0.0", "[::]"):
            yield f"STEAD_{section}_LISTEN is {address}, which other pods and probes don't reach"
    if variant.ports != wanted:
        yield f"the pod's ports are {variant.ports}, and the node listens on {wanted}"


def services_and_policies_name_ports_of_the_pod(variant):
    for service in variant.of("Service"):
        for port in service["spec"]["ports"]:
            of_pod = variant.ports.get(port["targetPort"])
            if of_pod is None or of_pod[1] != port.get("protocol", "TCP"):
                yield f"Service {service['metadata']['name']}: the pod has no port for {port}"
    for policy in variant.of("NetworkPolicy"):
        for rule in policy["spec"]["ingress"]:
            for port in rule["ports"]:
                of_pod = variant.ports.get(port["port"])
                if of_pod is None or of_pod[1] != port["protocol"]:
                    yield f"the network policy: the pod has no port for {port}"
                if port["port"] != "ingress" and not rule.get("from"):
                    yield f"the network policy lets everyone reach {port['port']}"


def nodes_find_each_other(variant):
    headless, environment = variant.headless, variant.environment
    if headless["spec"].get("publishNotReadyAddresses") is not True:
        yield "the headless Service hides nodes that aren't ready, so none will ever be"
    name, _, seed_port = environment["STEAD_CLUSTER_SEEDS"].partition(":")
    ports = {(port["targetPort"], port["port"]) for port in headless["spec"]["ports"]}
    if name != headless["metadata"]["name"] or ports != {("peers", int(seed_port)), ("gossip", int(seed_port))}:
        yield "STEAD_CLUSTER_SEEDS is not the headless Service, by TCP and by UDP"
    # Others are asked at the address that a name stands for, with the seed's port.
    if int(seed_port) != variant.ports["gossip"][0]:
        yield "the seeds' port is not the one that nodes listen on"
    if environment.get("STEAD_CLUSTER_ADVERTISE") != {"fieldRef": {"fieldPath": "status.podIP"}}:
        yield "STEAD_CLUSTER_ADVERTISE is not the pod's own address"
    if environment["STEAD_CLUSTER_ENABLED"] != "true":
        yield "the nodes don't form a cluster"
    if int(environment["STEAD_CLUSTER_EXPECTED_NODES"]) != variant.workload["spec"]["replicas"]:
        yield "STEAD_CLUSTER_EXPECTED_NODES is not the number of replicas"
    if environment["STEAD_CLUSTER_BOOTSTRAP"] != "found":
        yield "nobody would found the cluster"


def probes_mean_what_they_say(variant):
    # Alive is not ready: a node without a quorum must not be restarted for it.
    wanted = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    served = sources.admin_paths()
    for probe, path in wanted.items():
        asked = variant.container[probe]["httpGet"]
        if asked["path"] != path or path not in served:
            yield f"{probe} asks for {asked['path']}, not for {path}"
        if asked["port"] != "admin" or asked["port"] not in variant.ports:
            yield f"{probe} asks port {asked['port']}"


def a_stop_has_time(variant):
    stop = sources.seconds(variant.environment["STEAD_NODE_STOP_TIMEOUT"])
    before = variant.container["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed = before + 2 * stop + STOP_SPARE_S
    grace = variant.pod["terminationGracePeriodSeconds"]
    if grace < needed:
        yield f"terminationGracePeriodSeconds is {grace}, and a stop may take {needed} s"


def rollouts_take_one_node_at_a_time(variant):
    spec = variant.workload["spec"]
    (budget,) = variant.of("PodDisruptionBudget")
    if budget["spec"].get("maxUnavailable") != 1:
        yield "the disruption budget lets more than one pod go"
    if spec["replicas"] < 3:
        yield "fewer than three nodes survive no loss"
    if variant.is_deployment:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
        if spec.get("strategy") != strategy:
            yield "a rollout takes a pod away before there is a new one"
        delay = variant.container["readinessProbe"].get("initialDelaySeconds", 0)
        if delay < 60 or spec.get("minReadySeconds", 0) < 120:
            yield "a rollout or evictions may outrun the healing"
        if spec["progressDeadlineSeconds"] <= delay + spec["minReadySeconds"]:
            yield "a rollout is called stuck before its first pod can be available"
    else:
        if spec.get("podManagementPolicy") != "Parallel":
            yield "the first pod waits to be ready, and it can't be without the others"
        if spec["serviceName"] != variant.headless["metadata"]["name"]:
            yield "serviceName is not the headless Service"
        if spec["updateStrategy"] != {"type": "RollingUpdate"}:
            yield "a rollout doesn't take one pod at a time"


def machines_take_one_node_with_them(variant):
    spreads = {spread["topologyKey"]: spread for spread in variant.pod["topologySpreadConstraints"]}
    machines = spreads.get("kubernetes.io/hostname", {})
    wanted = {"maxSkew": 1, "minDomains": 3, "whenUnsatisfiable": "DoNotSchedule"}
    if not wanted.items() <= machines.items():
        yield "pods may share a machine"
    if "topology.kubernetes.io/zone" not in spreads:
        yield "pods are not spread over zones"


def pods_have_no_privileges(variant):
    pod, container = variant.pod["securityContext"], variant.container["securityContext"]
    if pod.get("runAsNonRoot") is not True or pod.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "the pod may run as root, or call the system as it likes"
    image = (sources.ROOT / "deploy/Dockerfile").read_text()
    if f"USER {pod.get('runAsUser')}:{pod.get('runAsGroup')}\n" not in image:
        yield "the pod's user is not the image's"
    if container.get("readOnlyRootFilesystem") is not True:
        yield "the root filesystem can be written to"
    if container.get("allowPrivilegeEscalation") is not False or container["capabilities"] != {"drop": ["ALL"]}:
        yield "the container has privileges"
    if variant.pod.get("automountServiceAccountToken") is not False:
        yield "the pod has a token of the Kubernetes API"


def data_has_a_place(variant):
    (mount,) = variant.container["volumeMounts"]
    if mount["mountPath"] != variant.environment["STEAD_NODE_DATA"] or mount.get("readOnly"):
        yield "node.data is not where the volume is"
    if variant.is_deployment:
        (volume,) = variant.pod["volumes"]
        if "sizeLimit" in volume.get("emptyDir", {"sizeLimit": "no emptyDir at all"}):
            yield "a full emptyDir has pods evicted with their data, all at about the same time"
    else:
        (volume,) = [claim["metadata"] for claim in variant.workload["spec"]["volumeClaimTemplates"]]
    if volume["name"] != mount["name"]:
        yield f"there is no volume {mount['name']}"


def resources_fit_the_settings(variant):
    requests, limits = (variant.container["resources"].get(of, {}) for of in ("requests", "limits"))
    bounded = ("STEAD_MEMORY_GUESTS_MAX", "STEAD_MEMORY_STORE_CACHES", "STEAD_INGRESS_BODIES_SIZE_MAX")
    needed = sum(sources.mebibytes(variant.environment[name]) for name in bounded) + MEMORY_SPARE_MIB
    if "memory" not in limits or sources.mebibytes(limits["memory"]) < needed:
        yield f"the memory limit is {limits.get('memory')}, and the settings need {needed}Mi"
    if requests.get("memory") != limits.get("memory"):
        yield "a pod that uses more memory than it asked for is among the first to be evicted"
    if "cpu" not in requests or "cpu" in limits:
        yield "the processor is to be asked for, and not limited"
    if "ephemeral-storage" in limits:
        yield "a limit on ephemeral storage has pods evicted with their data"


def the_image_is_this_version(variant):
    wanted = f"stead:{sources.version()}"
    if variant.container["image"] != wanted:
        yield f"the image is {variant.container['image']}, and this is {wanted}"


RULES = [rule for name, rule in list(globals().items()) if callable(rule) and not name.startswith("_")]
