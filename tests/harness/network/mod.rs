//! A network of our own: a namespace for each node, joined by a bridge, so that
//! what passes between nodes can be cut for real.
//!
//! The bridge is in a namespace too, and one leg of it is here, for callers. Every
//! run has names and addresses of its own, and all of it goes when a [`Network`]
//! is dropped. What runs that were killed have left is cleared by the next.
//!
//! It takes root, `ip` (Debian's iproute2) and `nft` (Debian's nftables);
//! `tests/run.sh` installs them. Without these a test fails, unless
//! `STEAD_NO_NAMESPACES=1` says that it is to be passed over.

mod cut;
mod system;

use std::{
    ffi::OsStr,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

pub use self::cut::Cut;
use self::system::{run, run_with_input, try_run};

/// What names of our namespaces begin with; then come the process and a number.
const PREFIX: &str = "stead";
/// The network for callers' ends has this many subnets: 198.18.0.0/15 is set aside
/// for tests of networks, and nobody's own.
const SUBNETS: u32 = 512;
/// The most machines of one network.
const MACHINES_MAX: usize = 200;
/// The callers' end, in each subnet.
const CALLERS: u8 = 254;

/// A bridge, and the machines at it.
pub struct Network {
    /// What is in every name of it.
    name: String,
    /// The callers' leg.
    leg: String,
    subnet: u32,
    machines: Vec<Machine>,
    /// Whether machines are known by their IPv6 addresses.
    by_v6: bool,
}

/// A namespace at the bridge.
struct Machine {
    name: String,
    /// Its number in the subnet.
    number: u8,
}

impl Network {
    /// A network without machines; `None` if `STEAD_NO_NAMESPACES` says that there
    /// can be none here.
    ///
    /// # Panics
    /// If it can't be made; the message says what it takes.
    #[must_use]
    pub fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if std::env::var_os("STEAD_NO_NAMESPACES").is_some_and(|value| value == "1") {
            println!("passed over: STEAD_NO_NAMESPACES=1");
            return None;
        }
        system::check();
        clear_left_over();
        let (process, nth) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let network = Self {
            name: format!("{PREFIX}-{process}-{nth}"),
            leg: format!("st{process}x{nth}"),
            subnet: free_subnet(process.wrapping_mul(31).wrapping_add(nth)),
            machines: Vec::new(),
            by_v6: false,
        };
        let bridge = network.bridge();
        run("ip", &["netns", "add", &bridge]);
        run("ip", &["-n", &bridge, "link", "add", "bridge", "type", "bridge"]);
        run("ip", &["-n", &bridge, "link", "set", "bridge", "up"]);
        let leg = network.leg.as_str();
        let pair = ["link", "add", leg, "type", "veth", "peer", "name", "callers", "netns"];
        run("ip", &[&pair[..], &[&bridge]].concat());
        run("ip", &["-n", &bridge, "link", "set", "callers", "master", "bridge", "up"]);
        for address in
            [format!("{}/24", network.v4(CALLERS)), format!("{}/64", network.v6(CALLERS))]
        {
            run("ip", &["address", "add", &address, "dev", leg, "nodad"]);
        }
        run("ip", &["link", "set", leg, "up"]);
        Some(network)
    }

    /// The same, with machines that are known by their IPv6 addresses.
    #[must_use]
    pub fn by_v6(mut self) -> Self {
        self.by_v6 = true;
        self
    }

    fn bridge(&self) -> String {
        format!("{}-bridge", self.name)
    }

    fn v4(&self, number: u8) -> Ipv4Addr {
        let [high, low] = [(self.subnet >> 8) as u8, self.subnet as u8];
        Ipv4Addr::new(198, 18 + high, low, number)
    }

    fn v6(&self, number: u8) -> Ipv6Addr {
        Ipv6Addr::new(0xfd53, 0x7465, 0x6164, self.subnet as u16, 0, 0, 0, number.into())
    }

    /// Adds a machine; its number among them, from 0.
    ///
    /// # Panics
    /// If it can't be made.
    pub fn add(&mut self) -> usize {
        let at = self.machines.len();
        assert!(at < MACHINES_MAX, "too many machines");
        let number = u8::try_from(at + 1).expect("it is small");
        let name = format!("{}-{number}", self.name);
        let (bridge, port) = (self.bridge(), format!("port{number}"));
        run("ip", &["netns", "add", &name]);
        self.machines.push(Machine { name: name.clone(), number });
        let ends = ["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &name];
        run("ip", &[&["-n", &bridge], &ends[..]].concat());
        run("ip", &["-n", &bridge, "link", "set", &port, "master", "bridge", "up"]);
        for address in [format!("{}/24", self.v4(number)), format!("{}/64", self.v6(number))] {
            run("ip", &["-n", &name, "address", "add", &address, "dev", "eth0", "nodad"]);
        }
        run("ip", &["-n", &name, "link", "set", "lo", "up"]);
        run("ip", &["-n", &name, "link", "set", "eth0", "up"]);
        at
    }

    /// How many machines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.machines.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.machines.is_empty()
    }

    /// The namespace of a machine.
    #[must_use]
    pub fn namespace(&self, at: usize) -> &str {
        &self.machines[at].name
    }

    /// Where a machine is reached.
    #[must_use]
    pub fn address(&self, at: usize) -> IpAddr {
        let [v4, v6] = self.addresses(at);
        if self.by_v6 { v6 } else { v4 }
    }

    /// A machine's addresses: by IPv4, and by IPv6.
    #[must_use]
    pub fn addresses(&self, at: usize) -> [IpAddr; 2] {
        let number = self.machines[at].number;
        [self.v4(number).into(), self.v6(number).into()]
    }

    /// A port of a machine.
    #[must_use]
    pub fn socket(&self, at: usize, port: u16) -> SocketAddr {
        SocketAddr::new(self.address(at), port)
    }

    /// A program to be run on a machine. Its process is the program's own.
    #[must_use]
    pub fn command(&self, at: usize, program: &str) -> Command {
        command_in(self.namespace(at), program.as_ref())
    }

    /// Has a machine ask a name server, as its `resolv.conf` says.
    ///
    /// # Panics
    /// If that can't be written.
    pub fn resolve_by(&self, at: usize, server: IpAddr) {
        let directory = self.settings(at);
        std::fs::create_dir_all(&directory).expect("a directory for the machine's settings");
        let text = format!("nameserver {server}\noptions timeout:1 attempts:2\n");
        std::fs::write(directory.join("resolv.conf"), text).expect("a resolv.conf");
    }

    fn settings(&self, at: usize) -> PathBuf {
        PathBuf::from("/etc/netns").join(&self.machines[at].name)
    }

    /// Cuts what passes between a machine and others, in place of what was cut
    /// there before. Callers still reach it.
    ///
    /// # Panics
    /// If the rules aren't taken.
    pub fn cut(&self, at: usize, cut: &Cut) {
        let others: Vec<IpAddr> = cut
            .others(self.len(), at)
            .into_iter()
            .flat_map(|other| self.addresses(other))
            .collect();
        let rules = cut.rules(&others);
        run_with_input("ip", &["netns", "exec", self.namespace(at), "nft", "-f", "-"], &rules);
    }

    /// Nothing is cut at a machine any more.
    ///
    /// # Panics
    /// If the rules aren't taken.
    pub fn heal(&self, at: usize) {
        run("ip", &["netns", "exec", self.namespace(at), "nft", "flush", "ruleset"]);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for at in 0..self.len() {
            let _ = std::fs::remove_dir_all(self.settings(at));
        }
        for machine in &self.machines {
            try_run("ip", &["netns", "delete", &machine.name]);
        }
        try_run("ip", &["link", "delete", &self.leg]);
        try_run("ip", &["netns", "delete", &self.bridge()]);
    }
}

