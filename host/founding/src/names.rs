//! What seeds stand for now.
//!
//! The system's own settings are read anew each time: `/etc/resolv.conf` with its
//! search domains, and `/etc/hosts`. Nothing is kept from one time to the next, so
//! that nodes that came since are seen, whatever their records' time to live says.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures::{StreamExt, stream};
use hickory_resolver::{
    Hosts, TokioResolver,
    config::{
        ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
        ResolverOpts,
    },
    lookup::Lookup,
    net::runtime::TokioRuntimeProvider,
    proto::{
        op::Query,
        rr::{Name, RData, RecordType},
    },
    system_conf,
};

use crate::Seed;

/// The most addresses that all seeds together stand for; the rest is left out.
pub const ADDRESSES_MAX: usize = 64;

/// How long a server of names may take to answer, before it is asked once more.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// How long all that one seed needs may take.
const SEED_TIMEOUT: Duration = Duration::from_secs(5);
/// How many seeds, or targets of a service, are looked up at once.
const AT_ONCE: usize = 8;

/// Who is asked for names.
#[derive(Debug, Clone)]
pub struct Names(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Given { servers: Vec<SocketAddr>, search: Vec<String>, hosts: String },
}

/// What seeds stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The addresses, at most [`ADDRESSES_MAX`].
    pub addresses: BTreeSet<SocketAddr>,
    /// How many more there were.
    pub left_out: usize,
    /// Those that stand for nothing now, and why.
    pub unresolved: Vec<(Seed, String)>,
}

impl Names {
    /// Whoever the system is set to ask.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// These servers, after the lines of a file of hosts.
    #[must_use]
    pub fn given(servers: Vec<SocketAddr>, search: Vec<String>, hosts: String) -> Self {
        Self(Source::Given { servers, search, hosts })
    }

    /// Looks all seeds up. One that stands for nothing is told, and no error: it may
    /// come to stand for something.
    pub async fn resolve(&self, seeds: &[Seed]) -> Resolved {
        let source = self.0.clone();
        let asker = tokio::task::spawn_blocking(move || Asker::open(&source)).await;
        let asker = asker.unwrap_or_else(|error| Asker::without_servers(error.to_string()));
        let asker = &asker;
        let asked = stream::iter(seeds.to_vec()).map(|seed| async move {
            let found = tokio::time::timeout(SEED_TIMEOUT, asker.seed(&seed)).await;
            (seed, found.unwrap_or_else(|_| Err(format!("no answer within {SEED_TIMEOUT:?}"))))
        });
        let answers: Vec<_> = asked.buffered(AT_ONCE).collect().await;
        let mut resolved = Resolved::default();
        for (seed, found) in answers {
            match found {
                Ok(found) => resolved.addresses.extend(found),
                Err(why) => resolved.unresolved.push((seed, why)),
            }
        }
        resolved.left_out = resolved.addresses.len().saturating_sub(ADDRESSES_MAX);
        while resolved.addresses.len() > ADDRESSES_MAX {
            resolved.addresses.pop_last();
        }
        resolved
    }
}

/// One look at the system's settings.
struct Asker {
    /// Why there is none, if so.
    resolver: Result<TokioResolver, String>,
    hosts: Hosts,
}

impl Asker {
    fn open(source: &Source) -> Self {
        match source {
            Source::System => {
                let resolver = system_conf::read_system_conf()
                    .map_err(|error| format!("/etc/resolv.conf can't be used: {error}"))
                    .and_then(|(config, options)| build(config, options));
                Self { resolver, hosts: Hosts::from_system().unwrap_or_default() }
            }
            Source::Given { servers, search, hosts } => {
                let servers = servers.iter().map(|server| {
                    let at_port = |mut connection: ConnectionConfig| {
                        connection.port = server.port();
                        connection
                    };
                    let mut config = NameServerConfig::udp_and_tcp(server.ip());
                    config.connections = config.connections.into_iter().map(at_port).collect();
                    config
                });
                let search = search.iter().filter_map(|name| Name::from_utf8(name).ok()).collect();
                let config = ResolverConfig::from_parts(None, search, servers.collect());
                let mut read = Hosts::default();
                if let Err(error) = read.read_hosts_conf(hosts.as_bytes()) {
                    tracing::debug!(%error, "hosts can't be read");
                }
                Self { resolver: build(config, ResolverOpts::default()), hosts: read }
            }
        }
    }

    fn without_servers(why: String) -> Self {
        Self { resolver: Err(why), hosts: Hosts::default() }
    }

    async fn seed(&self, seed: &Seed) -> Result<Vec<SocketAddr>, String> {
        match seed {
            Seed::Address(address) => Ok(vec![*address]),
            Seed::Host { name, port } => self.host(name, *port).await,
            Seed::Service { name } => self.service(name).await,
        }
    }

    async fn host(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let at_port = |ip: IpAddr| SocketAddr::new(ip, port);
        let known = self.of_hosts(name);
        if !known.is_empty() {
            return Ok(known.into_iter().map(at_port).collect());
        }
        let answer = self.resolver()?.lookup_ip(name).await.map_err(|error| error.to_string())?;
        Ok(answer.iter().take(ADDRESSES_MAX * 2).map(at_port).collect())
    }

    async fn service(&self, name: &str) -> Result<Vec<SocketAddr>, String> {
        let resolver = self.resolver()?;
        let answer = resolver.lookup(name, RecordType::SRV).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let targets: BTreeSet<(String, u16)> = answer
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                // A target of "." says that there is no such service.
                RData::SRV(srv) if !srv.target.is_root() && srv.port != 0 => {
                    Some((srv.target.to_ascii(), srv.port))
                }
                _ => None,
            })
            .take(ADDRESSES_MAX)
            .collect();
        if targets.is_empty() {
            return Err("its records name no target".into());
        }
        let found = stream::iter(targets)
            .map(|(target, port)| async move { (self.host(&target, port).await, target) })
            .buffered(AT_ONCE);
        let found: Vec<_> = found.collect().await;
        let mut addresses = Vec::new();
        let mut why = None;
        for (found, target) in found {
            match found {
                Ok(found) => addresses.extend(found),
                Err(error) => why = Some(format!("its target {target}: {error}")),
            }
        }
        // Some targets that stand for nothing are pods that have just gone.
        if addresses.is_empty() { Err(why.unwrap_or_default()) } else { Ok(addresses) }
    }

    fn resolver(&self) -> Result<&TokioResolver, String> {
        self.resolver.as_ref().map_err(Clone::clone)
    }

    /// What the file of hosts says of a name. Where it says anything, nobody is asked.
    fn of_hosts(&self, name: &str) -> Vec<IpAddr> {
        let Ok(mut name) = Name::from_utf8(name) else { return Vec::new() };
        name.set_fqdn(true);
        let look = |record_type| {
            let found = self.hosts.lookup_static_host(&Query::query(name.clone(), record_type));
            found.as_ref().map(addresses).unwrap_or_default()
        };
        [look(RecordType::A), look(RecordType::AAAA)].concat()
    }
}

fn addresses(lookup: &Lookup) -> Vec<IpAddr> {
    lookup.answers().iter().filter_map(|record| record.data.ip_addr()).collect()
}

fn build(config: ResolverConfig, options: ResolverOpts) -> Result<TokioResolver, String> {
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let set = builder.options_mut();
    *set = options;
    set.timeout = ANSWER_TIMEOUT;
    set.attempts = 1;
    set.cache_size = 0;
    set.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    set.use_hosts_file = ResolveHosts::Never;
    set.try_tcp_on_error = true;
    builder.build().map_err(|error| error.to_string())
}
