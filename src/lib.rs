//! Population risk stratification: linked NHS extracts in, King's Fund-style scores, strata and case-management lists
//! out.
//!
//! The modules stand in the order of the way through: a module may use those above it, never those below.

pub mod day;
pub mod number;

pub mod code;
pub mod event;
pub mod model;

pub mod person;
pub mod timeline;

pub mod measure;

pub mod ingest;

pub mod score;
pub mod strata;

pub mod cohort;

pub mod estimate;

pub mod population;

pub mod gate;

pub mod output;

pub mod demo;
pub mod pseudonymise;
pub mod settings;

pub mod run;

pub mod explain;

pub mod appraisal;
pub mod probes;

pub mod cli;
