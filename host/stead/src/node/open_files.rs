//! How many files and connections the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// With fewer than this, ten thousand connections and the stores' files don't
/// fit, and the node says so.
const ENOUGH: u64 = 16_384;

/// Raises the limit as far as it goes without privileges; returns what holds.
pub fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, wanted)
    {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    let open_files_max = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if open_files_max < ENOUGH {
        tracing::warn!(
            open_files_max,
            "few open files are allowed, so few connections are; raise the hard limit (ulimit -Hn, \
             LimitNOFILE in systemd) to {ENOUGH} or more"
        );
    }
    open_files_max
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        raise();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
