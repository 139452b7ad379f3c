//! What a node runs by: the sections that concern it, and what the rooms below
//! make of them.

use stead_model::{GuestLimits, PartitionCount, RequestLimits};

use super::{
    sections::{
        AdminSection, ChaosSection, ClusterSection, EntitiesSection, GuestsSection, IngressSection,
        JournalSection, LogSection, MemorySection, NodeSection, RequestsSection,
    },
    settings::Settings,
    span,
};

/// All that a node needs to be told.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeConfig {
    /// The node itself.
    pub node: NodeSection,
    /// Where callers reach entities.
    pub ingress: IngressSection,
    /// Where the node is looked at and changed.
    pub admin: AdminSection,
    /// The cluster that it is part of.
    pub cluster: ClusterSection,
    /// What a request may be.
    pub requests: RequestsSection,
    /// What one call of an entity's code may use.
    pub guests: GuestsSection,
    /// How many entities wait and live.
    pub entities: EntitiesSection,
    /// How much memory the node uses.
    pub memory: MemorySection,
    /// The log and the stores.
    pub journal: JournalSection,
    /// Breaking things on purpose.
    pub chaos: ChaosSection,
    /// The node's own log lines.
    pub log: LogSection,
}

impl NodeConfig {
    /// Takes it from settings.
    pub fn from_settings(settings: &Settings) -> Self {
        Self {
            node: NodeSection::from_settings(settings),
            ingress: IngressSection::from_settings(settings),
            admin: AdminSection::from_settings(settings),
            cluster: ClusterSection::from_settings(settings),
            requests: RequestsSection::from_settings(settings),
            guests: GuestsSection::from_settings(settings),
            entities: EntitiesSection::from_settings(settings),
            memory: MemorySection::from_settings(settings),
            journal: JournalSection::from_settings(settings),
            chaos: ChaosSection::from_settings(settings),
            log: LogSection::from_settings(settings),
        }
    }

    /// The partition count.
    pub fn partitions(&self) -> PartitionCount {
        PartitionCount::new(self.node.partitions).expect("the setting has the same bounds")
    }

    /// Threads that run entities' code.
    pub fn worker_threads(&self) -> usize {
        match self.node.worker_threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => usize::try_from(count).unwrap_or(usize::MAX),
        }
    }

    /// What one call of an entity's code may use.
    pub fn guest_limits(&self) -> GuestLimits {
        GuestLimits {
            call_ms_max: span::as_ms(self.guests.call_timeout),
            replay_ms_max: span::as_ms(self.guests.replay_timeout),
            instance_memory_bytes_max: self.guests.instance_memory_max.as_usize(),
            entity_memory_bytes_max: self.guests.entity_memory_max.as_usize(),
            stack_bytes_max: self.guests.stack_size_max.as_usize(),
            outcome_events_max: usize::try_from(self.guests.outcome_events_max)
                .unwrap_or(usize::MAX),
            outcome_bytes_max: self.guests.outcome_size_max.as_usize(),
            reply_bytes_max: self.guests.reply_size_max.as_usize(),
            snapshot_bytes_max: self.guests.snapshot_size_max.as_usize(),
            log_line_bytes_max: self.guests.log_line_size_max.as_usize(),
            log_lines_max: self.guests.log_lines_max,
        }
    }

    /// What a request may be.
    pub fn request_limits(&self) -> RequestLimits {
        let deadline_ms_max = span::as_ms(self.requests.deadline_max);
        // A command is tried again under its id until its deadline.
        let at_least = |retention| span::as_ms(retention).max(deadline_ms_max);
        RequestLimits {
            body_bytes_max: self.requests.body_size_max.as_usize(),
            deadline_ms_max,
            caller_key_retention_ms: at_least(self.requests.caller_key_retention),
            minted_id_retention_ms: at_least(self.requests.minted_id_retention),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_model() {
        let config = NodeConfig::from_settings(&Settings::defaults());
        assert_eq!(config.guest_limits(), GuestLimits::default());
        assert_eq!(config.request_limits(), RequestLimits::default());
        assert_eq!(config.partitions(), PartitionCount::default());
    }
}
