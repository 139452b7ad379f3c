//! Every setting there is: the node's, and where the command line finds a node.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{
    ByteSize,
    entry::section,
    kind::{Bootstrap, LogFilter, LogFormat, Seeds},
};
use crate::client::NodeUrl;

/// A second.
const SECOND: Duration = Duration::from_secs(1);
/// A day.
const DAY: Duration = Duration::from_secs(86_400);

section! {
    /// The node itself.
    NodeSection in "node" {
        /// The directory that holds all that the node keeps. One node at a time may use it.
        data: PathBuf = "data";
        /// How many partitions entities are spread over. Fixed once the data directory exists.
        partitions: u16 = "64", 1 => 4096;
        /// Threads that run entities' code; 0 for as many as the machine has cores.
        worker_threads: u32 = "0", 0 => 1024;
        /// How long a stop waits for accepted work to finish.
        stop_timeout: Duration = "15s", Duration::ZERO => 3600 * SECOND;
    }
}

section! {
    /// Where callers reach entities.
    IngressSection in "ingress" {
        /// The address to listen on. Only this machine can reach the default.
        listen: SocketAddr = "127.0.0.1:8080";
        /// The most connections at once, as far as the process may have open files;
        /// further ones are answered 503 and closed.
        connections_max: u32 = "16384", 1 => 1_000_000;
        /// The most bytes in the head of one request.
        head_size_max: ByteSize = "64KiB", ByteSize::kib(8) => ByteSize::mib(1);
        /// How long the head of a request may take to arrive.
        head_timeout: Duration = "10s", SECOND => 600 * SECOND;
        /// How long the body of a request may pause while it arrives.
        body_pause_max: Duration = "10s", SECOND => 600 * SECOND;
        /// The least bytes a second at which a body has to arrive; 0 for any.
        body_rate_min: ByteSize = "4KiB", ByteSize(0) => ByteSize::mib(64);
        /// The most bytes in memory of all bodies that are arriving; 503 beyond.
        bodies_size_max: ByteSize = "512MiB", ByteSize::mib(1) => ByteSize::gib(1024);
        /// How long a connection may be idle between requests.
        idle_timeout: Duration = "75s", SECOND => DAY;
        /// How long a caller may leave an answer unread.
        write_timeout: Duration = "30s", SECOND => 3600 * SECOND;
        /// The most requests that one HTTP/2 connection may have under way.
        http2_streams_max: u32 = "256", 1 => 10_000;
    }
}

section! {
    /// Where the node is looked at and changed. It has no access control: it is
    /// for those who may do everything.
    AdminSection in "admin" {
        /// The address to listen on. Only this machine can reach the default.
        listen: SocketAddr = "127.0.0.1:8081";
        /// The most connections at once.
        connections_max: u32 = "1024", 1 => 1_000_000;
        /// The most bytes in a component that is deployed.
        component_size_max: ByteSize = "64MiB", ByteSize::kib(64) => ByteSize::gib(1);
        /// The most callers that follow entities' events at once.
        followers_max: u32 = "256", 0 => 100_000;
    }
}

section! {
    /// The cluster that the node is part of, if it has others.
    ClusterSection in "cluster" {
        /// Whether the node forms a cluster with others; if not, it is alone.
        enabled: bool = "false";
        /// The address at which other nodes reach this one, by TCP and by UDP. Keep it
        /// within the cluster's network: what comes there is not authenticated.
        listen: SocketAddr = "127.0.0.1:8082";
        /// The address by which others know the node, if that isn't `listen`; needed where
        /// it listens on all addresses.
        advertise: String = "";
        /// Where other nodes may be found, with commas between: addresses or names with a
        /// port, as in `10.0.0.1:8082` or `stead-peers:8082` (all its A and AAAA records),
        /// or services, as in `srv:_gossip._udp.stead-peers` (the targets and ports of its
        /// SRV records). A name that stands for nothing yet is waited for.
        seeds: Seeds = "";
        /// What a node does that is in no cluster and finds none: `found` one together with
        /// others, or `join`, wait for one. Once the cluster is there, `join` is right.
        bootstrap: Bootstrap = "found";
        /// How many nodes are to found the cluster together, the same on all of them and no
        /// fewer than are started then.
        expected_nodes: u32 = "1", 1 => 1000;
        /// How long a majority of these waits for the rest, before it founds the cluster
        /// without them.
        bootstrap_grace: Duration = "5m", Duration::ZERO => DAY;
        /// How many replicas each partition has: 1, 3 or 5.
        replicas: u8 = "3", 1 => 5;
        /// The zone that the node fails with, if there are several.
        zone: String = "";
        /// How long a node may be gone before its replicas are made again elsewhere.
        grace: Duration = "10s", Duration::from_millis(100) => DAY;
        /// The most bytes a second at which the node sends whole partitions to others.
        transfer_rate: ByteSize = "128MiB", ByteSize::kib(64) => ByteSize::gib(64);
        /// The most partitions that it sends at once; further ones wait.
        transfers_max: u32 = "4", 1 => 256;
    }
}

section! {
    /// What a request may be, and how long it may take.
    RequestsSection in "requests" {
        /// The most bytes in the body of a command or query.
        body_size_max: ByteSize = "1MiB", ByteSize::kib(1) => ByteSize::gib(1);
        /// How long a caller waits at most, unless it asks for less.
        deadline_max: Duration = "10s", Duration::from_millis(10) => 3600 * SECOND;
        /// How long replies are kept under callers' idempotency keys; at least for
        /// `deadline-max`.
        caller_key_retention: Duration = "24h", SECOND => 30 * DAY;
        /// How long replies are kept under ids that the node made for callers without a
        /// key; at least for `deadline-max`.
        minted_id_retention: Duration = "5m", SECOND => 30 * DAY;
    }
}