/// A program to be run in a namespace: `ip` becomes it, so it has the same process id.
pub(crate) fn command_in(namespace: &str, program: &OsStr) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
}

/// A subnet that no interface here has.
fn free_subnet(from: u32) -> u32 {
    let taken = run("ip", &["-o", "-4", "address", "show"]);
    let free = (0..SUBNETS)
        .map(|nth| from.wrapping_add(nth) % SUBNETS)
        .find(|subnet| !taken.contains(&format!(" 198.{}.{}.", 18 + (subnet >> 8), subnet & 0xff)));
    free.expect("one of 512 test networks is free")
}

/// Removes the namespaces of runs that are no more, and ends what runs in them.
fn clear_left_over() {
    let names = run("ip", &["netns", "list"]);
    for name in names.lines().filter_map(|line| line.split_whitespace().next()) {
        let mut parts = name.split('-');
        let ours = parts.next() == Some(PREFIX);
        let Some(process) = parts.next().and_then(|part| part.parse::<u32>().ok()) else {
            continue;
        };
        if !ours || PathBuf::from(format!("/proc/{process}")).exists() {
            continue;
        }
        for left in try_run("ip", &["netns", "pids", name]).split_whitespace() {
            try_run("kill", &["-KILL", left]);
        }
        let _ = std::fs::remove_dir_all(PathBuf::from("/etc/netns").join(name));
        try_run("ip", &["netns", "delete", name]);
    }
}
