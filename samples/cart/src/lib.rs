//! A shopping cart.
//!
//! The sample to begin with: rejections that say why, a reply that is the state
//! after the events, and a life that ends.
//!
//! ```text
//! curl --json '{"sku": "tea", "quantity": 2, "unit_price": 350}' localhost:8080/carts/7/items
//! curl localhost:8080/carts/7
//! curl -X DELETE localhost:8080/carts/7/items/tea
//! curl -X POST localhost:8080/carts/7/check-out
//! ```

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use stead_sdk::prelude::*;

/// The most of one article that a cart may hold.
pub const QUANTITY_MAX: u32 = 999;
/// The most different articles that a cart may hold.
pub const LINES_MAX: usize = 200;
/// The highest price of one piece, in minor units: a million of a currency with
/// cents. It keeps every total within 64 bits.
pub const UNIT_PRICE_MAX: u64 = 100_000_000;

/// A shopping cart: articles with their quantities, until it is checked out.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
pub struct Cart {
    /// By article number.
    lines: BTreeMap<String, Line>,
    checked_out_at_ms: Option<u64>,
}

/// One article in a cart.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// How many.
    quantity: u32,
    /// The price of one when it was last put in, in minor units: cents.
    unit_price: u64,
}

/// What callers see of a cart.
#[derive(Serialize, JsonSchema)]
pub struct Contents {
    /// The articles, by article number.
    lines: BTreeMap<String, Line>,
    /// What they cost together, in minor units.
    total: u64,
    /// Whether it has been checked out.
    checked_out: bool,
}

/// What happens to a cart.
#[derive(Event)]
pub enum CartEvent {
    /// Pieces of an article were put in.
    ItemAdded {
        /// The article number.
        sku: String,
        /// How many.
        quantity: u32,
        /// The price of one, in minor units.
        unit_price: u64,
    },
    /// Pieces of an article were taken out.
    ItemRemoved {
        /// The article number.
        sku: String,
        /// How many.
        quantity: u32,
    },
    /// The contents were bought. Nothing changes after that.
    CheckedOut {
        /// When, in milliseconds since 1970.
        at_ms: u64,
    },
}

/// Why a cart says no.
#[derive(Rejection)]
pub enum CartError {
    /// The cart has been checked out already.
    #[reject(status = 409)]
    AlreadyCheckedOut,
    /// There is nothing in the cart to check out.
    #[reject(status = 409)]
    Empty,
    /// The article is not in the cart.
    #[reject(status = 404, message = "There is no {sku:?} in the cart.")]
    UnknownItem {
        /// The article number.
        sku: String,
    },
    /// The quantity is not one that the cart can hold.
    #[reject(message = "A cart holds 1 to {QUANTITY_MAX} of an article, not {quantity}.")]
    QuantityOutOfRange {
        /// What it would have been.
        quantity: u32,
    },
    /// There are too many different articles.
    #[reject(message = "A cart holds at most {LINES_MAX} different articles.")]
    TooManyLines,
    /// The article number or the price can't be right.
    #[reject(message = "The {field} is not one that an article can have.")]
    ImplausibleItem {
        /// The field of the argument.
        field: &'static str,
    },
}

#[stead_sdk::entity]
impl Cart {
    /// Puts pieces of an article in, at the price of now.
    #[command]
    fn add_item(
        &self,
        ctx: &mut Context<Self>,
        sku: String,
        #[serde(default = "one")] quantity: u32,
        unit_price: u64,
    ) -> Result<After<Self, Contents>, CartError> {
        self.check_open()?;
        if sku.trim().is_empty() || sku.len() > 64 {
            return Err(CartError::ImplausibleItem { field: "sku" });
        }
        if unit_price > UNIT_PRICE_MAX {
            return Err(CartError::ImplausibleItem { field: "unit_price" });
        }
        let line = self.lines.get(&sku);
        if line.is_none() && self.lines.len() >= LINES_MAX {
            return Err(CartError::TooManyLines);
        }
        let sum = line.map_or(0, |line| line.quantity).saturating_add(quantity);
        if quantity == 0 || sum > QUANTITY_MAX {
            return Err(CartError::QuantityOutOfRange { quantity: sum });
        }
        ctx.record(CartEvent::ItemAdded { sku, quantity, unit_price });
        Ok(ctx.after(Self::contents))
    }

    /// Takes pieces of an article out; all of them, if no quantity is given.
    #[command]
    fn remove_item(
        &self,
        ctx: &mut Context<Self>,
        sku: String,
        quantity: Option<u32>,
    ) -> Result<After<Self, Contents>, CartError> {
        self.check_open()?;
        let Some(line) = self.lines.get(&sku) else { return Err(CartError::UnknownItem { sku }) };
        let quantity = quantity.unwrap_or(line.quantity);
        if quantity == 0 || quantity > line.quantity {
            return Err(CartError::QuantityOutOfRange { quantity });
        }
        ctx.record(CartEvent::ItemRemoved { sku, quantity });
        Ok(ctx.after(Self::contents))
    }

    /// Buys what is in the cart. After that, it stays as it is.
    #[command]
    fn check_out(&self, ctx: &mut Context<Self>) -> Result<After<Self, Contents>, CartError> {
        self.check_open()?;
        if self.lines.is_empty() {
            return Err(CartError::Empty);
        }
        ctx.record(CartEvent::CheckedOut { at_ms: ctx.now_ms() });
        Ok(ctx.after(Self::contents))
    }

    /// Throws the cart away, with its events, unless it has been checked out.
    #[command]
    fn discard(&self, ctx: &mut Context<Self>) -> Result<(), CartError> {
        self.check_open()?;
        ctx.end(Ending::PurgeEvents);
        Ok(())
    }

    /// What is in the cart and what it costs.
    #[query]
    fn contents(&self) -> Contents {
        Contents {
            lines: self.lines.clone(),
            total: self.lines.values().map(Line::total).sum(),
            checked_out: self.checked_out_at_ms.is_some(),
        }
    }

    fn apply(&mut self, event: CartEvent) {
        match event {
            CartEvent::ItemAdded { sku, quantity, unit_price } => {
                let line = self.lines.entry(sku).or_insert(Line { quantity: 0, unit_price });
                line.quantity = line.quantity.saturating_add(quantity);
                line.unit_price = unit_price;
            }
            CartEvent::ItemRemoved { sku, quantity } => {
                if let Some(line) = self.lines.get_mut(&sku) {
                    line.quantity = line.quantity.saturating_sub(quantity);
                    if line.quantity == 0 {
                        self.lines.remove(&sku);
                    }
                }
            }
            CartEvent::CheckedOut { at_ms } => self.checked_out_at_ms = Some(at_ms),
        }
    }

    fn check_open(&self) -> Result<(), CartError> {
        match self.checked_out_at_ms {
            Some(_) => Err(CartError::AlreadyCheckedOut),
            None => Ok(()),
        }
    }
}

impl Line {
    fn total(&self) -> u64 {
        self.unit_price.saturating_mul(u64::from(self.quantity))
    }
}

fn one() -> u32 {
    1
}

stead_sdk::export!(Cart);
