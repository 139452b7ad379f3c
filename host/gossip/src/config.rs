//! How often to ask, how long to wait, how much to remember.

use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use crate::packet::{HEADER_BYTES, HELLO_BYTES};

/// The largest datagram that is sent or taken, in bytes: what passes every usual
/// network in one piece.
const PACKET_BYTES_LIMIT: usize = 1_400;

/// Room for the three identities that a packet may name, with one member to tell.
const PACKET_BYTES_LEAST: usize = 640;

/// How membership is kept. The defaults are for clusters of up to 50 nodes on one
/// network: a node that fails is found in about a second.
///
/// All nodes of a cluster should have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How often a node asks another whether it lives. One that didn't answer by the
    /// end of the period, itself or through others, is *suspect*. Default 250 ms.
    pub probe_period: Duration,
    /// How long to wait for an answer before others are asked to try. Less than half
    /// of [`Self::probe_period`], so that they have time. Default 80 ms.
    pub probe_rtt: Duration,
    /// How long a suspect has to object before it is held to be gone. Default 500 ms.
    pub suspicion: Duration,
    /// How many others are asked to try, and told news at once. Default 3.
    pub indirect_probes: usize,
    /// How many times a node passes on a piece of news. Default 10.
    pub transmissions: u8,
    /// How often news is told, if there is any. Default 100 ms.
    pub news_period: Duration,
    /// How often one other node is asked for everyone it knows. Default 2 s.
    pub exchange_period: Duration,
    /// How often those that are gone, and the addresses given that nobody was found at,
    /// are tried again: what heals a cluster after a partition. Default 500 ms.
    pub retry_period: Duration,
    /// How many of them are tried each time. Default 4.
    pub retries: usize,
    /// How long one that is gone is remembered. Default 10 min.
    pub remember: Duration,
    /// How many addresses are remembered, those of nodes that are gone too. News of
    /// more are dropped and counted. Default 256.
    pub addresses_max: usize,
    /// The largest datagram, in bytes, at most 1,400. Default 1,400.
    pub packet_bytes_max: usize,
    /// How long a node that another room has reason to miss is given to answer, before
    /// it is suspect. Default 120 ms.
    pub hint_wait: Duration,
    /// How long it has to object then. Shorter than [`Self::suspicion`], as there are
    /// two signs against it. Default 120 ms.
    pub hint_suspicion: Duration,
    /// How long an address is asked who is there, three times in that span, before it
    /// is said that nobody answered. Default 600 ms.
    pub ask_timeout: Duration,
    /// How late a timer may be before this node takes it that it was *itself* stopped,
    /// and judges nobody by what it missed. Default twice [`Self::probe_period`].
    pub pause: Duration,
    /// How many times a node that leaves says so. Default 3.
    pub farewells: u8,
    /// How long between them. Default 40 ms.
    pub farewell_period: Duration,
}

/// What is wrong with a [`Config`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value is outside of what works.
    #[error("gossip.{setting} is {value}, and must be {rule}")]
    Value {
        /// The setting.
        setting: &'static str,
        /// What it is.
        value: String,
        /// What it has to be.
        rule: &'static str,
    },
    /// The identity can't be one.
    #[error(transparent)]
    Identity(#[from] crate::IdentityError),
    /// 0 stands for "no cluster".
    #[error("a cluster's id can't be 0")]
    Cluster,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            probe_period: Duration::from_millis(250),
            probe_rtt: Duration::from_millis(80),
            suspicion: Duration::from_millis(500),
            indirect_probes: 3,
            transmissions: 10,
            news_period: Duration::from_millis(100),
            exchange_period: Duration::from_secs(2),
            retry_period: Duration::from_millis(500),
            retries: 4,
            remember: Duration::from_secs(600),
            addresses_max: 256,
            packet_bytes_max: PACKET_BYTES_LIMIT,
            hint_wait: Duration::from_millis(120),
            hint_suspicion: Duration::from_millis(120),
            ask_timeout: Duration::from_millis(600),
            pause: Duration::from_millis(500),
            farewells: 3,
            farewell_period: Duration::from_millis(40),
        }
    }
}

