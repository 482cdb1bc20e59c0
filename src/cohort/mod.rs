//! Cohorts: who is on a list, by a rule that an analyst can read.
//!
//! A cohort is a file or a part of the settings ([`spec`]): a SQL condition over the published columns, exclusions with
//! reasons, an order, a capacity. [`rule`] asks Polars what the conditions say of everybody; [`place`] puts everybody in
//! one of four places, so that nobody disappears between the register and a list; [`fill`] shares out the places of a
//! list that has too few; [`history`] says how a score came to be what it is, [`change`] what became of the last list,
//! [`decisions`] what clinicians decided. The same inputs give the same list: ties go by pseudonym. Nothing here writes files.

pub mod change;
pub mod columns;
pub mod decisions;
pub mod fill;
pub mod history;
pub mod place;
pub mod rule;
pub mod spec;

pub use place::{Place, Placed};
pub use spec::Cohort;

/// The published column that holds a row's number.
pub const ROW: &str = "row";
