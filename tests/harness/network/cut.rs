//! What can be cut at a machine, as rules for `nft`.

use std::{fmt::Write, net::IpAddr};

/// What is cut between a machine and others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// Nothing passes, to or from any other.
    Both,
    /// Nothing comes in.
    In,
    /// Nothing goes out.
    Out,
    /// Nothing passes between it and these.
    From(Vec<usize>),
    /// So many of a hundred packets are lost, each way.
    Loss(u8),
    /// Connections are reset, and new ones refused. UDP passes.
    Reset,
}

impl Cut {
    /// The machines that it is about, of so many.
    pub fn others(&self, count: usize, at: usize) -> Vec<usize> {
        match self {
            Self::From(these) => these.iter().copied().filter(|other| *other != at).collect(),
            Self::Both | Self::In | Self::Out | Self::Loss(_) | Self::Reset => {
                (0..count).filter(|other| *other != at).collect()
            }
        }
    }

    /// What to do with a packet that comes in, and with one that goes out.
    fn verdicts(&self) -> (Option<String>, Option<String>) {
        let drop = || Some("drop".to_owned());
        match self {
            Self::Both | Self::From(_) => (drop(), drop()),
            Self::In => (drop(), None),
            Self::Out => (None, drop()),
            Self::Loss(percent) => {
                let some = Some(format!("numgen random mod 100 < {percent} drop"));
                (some.clone(), some)
            }
            Self::Reset => {
                let reset = Some("meta l4proto tcp reject with tcp reset".to_owned());
                (reset.clone(), reset)
            }
        }
    }

    /// A whole ruleset, in place of what was there.
    pub fn rules(&self, others: &[IpAddr]) -> String {
        let (incoming, outgoing) = self.verdicts();
        let mut text = "flush ruleset\ntable inet stead {\n".to_owned();
        for (hook, side, verdict) in [("input", "saddr", incoming), ("output", "daddr", outgoing)] {
            let _ = writeln!(text, "  chain {hook} {{");
            let _ = writeln!(text, "    type filter hook {hook} priority 0; policy accept;");
            for verdict in verdict.iter() {
                for other in others {
                    let family = if other.is_ipv4() { "ip" } else { "ip6" };
                    let _ = writeln!(text, "    {family} {side} {other} {verdict}");
                }
            }
            text.push_str("  }\n");
        }
        text.push_str("}\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(cut: &Cut) -> Vec<String> {
        let text = cut.rules(&["198.18.0.2".parse().expect("an address")]);
        let rules = text.lines().map(str::trim).filter(|line| line.starts_with("ip"));
        rules.map(str::to_owned).collect()
    }

    #[test]
    fn a_cut_goes_the_ways_that_it_says() {
        let (incoming, outgoing) = ("ip saddr 198.18.0.2 drop", "ip daddr 198.18.0.2 drop");
        assert_eq!(rules(&Cut::Both), [incoming, outgoing]);
        assert_eq!(rules(&Cut::In), [incoming]);
        assert_eq!(rules(&Cut::Out), [outgoing]);
        assert_eq!(rules(&Cut::From(vec![1])), [incoming, outgoing]);
        assert!(
            rules(&Cut::Loss(20)).iter().all(|rule| rule.ends_with("random mod 100 < 20 drop"))
        );
        assert!(rules(&Cut::Reset).iter().all(|rule| rule.ends_with("tcp reject with tcp reset")));
    }

    #[test]
    fn a_machine_is_never_cut_from_itself() {
        assert_eq!(Cut::Both.others(3, 1), [0, 2]);
        assert_eq!(Cut::From(vec![1, 2]).others(4, 1), [2]);
    }
}
