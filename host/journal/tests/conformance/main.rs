//! What a journal is to do, case by case.
//!
//! Each case is a behaviour, stated in its name. It is run against the model
//! (maps in memory, see [`model`]), against the journal on a simulated disk,
//! and against the journal on a real one; and what it says of a journal must be
//! so at once, after a clean close, after a kill, and after a power loss (see
//! [`subject::always`]).
//!
//! The same model is what generated operations are checked against
//! ([`properties`]). That cases and generated operations would notice a journal
//! that does otherwise is shown by giving the model one defect after the other
//! ([`planted`]).

#![expect(clippy::indexing_slicing, reason = "a test that panics has failed")]

mod commands;
mod model;
mod real;
mod subject;

mod batches;
mod drops;
mod listing;
mod lives;
mod numbers;
mod order;
mod recovery;
mod replay;
mod requests;
mod sizes;
mod snapshots;

mod planted;
mod properties;

/// A case of the suite.
type Case = fn(&mut dyn subject::Subject);

/// Makes each case a test of every kind of journal, and lists them.
macro_rules! cases {
    ($($(#[$attribute:meta])* fn $name:ident($subject:ident) $body:block)+) => {
        /// The cases of this theme.
        pub(crate) const CASES: &[(&str, crate::Case)] =
            &[$((concat!(module_path!(), "::", stringify!($name)), $name::case)),+];

        $(
            $(#[$attribute])*
            mod $name {
                #[allow(unused_imports, reason = "not every case needs all that its theme does")]
                use super::*;

                pub(super) fn case($subject: &mut dyn crate::subject::Subject) $body

                #[test]
                fn in_the_model() {
                    case(&mut crate::model::Model::default());
                }

                #[test]
                fn on_a_simulated_disk() {
                    case(&mut crate::real::Real::simulated());
                }

                #[test]
                fn on_a_real_disk() {
                    case(&mut crate::real::Real::in_a_directory());
                }
            }
        )+
    };
}
pub(crate) use cases;

/// All cases.
fn all_cases() -> impl Iterator<Item = (&'static str, Case)> {
    let themes = [
        batches::CASES,
        drops::CASES,
        listing::CASES,
        lives::CASES,
        numbers::CASES,
        order::CASES,
        recovery::CASES,
        replay::CASES,
        requests::CASES,
        sizes::CASES,
        snapshots::CASES,
    ];
    themes.into_iter().flatten().copied()
}

#[test]
fn the_cases_are_many() {
    let count = all_cases().count();
    println!("{count} cases");
    assert!(count >= 30, "{count}");
}
