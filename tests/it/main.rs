//! The integration tests: one binary, one module a subject.

mod as_of_list;
mod back_cast;
mod bad_input;
mod bad_models;
mod cases;
mod change;
mod cohorts;
mod common;
mod defects;
mod explain;
mod fast_is_slow;
mod formats;
mod gates;
mod governance;
mod identifiers;
mod layouts;
mod list_files;
mod local_models;
mod models;
mod omop;
mod pseudonymise;
mod refusals;
mod same_bytes;
mod synthetic_scores;
mod terms_fire;
