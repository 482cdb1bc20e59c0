//! The integration tests: one binary, one module a subject.

mod bad_input;
mod cases;
mod common;
mod fast_is_slow;
mod models;
