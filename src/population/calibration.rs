//! The constants that bring what is made to what is published, in one place.

/// Part of the rate of emergency admissions, and of planned ones, that follows frailty.
pub const EMERGENCY_FOLLOWS: f64 = 0.68;
pub const PLANNED_FOLLOWS: f64 = 0.9;

/// Support by the council in a year. Of people of 65 and over, 602,885 had long-term and 184,645 short-term support, together
/// 8.3 in 100; of those below, 872,520 − 602,885 of the 34,908,590 people between 18 and 64.
pub const LONG_TERM_OLD: f64 = 0.083 * 602_885.0 / (602_885.0 + 184_645.0);
pub const SHORT_TERM_OLD: f64 = 0.083 * 184_645.0 / (602_885.0 + 184_645.0);
pub const LONG_TERM_YOUNG: f64 = (872_520.0 - 602_885.0) / 34_908_590.0;
