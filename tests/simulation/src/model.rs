//! What an entity does, as plain code: the single-threaded model that replies are
//! compared with, and what the native guest runs.

use stead_model::{Event, Lifecycle, Outcome, Rejection};

/// The type's name.
pub const TYPE: &str = "thing";
/// Its commands.
pub const COMMANDS: [&str; 7] = ["put", "many", "look", "refuse", "end", "purge", TRAP];
/// The one that its code does not survive.
pub const TRAP: &str = "trap";
/// Its query.
pub const QUERY: &str = "show";

/// An entity's state: how many words it was given, the last, and a chain over all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    count: u64,
    chain: u64,
    last: String,
}

fn mix(chain: u64, word: &str) -> u64 {
    crate::trace::hash(chain ^ 0x9E37_79B9_7F4A_7C15, word.as_bytes())
}

impl State {
    /// Folds an event.
    pub fn fold(&mut self, event: &Event) {
        let word = String::from_utf8_lossy(&event.body).into_owned();
        self.count += 1;
        self.chain = mix(self.chain, &word);
        self.last = word;
    }

    /// What it shows.
    pub fn shown(&self) -> String {
        format!("{} {:016x} {}", self.count, self.chain, self.last)
    }

    /// Reads what it shows.
    pub fn read(shown: &str) -> Option<Self> {
        let mut parts = shown.splitn(3, ' ');
        let count = parts.next()?.parse().ok()?;
        let chain = u64::from_str_radix(parts.next()?, 16).ok()?;
        Some(Self { count, chain, last: parts.next()?.to_owned() })
    }

    /// Handles a command, and folds its events.
    pub fn handle(&mut self, command: &str, body: &str) -> Result<Outcome, Rejection> {
        let words = match command {
            "put" => 1,
            "many" => 1 + body.len() as u64 % 5,
            "refuse" | TRAP => {
                return Err(Rejection {
                    status: 422,
                    code: "refused".into(),
                    message: self.shown(),
                    details: None,
                });
            }
            // "look", "end", "purge"
            _ => 0,
        };
        let mut outcome = Outcome::default();
        for nth in 0..words {
            let event = Event { name: "said".into(), body: format!("{body}.{nth}").into_bytes() };
            self.fold(&event);
            outcome.events.push(event);
        }
        outcome.reply = self.shown().into_bytes();
        outcome.lifecycle = match command {
            "end" => Lifecycle::EndsKeepingEvents,
            "purge" => Lifecycle::EndsPurgingEvents,
            _ => Lifecycle::Continues,
        };
        Ok(outcome)
    }
}
