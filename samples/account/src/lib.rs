//! A bank account.
//!
//! It shows what an entity is good at: a rule over the whole state (what is held
//! can't be spent twice) that needs no lock and no transaction, because one
//! entity handles one command at a time. Amounts are whole numbers of minor
//! units, cents say; money is never a floating point number.
//!
//! A hold sets money aside until it is captured, wholly or in part, or released,
//! as a card payment does. A caller that may repeat itself names its holds; one
//! that doesn't gets a random name, which shows how chance gets into an event and
//! with it into every replay.
//!
//! ```text
//! curl --json '{"amount": 10000}' localhost:8080/accounts/7/deposits
//! curl --json '{"amount": 2500, "hold": "order-1"}' localhost:8080/accounts/7/holds
//! curl --json '{"amount": 2400}' localhost:8080/accounts/7/holds/order-1/capture
//! curl localhost:8080/accounts/7
//! ```

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use stead_sdk::prelude::*;

/// The most that one command may move, in minor units.
pub const AMOUNT_MAX: u64 = 1_000_000_000_000;
/// The most that an account may have, in minor units. Beside [`AMOUNT_MAX`] it
/// keeps every sum within 64 bits, and within what JavaScript reads exactly.
pub const BALANCE_MAX: u64 = 1_000_000_000_000_000;
/// The most holds at once: the state stays small.
pub const HOLDS_MAX: usize = 1_000;
/// The most bytes in a hold's name.
pub const HOLD_NAME_BYTES_MAX: usize = 64;

/// A bank account that is never overdrawn.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
pub struct Account {
    /// What is there, in minor units, held money included.
    balance: u64,
    /// What is set aside, by the hold's name.
    holds: BTreeMap<String, Hold>,
}

/// Money set aside.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct Hold {
    /// How much, in minor units.
    amount: u64,
    /// When it was placed, in milliseconds since 1970.
    placed_at_ms: u64,
}

/// What callers see of an account. Amounts are in minor units.
#[derive(Serialize, JsonSchema)]
pub struct Balance {
    /// What is there.
    balance: u64,
    /// What of it is set aside.
    held: u64,
    /// What of it can be spent.
    available: u64,
}

/// The answer to a hold.
#[derive(Serialize, JsonSchema)]
pub struct Placed {
    /// The name under which it is captured or released.
    hold: String,
    /// The account after it.
    #[serde(flatten)]
    balance: Balance,
}

/// What happens to an account. Amounts are in minor units.
#[derive(Event)]
pub enum AccountEvent {
    /// Money came in.
    Deposited {
        /// How much.
        amount: u64,
    },
    /// Money went out.
    Withdrawn {
        /// How much.
        amount: u64,
    },
    /// Money was set aside.
    HoldPlaced {
        /// The hold's name.
        hold: String,
        /// How much.
        amount: u64,
        /// When, in milliseconds since 1970.
        at_ms: u64,
    },
    /// What was set aside is free again.
    HoldReleased {
        /// The hold's name.
        hold: String,
    },
    /// Of what was set aside, some went out, and the rest is free again.
    HoldCaptured {
        /// The hold's name.
        hold: String,
        /// How much went out.
        amount: u64,
    },
    /// The account was closed, empty.
    Closed,
}

/// Why an account says no.
#[derive(Rejection)]
pub enum AccountError {
    /// The amount is none that can be moved at once.
    #[reject(message = "An amount is 1 to {AMOUNT_MAX}, not {amount}.")]
    AmountOutOfRange {
        /// The amount.
        amount: u64,
    },
    /// More is asked for than is there and not held.
    #[reject(status = 409, message = "{requested} is more than the {available} available.")]
    InsufficientFunds {
        /// What is asked for.
        requested: u64,
        /// What can be spent.
        available: u64,
    },
    /// The account would have more than an account may have.
    #[reject(status = 409, message = "An account holds at most {BALANCE_MAX}.")]
    BalanceTooHigh,
    /// There is no such hold, or no longer.
    #[reject(status = 404, message = "There is no hold {hold:?}.")]
    UnknownHold {
        /// Its name.
        hold: String,
    },
    /// A hold of this name is there already.
    #[reject(status = 409, message = "There is a hold {hold:?} already.")]
    HoldExists {
        /// Its name.
        hold: String,
    },
    /// The hold's name is empty or too long.
    #[reject(message = "A hold's name has 1 to {HOLD_NAME_BYTES_MAX} bytes.")]
    BadHoldName,
    /// More is to be captured than was held.
    #[reject(status = 409, message = "{requested} is more than the {held} held.")]
    ExceedsHold {
        /// What is asked for.
        requested: u64,
        /// What is held.
        held: u64,
    },
    /// There are too many holds at once.
    #[reject(status = 409, message = "An account has at most {HOLDS_MAX} holds at once.")]
    TooManyHolds,
    /// The account still has money.
    #[reject(status = 409, message = "The account still has {balance}.")]
    NotEmpty {
        /// What is there.
        balance: u64,
    },
}