section! {
    /// What one call of an entity's code may use. Passing a limit ends the call:
    /// the caller gets an error, and nothing of the command is recorded.
    GuestsSection in "guests" {
        /// How long one command or query may run.
        call_timeout: Duration = "1s", Duration::from_millis(10) => 600 * SECOND;
        /// How long one crossing of replay, a restore or a snapshot may run.
        replay_timeout: Duration = "5s", Duration::from_millis(10) => 3600 * SECOND;
        /// The most memory of one instance, which many entities share.
        instance_memory_max: ByteSize = "1GiB", ByteSize::mib(1) => ByteSize::gib(4);
        /// The most that an instance's memory may grow in one call.
        entity_memory_max: ByteSize = "64MiB", ByteSize::kib(64) => ByteSize::gib(4);
        /// The stack of one call.
        stack_size_max: ByteSize = "512KiB", ByteSize::kib(64) => ByteSize::mib(8);
        /// The most events that one command may record.
        outcome_events_max: u32 = "1000", 1 => 1_000_000;
        /// The most bytes that one command may produce: events, reply and effects together.
        outcome_size_max: ByteSize = "4MiB", ByteSize::kib(1) => ByteSize::gib(1);
        /// The most bytes in one reply.
        reply_size_max: ByteSize = "1MiB", ByteSize::kib(1) => ByteSize::gib(1);
        /// The most bytes in a snapshot; an entity beyond it goes on without snapshots.
        snapshot_size_max: ByteSize = "4MiB", ByteSize::kib(1) => ByteSize::gib(1);
        /// The most bytes in one log line of an entity's code; the rest is cut.
        log_line_size_max: ByteSize = "8KiB", ByteSize(64) => ByteSize::mib(1);
        /// The most log lines from one call; the rest is counted and dropped.
        log_lines_max: u32 = "100", 0 => 1_000_000;
    }
}

section! {
    /// How many entities wait and live.
    EntitiesSection in "entities" {
        /// The most requests that may wait for one entity; further ones are answered 429.
        mailbox_max: u32 = "1024", 1 => 1_000_000;
        /// The most requests that may wait in one partition; further ones are answered 429.
        partition_mailbox_max: u32 = "16384", 1 => 10_000_000;
        /// The most entities in memory at once; beyond it, those idle longest are let go.
        live_max: u64 = "1000000", 1 => 1_000_000_000;
        /// An entity that nobody asked for this long is let go.
        idle_timeout: Duration = "10m", SECOND => 365 * DAY;
        /// The most entities that one partition brings back at once; others wait.
        replays_max: u32 = "4", 1 => 10_000;
        /// How long an entity whose code failed keeps an instance of its own.
        quarantine: Duration = "1m", Duration::ZERO => DAY;
    }
}

section! {
    /// How much memory the node uses.
    MemorySection in "memory" {
        /// The most memory of all entities' code together.
        guests_max: ByteSize = "4GiB", ByteSize::mib(16) => ByteSize::gib(4096);
        /// The caches of all partitions' stores together.
        store_caches: ByteSize = "256MiB", ByteSize::mib(16) => ByteSize::gib(4096);
    }
}

section! {
    /// The node's log and its partitions' stores.
    JournalSection in "journal" {
        /// A log segment of this size is closed and the next begun.
        segment_size: ByteSize = "64MiB", ByteSize::mib(1) => ByteSize::gib(4);
        /// How old a partition's durable store may get before it is written anew; more
        /// is more log to read again after a crash, less is more writing.
        checkpoint_age: Duration = "30s", SECOND => 3600 * SECOND;
        /// How much log may gather behind a partition's store before it is written anew.
        checkpoint_size: ByteSize = "32MiB", ByteSize::kib(64) => ByteSize::gib(4);
        /// How much log is kept for replicas that are behind, so that a node that was away
        /// needs no whole partitions; all that others may need is read again at a start.
        log_keep_size: ByteSize = "1GiB", ByteSize(0) => ByteSize::gib(4);
        /// For how long it is kept.
        log_keep_age: Duration = "1h", Duration::ZERO => 30 * DAY;
        /// Whether every stored record's checksum is verified at start. Slow on large journals.
        verify_on_start: bool = "false";
    }
}

section! {
    /// Breaking things on purpose.
    ChaosSection in "chaos" {
        /// Whether the node may be told to cut itself off from others, to see what the cluster
        /// does then. `stead up` sets it; nobody else should.
        enabled: bool = "false";
    }
}

section! {
    /// The node's own log lines, on standard error.
    LogSection in "log" {
        /// Which lines are wanted: a level, or levels by target.
        filter: LogFilter = "info";
        /// What lines look like: `text` for people, `json` for programs.
        format: LogFormat = "text";
    }
}

section! {
    /// Where the command line finds a node. The node itself doesn't read this.
    ClientSection in "client" {
        /// The node's admin address.
        admin: NodeUrl = "http://127.0.0.1:8081" also "STEAD_ADMIN";
        /// The node's ingress address.
        ingress: NodeUrl = "http://127.0.0.1:8080" also "STEAD_INGRESS";
        /// How long an answer may take.
        timeout: Duration = "30s", Duration::from_millis(10) => 3600 * SECOND;
    }
}
