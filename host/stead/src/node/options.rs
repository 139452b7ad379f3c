//! From settings to what the rooms below want to be told.

use std::{
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    path::Path,
    process::Command,
    sync::Arc,
};

use stead_cluster::{
    Advertised, ClusterOptions, Compiler, EngineConfig, JournalOptions, LoadLimits, NodeOptions,
    PlacementSettings, RealDisk, Replicas, SandboxOptions, TransferLimits,
};
use stead_ingress::{AdminOptions, BodyLimits, ConnectionLimits, IngressOptions};

use crate::{
    commands::COMPILE_WORKER,
    config::{Bootstrap, ByteSize, NodeConfig, span},
    failure::Failure,
};

/// The newest version of the protocol between nodes that a node speaks: set by tests
/// that upgrade a cluster node by node, and no setting.
const PROTOCOL_MAX: &str = "TEST_STEAD_PROTOCOL_MAX";

/// What the entity endpoints allow.
pub fn ingress(config: &NodeConfig, open_files_max: u64) -> IngressOptions {
    IngressOptions {
        connections: connections(config, config.ingress.connections_max, open_files_max),
        bodies: bodies(config),
        requests: config.request_limits(),
    }
}

/// What the admin API allows.
pub fn admin(config: &NodeConfig, open_files_max: u64) -> AdminOptions {
    AdminOptions {
        connections: connections(config, config.admin.connections_max, open_files_max),
        bodies: BodyLimits {
            // Room for a few uploads at once.
            total_bytes_max: config.admin.component_size_max.as_usize().saturating_mul(4),
            ..bodies(config)
        },
        component_bytes_max: config.admin.component_size_max.as_usize(),
        followers_max: count(config.admin.followers_max),
        ..AdminOptions::default()
    }
}

/// How the node itself is opened.
pub fn node(config: &NodeConfig) -> Result<NodeOptions, Failure> {
    let directory = &config.node.data;
    let disk = RealDisk::open(&directory.join("journal")).map_err(|error| {
        Failure::failed(format!("{} can't be used: {error}", directory.display()))
            .hint("node.data, or --data, names the directory that the node keeps its data in")
    })?;
    Ok(NodeOptions {
        directory: directory.clone(),
        disk: Arc::new(disk),
        journal: journal(config),
        sandbox: sandbox(config, directory),
        engine: engine(config),
        workers: config.worker_threads(),
    })
}

/// With whom the node forms a cluster, if it does. Takes its addresses.
pub fn cluster(
    config: &NodeConfig,
    ingress: SocketAddr,
) -> Result<Option<ClusterOptions>, Failure> {
    let section = &config.cluster;
    if !section.enabled {
        return Ok(None);
    }
    let taken = |error: std::io::Error| {
        Failure::failed(format!("cluster.listen: {} can't be listened on: {error}", section.listen))
            .hint("it takes the port by TCP and by UDP; is another node running?")
    };
    let peers = TcpListener::bind(section.listen).map_err(taken)?;
    let listen = peers.local_addr().map_err(taken)?;
    let gossip = UdpSocket::bind(listen).map_err(taken)?;
    let advertised =
        if section.advertise.is_empty() { listen } else { advertised(config, listen)? };
    if advertised.ip().is_unspecified() {
        return Err(Failure::failed(format!(
            "cluster.advertise: other nodes can't reach this one at {advertised}"
        ))
        .hint("set cluster.advertise to an address of this machine that they can reach"));
    }
    let replicas = Replicas::try_from(section.replicas)
        .map_err(|error| Failure::failed(format!("cluster.replicas: {error}")))?;
    let ingress = match ingress.ip().is_unspecified() {
        true => SocketAddr::new(advertised.ip(), ingress.port()),
        false => ingress,
    };
    Ok(Some(ClusterOptions {
        gossip,
        peers,
        advertised: Advertised { gossip: advertised, peer: advertised, ingress },
        seeds: section.seeds.0.clone(),
        expected: section.expected_nodes,
        may_found: section.bootstrap == Bootstrap::Found,
        founding_grace: section.bootstrap_grace,
        zone: section.zone.clone(),
        placement: PlacementSettings {
            replicas,
            partitions: config.partitions(),
            grace_ms: span::as_ms(section.grace),
            ..PlacementSettings::default()
        },
        transfers: TransferLimits {
            bytes_per_second: section.transfer_rate.0,
            at_once: count(section.transfers_max),
        },
        protocol_max: std::env::var(PROTOCOL_MAX).ok().and_then(|max| max.parse().ok()),
        may_be_cut_off: config.chaos.enabled,
    }))
}