type Answer<T> = Result<After<Account, T>, AccountError>;

#[stead_sdk::entity]
impl Account {
    /// Pays money in.
    #[command]
    fn deposit(&self, ctx: &mut Context<Self>, amount: u64) -> Answer<Balance> {
        check_amount(amount)?;
        if self.balance.saturating_add(amount) > BALANCE_MAX {
            return Err(AccountError::BalanceTooHigh);
        }
        ctx.record(AccountEvent::Deposited { amount });
        Ok(ctx.after(Self::balance))
    }

    /// Takes money out, of what isn't held.
    #[command]
    fn withdraw(&self, ctx: &mut Context<Self>, amount: u64) -> Answer<Balance> {
        check_amount(amount)?;
        self.check_available(amount)?;
        ctx.record(AccountEvent::Withdrawn { amount });
        Ok(ctx.after(Self::balance))
    }

    /// Sets money aside, under a name of the caller's or a random one.
    #[command]
    fn place_hold(
        &self,
        ctx: &mut Context<Self>,
        amount: u64,
        hold: Option<String>,
    ) -> Answer<Placed> {
        check_amount(amount)?;
        self.check_available(amount)?;
        let hold = hold.unwrap_or_else(|| ctx.random_uuid());
        if hold.is_empty() || hold.len() > HOLD_NAME_BYTES_MAX {
            return Err(AccountError::BadHoldName);
        }
        if self.holds.contains_key(&hold) {
            return Err(AccountError::HoldExists { hold });
        }
        if self.holds.len() >= HOLDS_MAX {
            return Err(AccountError::TooManyHolds);
        }
        let at_ms = ctx.now_ms();
        ctx.record(AccountEvent::HoldPlaced { hold: hold.clone(), amount, at_ms });
        Ok(ctx.after(move |account| Placed { hold, balance: account.balance() }))
    }

    /// Frees what a hold set aside.
    #[command]
    fn release_hold(&self, ctx: &mut Context<Self>, hold: String) -> Answer<Balance> {
        self.hold(&hold)?;
        ctx.record(AccountEvent::HoldReleased { hold });
        Ok(ctx.after(Self::balance))
    }

    /// Takes out what a hold set aside, or a part of it, and frees the rest.
    #[command]
    fn capture_hold(
        &self,
        ctx: &mut Context<Self>,
        hold: String,
        amount: Option<u64>,
    ) -> Answer<Balance> {
        let held = self.hold(&hold)?.amount;
        let amount = amount.unwrap_or(held);
        check_amount(amount)?;
        if amount > held {
            return Err(AccountError::ExceedsHold { requested: amount, held });
        }
        ctx.record(AccountEvent::HoldCaptured { hold, amount });
        Ok(ctx.after(Self::balance))
    }

    /// Closes an account that has nothing left. What it did can still be read in
    /// the journal; a later command under its id opens another.
    #[command]
    fn close(&self, ctx: &mut Context<Self>) -> Result<(), AccountError> {
        if self.balance > 0 {
            return Err(AccountError::NotEmpty { balance: self.balance });
        }
        ctx.record(AccountEvent::Closed);
        ctx.end(Ending::KeepEvents);
        Ok(())
    }

    /// What is there, held and available.
    #[query]
    fn balance(&self) -> Balance {
        let held = self.held();
        Balance { balance: self.balance, held, available: self.balance.saturating_sub(held) }
    }

    /// What is set aside.
    #[query]
    fn holds(&self) -> &BTreeMap<String, Hold> {
        &self.holds
    }

    fn apply(&mut self, event: AccountEvent) {
        match event {
            AccountEvent::Deposited { amount } => self.balance += amount,
            AccountEvent::Withdrawn { amount } => self.balance -= amount,
            AccountEvent::HoldPlaced { hold, amount, at_ms } => {
                self.holds.insert(hold, Hold { amount, placed_at_ms: at_ms });
            }
            AccountEvent::HoldReleased { hold } => {
                self.holds.remove(&hold);
            }
            AccountEvent::HoldCaptured { hold, amount } => {
                self.holds.remove(&hold);
                self.balance -= amount;
            }
            AccountEvent::Closed => {}
        }
    }

    fn held(&self) -> u64 {
        self.holds.values().map(|hold| hold.amount).sum()
    }

    fn hold(&self, name: &str) -> Result<&Hold, AccountError> {
        self.holds.get(name).ok_or_else(|| AccountError::UnknownHold { hold: name.into() })
    }

    fn check_available(&self, requested: u64) -> Result<(), AccountError> {
        let available = self.balance().available;
        if requested > available {
            return Err(AccountError::InsufficientFunds { requested, available });
        }
        Ok(())
    }
}

fn check_amount(amount: u64) -> Result<(), AccountError> {
    if (1..=AMOUNT_MAX).contains(&amount) {
        return Ok(());
    }
    Err(AccountError::AmountOutOfRange { amount })
}

stead_sdk::export!(Account);
