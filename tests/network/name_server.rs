//! A name server, Debian's dnsmasq, on a machine of its own.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use stead_tests::network::Network;

/// The name that stands for the nodes.
pub const NAME: &str = "stead.test";
/// What SRV records for it are kept under.
pub const SERVICE: &str = "_stead._udp.stead.test";

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The server. Stopped when dropped.
pub struct NameServer {
    at: usize,
    hosts: PathBuf,
    child: Option<Child>,
}

/// What a name stands for.
#[derive(Debug, Default, Clone)]
pub struct Records {
    /// The addresses of [`NAME`].
    pub addresses: Vec<IpAddr>,
    /// The machines of [`SERVICE`]: an address and a port of each.
    pub services: Vec<(IpAddr, u16)>,
}

impl NameServer {
    /// A machine for it, on which it doesn't run yet.
    ///
    /// # Panics
    /// If there is no dnsmasq.
    pub fn new(network: &mut Network, directory: &Path) -> Self {
        let there = Command::new("dnsmasq").arg("--version").stdout(Stdio::null()).status();
        assert!(there.is_ok(), "there is no `dnsmasq`: install Debian's dnsmasq-base");
        Self { at: network.add(), hosts: directory.join("hosts"), child: None }
    }

    /// Where it is asked.
    pub fn address(&self, network: &Network) -> IpAddr {
        network.addresses(self.at)[0]
    }

    /// Runs it with these records, in place of what it had, and waits until it
    /// answers.
    ///
    /// # Panics
    /// If it doesn't.
    pub async fn serve(&mut self, network: &Network, records: &Records) {
        self.stop();
        let mut hosts = String::from("192.0.2.1 is.there\n");
        for address in &records.addresses {
            hosts.push_str(&format!("{address} {NAME}\n"));
        }
        for (nth, (address, _)) in records.services.iter().enumerate() {
            hosts.push_str(&format!("{address} machine{nth}.{NAME}\n"));
        }
        std::fs::write(&self.hosts, hosts).expect("written");
        let address = self.address(network).to_string();
        let mut command = network.command(self.at, "dnsmasq");
        command
            .args(["--keep-in-foreground", "--no-resolv", "--no-hosts", "--bind-interfaces"])
            .args(["--conf-file=/dev/null", "--pid-file=", "--user=root", "--local=/test/"])
            .args(["--local-ttl=0", "--port=53"])
            .arg(format!("--listen-address={address}"))
            .arg(format!("--addn-hosts={}", self.hosts.display()));
        for (nth, (_, port)) in records.services.iter().enumerate() {
            command.arg(format!("--srv-host={SERVICE},machine{nth}.{NAME},{port}"));
        }
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(quiet.spawn().expect("dnsmasq starts"));
        let until = Instant::now() + PATIENCE;
        while !self.answers(network, &address) {
            assert!(Instant::now() < until, "dnsmasq does not answer within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether it tells a name that it always knows, as the system's resolver asks.
    fn answers(&self, network: &Network, address: &str) -> bool {
        network.resolve_by(self.at, address.parse().expect("an address"));
        let asked = network.command(self.at, "getent").args(["hosts", "is.there"]).output();
        asked.is_ok_and(|output| output.status.success())
    }

    /// It is no more.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop();
    }
}