/// An address to advertise: with the port that is listened on, if it names none.
fn advertised(config: &NodeConfig, listen: SocketAddr) -> Result<SocketAddr, Failure> {
    let given = config.cluster.advertise.as_str();
    let address = given
        .parse::<SocketAddr>()
        .or_else(|_| given.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, listen.port())));
    address.map_err(|_| {
        Failure::failed(format!("cluster.advertise: {given:?} is no address"))
            .hint("it is an IP address, with or without a port")
    })
}

fn journal(config: &NodeConfig) -> JournalOptions {
    JournalOptions {
        partitions: config.partitions(),
        segment_bytes: config.journal.segment_size.0,
        checkpoint_age_ms: span::as_ms(config.journal.checkpoint_age),
        checkpoint_bytes: config.journal.checkpoint_size.0,
        cache_bytes: config.memory.store_caches.as_usize(),
        verify: config.journal.verify_on_start,
        log_keep_bytes: config.journal.log_keep_size.0,
        log_keep_ms: span::as_ms(config.journal.log_keep_age),
        ..JournalOptions::default()
    }
}

fn sandbox(config: &NodeConfig, directory: &Path) -> SandboxOptions {
    let mut options = SandboxOptions::new(config.guest_limits());
    options.load = LoadLimits {
        component_bytes_max: config.admin.component_size_max.as_usize(),
        ..LoadLimits::default()
    };
    options.cache_dir = Some(directory.join("compiled"));
    // Compiling is bounded in memory and time by being another process.
    options.compiler = Compiler::Child(Arc::new(|| {
        let program = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
        let mut command = Command::new(program);
        command.arg(COMPILE_WORKER);
        command
    }));
    options
}

fn engine(config: &NodeConfig) -> EngineConfig {
    let partitions = u64::from(config.node.partitions);
    // Entities don't spread quite evenly; an eighth more is room for that.
    let live = config.entities.live_max.div_ceil(partitions);
    EngineConfig {
        entity_waiting_max: count(config.entities.mailbox_max),
        waiting_max: count(config.entities.partition_mailbox_max),
        live_max: usize::try_from(live + live / 8).unwrap_or(usize::MAX),
        memory_bytes_max: config.memory.guests_max.as_usize()
            / usize::from(config.node.partitions).max(1),
        idle_ms_max: span::as_ms(config.entities.idle_timeout),
        replays_max: count(config.entities.replays_max),
        quarantine_ms: span::as_ms(config.entities.quarantine),
        snapshot_bytes_max: config.guests.snapshot_size_max.as_usize(),
        requests: config.request_limits(),
        ..EngineConfig::default()
    }
}

fn connections(config: &NodeConfig, connections_max: u32, open_files_max: u64) -> ConnectionLimits {
    let ingress = &config.ingress;
    ConnectionLimits {
        connections_max: count(connections_max),
        head_ms_max: span::as_ms(ingress.head_timeout),
        head_bytes_max: u32::try_from(ingress.head_size_max.0).unwrap_or(u32::MAX),
        idle_ms_max: span::as_ms(ingress.idle_timeout),
        write_stall_ms_max: span::as_ms(ingress.write_timeout),
        drain_ms_max: span::as_ms(config.node.stop_timeout),
        http2_streams_max: ingress.http2_streams_max,
        ..ConnectionLimits::default()
    }
    .within_open_files(open_files_max)
}

fn bodies(config: &NodeConfig) -> BodyLimits {
    let ByteSize(rate_min) = config.ingress.body_rate_min;
    BodyLimits {
        stall_ms_max: span::as_ms(config.ingress.body_pause_max),
        rate_min,
        total_bytes_max: config.ingress.bodies_size_max.as_usize(),
        ..BodyLimits::default()
    }
}

fn count(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    /// The rooms' own defaults and those of the settings must not drift apart.
    #[test]
    fn the_defaults_are_those_of_the_rooms() {
        let config = NodeConfig::from_settings(&Settings::defaults());
        assert_eq!(ingress(&config, u64::MAX), IngressOptions::default());
        assert_eq!(admin(&config, u64::MAX), AdminOptions::default());
    }
}
