//! From settings to what the rooms below want to be told.

use stead_ingress::{AdminOptions, BodyLimits, ConnectionLimits, IngressOptions};

use crate::config::{ByteSize, NodeConfig, span};

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