impl Config {
    /// Checks that the values work, alone and together.
    ///
    /// # Errors
    /// [`ConfigError::Value`], with the first that doesn't.
    pub fn check(&self) -> Result<(), ConfigError> {
        let spans = [
            ("probe_period", self.probe_period),
            ("probe_rtt", self.probe_rtt),
            ("suspicion", self.suspicion),
            ("news_period", self.news_period),
            ("exchange_period", self.exchange_period),
            ("retry_period", self.retry_period),
            ("hint_wait", self.hint_wait),
            ("hint_suspicion", self.hint_suspicion),
            ("ask_timeout", self.ask_timeout),
            ("farewell_period", self.farewell_period),
        ];
        let (least, most) = (Duration::from_millis(5), Duration::from_secs(60));
        for (setting, span) in spans {
            require(setting, span, (least..=most).contains(&span), "from 5 ms to 60 s")?;
        }
        require(
            "probe_rtt",
            self.probe_rtt,
            self.probe_rtt * 2 < self.probe_period,
            "less than half of probe_period",
        )?;
        require("pause", self.pause, self.pause >= self.probe_period, "at least probe_period")?;
        let day = Duration::from_secs(86_400);
        require(
            "remember",
            self.remember,
            self.remember >= self.suspicion * 2 && self.remember <= day,
            "at least twice the suspicion, at most a day",
        )?;
        require(
            "indirect_probes",
            self.indirect_probes,
            (1..=16).contains(&self.indirect_probes),
            "from 1 to 16",
        )?;
        require(
            "transmissions",
            self.transmissions,
            (1..=64).contains(&self.transmissions),
            "from 1 to 64",
        )?;
        require("retries", self.retries, (1..=64).contains(&self.retries), "from 1 to 64")?;
        require(
            "addresses_max",
            self.addresses_max,
            (8..=4_096).contains(&self.addresses_max),
            "from 8 to 4096",
        )?;
        require(
            "packet_bytes_max",
            self.packet_bytes_max,
            (PACKET_BYTES_LEAST..=PACKET_BYTES_LIMIT).contains(&self.packet_bytes_max),
            "from 640 to 1400",
        )?;
        require("farewells", self.farewells, (1..=10).contains(&self.farewells), "from 1 to 10")
    }

    /// The same for foca. Trying those that are gone again is not among it: foca does so
    /// only while anyone is there, and two nodes that lost each other never would.
    pub(crate) fn for_foca(&self) -> foca::Config {
        let several = |count: usize| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        foca::Config {
            probe_period: self.probe_period,
            probe_rtt: self.probe_rtt,
            num_indirect_probes: several(self.indirect_probes),
            max_transmissions: NonZeroU8::new(self.transmissions).unwrap_or(NonZeroU8::MIN),
            suspect_to_down_after: self.suspicion,
            remove_down_after: Some(self.remember),
            max_packet_size: several(self.packet_bytes_max.saturating_sub(HEADER_BYTES)),
            notify_down_members: true,
            periodic_announce: Some(foca::PeriodicParams {
                frequency: self.exchange_period,
                num_members: several(1),
            }),
            periodic_announce_to_down_members: None,
            periodic_gossip: Some(foca::PeriodicParams {
                frequency: self.news_period,
                num_members: several(self.indirect_probes),
            }),
        }
    }
}

fn require(
    setting: &'static str,
    value: impl std::fmt::Debug,
    holds: bool,
    rule: &'static str,
) -> Result<(), ConfigError> {
    if holds {
        return Ok(());
    }
    Err(ConfigError::Value { setting, value: format!("{value:?}"), rule })
}

const _: () = assert!(HELLO_BYTES <= PACKET_BYTES_LEAST);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold() {
        assert_eq!(Config::default().check(), Ok(()));
    }

    #[test]
    fn what_does_not_work_is_named() {
        fn check(setting: &str, change: impl FnOnce(&mut Config)) {
            let mut config = Config::default();
            change(&mut config);
            let error = config.check().expect_err(setting).to_string();
            assert!(error.contains(&format!("gossip.{setting} is")), "{error}");
        }
        check("probe_rtt", |c| c.probe_rtt = c.probe_period);
        check("probe_period", |c| c.probe_period = Duration::ZERO);
        check("suspicion", |c| c.suspicion = Duration::from_secs(61));
        check("pause", |c| c.pause = Duration::from_millis(1));
        check("remember", |c| c.remember = Duration::from_millis(1));
        check("indirect_probes", |c| c.indirect_probes = 0);
        check("transmissions", |c| c.transmissions = 0);
        check("retries", |c| c.retries = 65);
        check("addresses_max", |c| c.addresses_max = 0);
        check("packet_bytes_max", |c| c.packet_bytes_max = 1_401);
        check("farewells", |c| c.farewells = 0);
    }
}
