//! A "no" of the domain.

use std::fmt;

use serde::Serialize;

/// The status of a rejection that names none.
const STATUS_DEFAULT: u16 = 422;

/// A "no" of the domain: it records nothing and leaves the state as it was.
///
/// Usually made from an enum with `#[derive(Rejection)]`; by hand where an enum
/// would be too much:
///
/// ```
/// use stead_sdk::Rejection;
///
/// let rejection = Rejection::new("out-of-stock", "There is no tea left.")
///     .with_status(409)
///     .with_details(&["green", "black"]);
/// assert_eq!(rejection.code(), "out-of-stock");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Rejection {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) details: Option<Vec<u8>>,
}

impl Rejection {
    /// A rejection with status 422. The code is for programs, short and stable;
    /// the message is one sentence for people.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status: STATUS_DEFAULT, code: code.into(), message: message.into(), details: None }
    }

    /// With another HTTP status.
    ///
    /// # Panics
    /// If it isn't within 400 to 499: everything else is not a rejection.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        assert!((400..500).contains(&status), "a rejection's status is 400 to 499, not {status}");
        self.status = status;
        self
    }

    /// With more for programs, as JSON.
    ///
    /// # Panics
    /// If the value has no JSON form, which is a mistake in the entity's code:
    /// a map whose keys are not texts, say.
    #[must_use]
    pub fn with_details(mut self, details: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(details) {
            Ok(json) => self.details = Some(json),
            Err(error) => panic!("details of the rejection {:?} as JSON: {error}", self.code),
        }
        self
    }

    /// The HTTP status, 400 to 499.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The name that programs match on.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The sentence for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// More for programs: JSON.
    #[must_use]
    pub fn details(&self) -> Option<&[u8]> {
        self.details.as_deref()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, self.code, self.message)?;
        match &self.details {
            Some(details) => write!(f, " {}", String::from_utf8_lossy(details)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Rejection {}
