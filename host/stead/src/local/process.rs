//! Processes that are named in a file: they may have ended, and their number may be
//! another's by now.

use std::io;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// A process, and when it began, in the kernel's ticks: together never another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it began.
    pub began: u64,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It runs.
    Runs,
    /// It was stopped for a while: SIGSTOP.
    Paused,
    /// It has ended.
    Ended,
}

impl Process {
    /// A process that runs now.
    pub fn of(pid: u32) -> Option<Self> {
        stat(pid).map(|(_, began)| Self { pid, began })
    }

    /// What it does.
    pub fn condition(self) -> Condition {
        match stat(self.pid) {
            Some((state, began)) if began == self.began => match state {
                'T' | 't' => Condition::Paused,
                'Z' | 'X' | 'x' => Condition::Ended,
                _ => Condition::Runs,
            },
            Some(_) | None => Condition::Ended,
        }
    }

    /// Sends it a signal, unless it has ended. Whether it was there.
    ///
    /// # Errors
    /// If this user may not.
    pub fn signal(self, signal: Signal) -> io::Result<bool> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let Some(pid) = pid.filter(|_| self.condition() != Condition::Ended) else {
            return Ok(false);
        };
        match kill_process(pid, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// A process's state and beginning, by `/proc/PID/stat`.
fn stat(pid: u32) -> Option<(char, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before may have anything in it, parentheses too.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    // The beginning is field 22, the state field 3.
    let began = fields.nth(18)?.parse().ok()?;
    Some((state, began))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_one_that_had_its_number() {
        let own = Process::of(std::process::id()).expect("it runs");
        assert_eq!(own.condition(), Condition::Runs);
        let other = Process { began: own.began + 1, ..own };
        assert_eq!(other.condition(), Condition::Ended);
        assert!(!other.signal(Signal::KILL).expect("nothing is sent"));
    }

    #[test]
    fn what_is_stopped_is_paused_and_what_is_killed_has_ended() {
        let mut child =
            std::process::Command::new("sleep").arg("60").spawn().expect("sleep is there");
        let process = Process::of(child.id()).expect("it runs");
        assert!(process.signal(Signal::STOP).expect("sent"));
        while process.condition() != Condition::Paused {
            std::thread::yield_now();
        }
        assert!(process.signal(Signal::KILL).expect("sent"));
        while process.condition() != Condition::Ended {
            std::thread::yield_now();
        }
        child.wait().expect("it has ended");
        assert!(!process.signal(Signal::KILL).expect("nobody is there"));
    }
}
