//! Where other nodes may be found, as people write it.

use std::{fmt, net::IpAddr, net::SocketAddr, str::FromStr};

/// The most seeds that a node is given.
pub const SEEDS_MAX: usize = 64;

/// The longest name, in bytes, without a dot at its end: what DNS carries.
const NAME_BYTES_MAX: usize = 253;
/// The longest part of a name between two dots, in bytes.
const LABEL_BYTES_MAX: usize = 63;
/// What goes before the name of a service.
const SERVICE: &str = "srv:";

/// A place where other nodes may be found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seed {
    /// An address.
    Address(SocketAddr),
    /// A name and a port: all addresses of the name, by A and AAAA records and by the
    /// file of hosts.
    Host {
        /// The name.
        name: String,
        /// The port.
        port: u16,
    },
    /// The name of a service: the targets and ports of its SRV records, each with all
    /// its addresses.
    Service {
        /// The name, as in `_gossip._udp.stead-peers.default.svc.cluster.local`.
        name: String,
    },
}

impl Seed {
    /// Reads a list, with commas or spaces between the seeds.
    ///
    /// # Errors
    /// With the first that is none, and what is wrong with it.
    pub fn list(text: &str) -> Result<Vec<Self>, SeedError> {
        let parts = text.split([',', ' ']).map(str::trim).filter(|part| !part.is_empty());
        let seeds = parts.map(str::parse).collect::<Result<Vec<Self>, _>>()?;
        if seeds.len() > SEEDS_MAX {
            let given = seeds.len();
            return Err(SeedError {
                seed: format!("{given} seeds"),
                what: format!(
                    "are too many, at most {SEEDS_MAX} are taken: a name may stand for many"
                ),
            });
        }
        Ok(seeds)
    }
}

/// Why a text is no seed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{seed:?} {what}")]
pub struct SeedError {
    seed: String,
    what: String,
}

impl FromStr for Seed {
    type Err = SeedError;

    fn from_str(text: &str) -> Result<Self, SeedError> {
        let wrong = |what: String| SeedError { seed: text.chars().take(300).collect(), what };
        if let Ok(address) = text.parse::<SocketAddr>() {
            let reachable = address.port() != 0 && !address.ip().is_unspecified();
            return reachable.then_some(Self::Address(address)).ok_or_else(|| {
                wrong("is no address of a node: it names a machine and a port from 1 on".into())
            });
        }
        if let Some(name) = text.strip_prefix(SERVICE) {
            let name = check_name(name).map_err(wrong)?;
            let mut labels = name.split('.');
            let underscored = |label: Option<&str>| label.is_some_and(|l| l.starts_with('_'));
            let protocol = |label: Option<&str>| matches!(label, Some("_udp" | "_tcp"));
            if !underscored(labels.next())
                || !protocol(labels.next())
                || labels.next().is_none_or(str::is_empty)
            {
                return Err(wrong(
                    "is no service: it is named as in srv:_gossip._udp.stead-peers, by port, \
                     protocol (_udp or _tcp) and name"
                        .into(),
                ));
            }
            return Ok(Self::Service { name: name.into() });
        }
        if text.parse::<IpAddr>().is_ok() {
            return Err(wrong(
                "has no port: write one, as in 10.0.0.1:8082 or [fd00::1]:8082".into(),
            ));
        }
        let Some((name, port)) = text.rsplit_once(':') else {
            return Err(wrong(
                "has no port: it is an address or a name with a port, as in stead-peers:8082, or a \
                 service, as in srv:_gossip._udp.stead-peers"
                    .into(),
            ));
        };
        let port = port.parse::<u16>().ok().filter(|port| *port != 0);
        let port = port.ok_or_else(|| wrong("ends in no port, which is from 1 to 65535".into()))?;
        let name = check_name(name).map_err(wrong)?;
        let last = name.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong(
                "is neither an address nor a name: a name doesn't end in a number".into(),
            ));
        }
        Ok(Self::Host { name: name.into(), port })
    }
}

/// Whether DNS can carry it.
fn check_name(name: &str) -> Result<&str, String> {
    let labels = name.strip_suffix('.').unwrap_or(name);
    if labels.is_empty() || labels.len() > NAME_BYTES_MAX {
        return Err(format!("has a name that isn't from 1 to {NAME_BYTES_MAX} bytes long"));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    for label in labels.split('.') {
        if label.is_empty() || label.len() > LABEL_BYTES_MAX {
            return Err(format!(
                "has a name with a part that isn't from 1 to {LABEL_BYTES_MAX} bytes long"
            ));
        }
        if !label.bytes().all(plain) {
            return Err(format!(
                "has a name with other characters than letters, digits, - and _ in {label:?}"
            ));
        }
    }
    Ok(name)
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Host { name, port } => write!(f, "{name}:{port}"),
            Self::Service { name } => write!(f, "{SERVICE}{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_shown_as_they_are_written() {
        for text in [
            "10.0.0.1:8082",
            "[fd00::1]:8082",
            "stead-peers:8082",
            "stead-peers.default.svc.cluster.local.:1",
            "srv:_gossip._udp.stead-peers.default.svc.cluster.local",
            "srv:_gossip._tcp.x",
            "node_1.example:65535",
        ] {
            let seed = text.parse::<Seed>().expect(text);
            assert_eq!(seed.to_string(), text);
        }
        let list = Seed::list(" 10.0.0.1:1, a:2 ,srv:_g._udp.b  ,").expect("a list");
        assert_eq!(list.len(), 3);
        assert_eq!(Seed::list(" , "), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_seed_is_named_with_what_to_write() {
        fn check(text: &str, says: &str) {
            let error = Seed::list(text).expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
            assert!(error.len() < 700, "{error}");
        }
        check("stead-peers", "has no port");
        check("10.0.0.1", "has no port");
        check("fd00::1", "has no port: write one, as in 10.0.0.1:8082 or [fd00::1]:8082");
        check("a:0", "from 1 to 65535");
        check("a:65536", "from 1 to 65535");
        check("a:", "from 1 to 65535");
        check(":1", "isn't from 1 to 253");
        check("10.0.0.256:1", "a name doesn't end in a number");
        check("10.0.0.1:0", "from 1 on");
        check("0.0.0.0:1", "is no address of a node");
        check("a..b:1", "a part that isn't");
        check(&format!("{}:1", "a".repeat(64)), "a part that isn't from 1 to 63");
        check(&format!("{}a:1", "a.".repeat(130)), "isn't from 1 to 253");
        check("http://a:1", "letters, digits");
        check("zürich:1", "letters, digits");
        check("srv:stead-peers", "is no service");
        check("srv:_gossip._sctp.x", "is no service");
        check("srv:_gossip._udp", "is no service");
        check("srv:_gossip._udp.", "is no service");
        check("srv:", "isn't from 1 to 253");
        check("srv:_g._udp.x:8082", "letters, digits");
        check(&"a:1,".repeat(65), "at most 64");
        check(&format!("{}:1", "ü".repeat(5_000)), "isn't from 1 to 253");
    }
}
