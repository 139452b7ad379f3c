//! Records serials, so that a test can count them in the journal.

use stead_sdk::prelude::*;

/// How many serials there are, and the last.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
pub struct Ledger {
    count: u64,
    last: String,
}

/// What happens to a ledger.
#[derive(Event)]
pub enum LedgerEvent {
    /// A serial was recorded.
    Recorded {
        /// It.
        serial: String,
    },
}

/// Why a ledger says no.
#[derive(Rejection)]
pub enum LedgerError {
    /// The serial is the last one already.
    #[reject(status = 409)]
    Repeated,
}

/// What callers see.
#[derive(Serialize, JsonSchema)]
pub struct Totals {
    count: u64,
    last: String,
}

#[stead_sdk::entity]
impl Ledger {
    /// Records a serial.
    #[command]
    fn record(
        &self,
        ctx: &mut Context<Self>,
        serial: String,
    ) -> Result<After<Self, Totals>, LedgerError> {
        ctx.record(LedgerEvent::Recorded { serial });
        Ok(ctx.after(Self::totals))
    }

    /// Records a serial several times over, in one outcome.
    #[command]
    fn record_many(
        &self,
        ctx: &mut Context<Self>,
        serial: String,
        times: u32,
    ) -> Result<After<Self, Totals>, LedgerError> {
        for _ in 0..times {
            ctx.record(LedgerEvent::Recorded { serial: serial.clone() });
        }
        Ok(ctx.after(Self::totals))
    }

    /// Records a serial unless it is the last one already.
    #[command]
    fn record_new(
        &self,
        ctx: &mut Context<Self>,
        serial: String,
    ) -> Result<After<Self, Totals>, LedgerError> {
        if self.last == serial {
            return Err(LedgerError::Repeated);
        }
        ctx.record(LedgerEvent::Recorded { serial });
        Ok(ctx.after(Self::totals))
    }

    /// Ends the ledger's life; its events are kept or purged.
    #[command]
    fn close(&self, ctx: &mut Context<Self>, purge: bool) -> Result<(), LedgerError> {
        ctx.end(if purge { Ending::PurgeEvents } else { Ending::KeepEvents });
        Ok(())
    }

    /// How many there are, and the last.
    #[query]
    fn totals(&self) -> Totals {
        Totals { count: self.count, last: self.last.clone() }
    }

    fn apply(&mut self, event: LedgerEvent) {
        let LedgerEvent::Recorded { serial } = event;
        self.count += 1;
        self.last = serial;
    }
}

stead_sdk::export!(Ledger);
