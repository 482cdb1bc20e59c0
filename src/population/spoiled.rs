//! Which faults there are, where, and how often: the table that the README and the truth speak of.

use super::Defects;

/// What a fault does to a cell, or to a row.
#[derive(Clone, Copy)]
pub enum How {
    Empty,
    NullDay,
    /// A date that the calendar does not have. In Parquet, which has none such, the extracts' marker for it.
    InvalidDay,
    Words(&'static [&'static str]),
    FixedDay(i32, u32, u32),
    /// Days later than the truth, between the two.
    Later(i32, i32),
    /// Before the day in another column.
    Before(&'static str),
    LowerCase,
    Dotted,
    /// A mark for a cause or for what it shows as, after the code.
    Marked,
    Century,
    MalformedCode,
    MalformedDrug,
    /// The row stands twice.
    Twice,
    /// The row stands in the next year's file too.
    NextYear,
}

pub struct Fault {
    pub kind: &'static str,
    /// What the names of the files begin with.
    pub file: &'static str,
    /// One of these at a time; none means the person's pseudonym.
    pub columns: &'static [&'static str],
    pub how: How,
    /// Rows in 100,000, where defects are real and where they are hostile.
    real: u32,
    hostile: u32,
}

impl Fault {
    pub fn rate(&self, defects: Defects) -> f64 {
        let rows = match defects {
            Defects::None => 0,
            Defects::Real => self.real,
            Defects::Hostile => self.hostile,
        };
        f64::from(rows) / 100_000.0
    }
}

const fn fault(
    kind: &'static str,
    file: &'static str,
    columns: &'static [&'static str],
    how: How,
    (real, hostile): (u32, u32),
) -> Fault {
    Fault { kind, file, columns, how, real, hostile }
}

const DIAGNOSES: &[&str] = &["DIAG_01", "DIAG_02", "DIAG_03"];
const NONSENSE: How = How::Words(&["ZZ", "?", "7X", "#N/A"]);
const MALFORMED_ICD10: How = How::Words(&["1259", "I2", "ICD:I25", "ZZZZZZ", "I25,9"]);
const FUTURE: How = How::Later(36_525, 40_000);

/// Faults that hit single rows.
pub const FIXED: &[Fault] = &[
    fault("missing pseudonym", "register", &[], How::Empty, (20, 1_000)),
    fault("wrong century of birth", "register", &["birth_year_month"], How::Century, (30, 1_000)),
    fault("registration floor", "register", &["registration_start"], How::FixedDay(1900, 1, 1), (1_000, 10_000)),
    fault("null date", "register", &["registration_end", "death_date"], How::NullDay, (500, 10_000)),
    fault("invalid date", "register", &["registration_start", "death_date"], How::InvalidDay, (20, 1_000)),
    fault("filler", "register", &["practice_code"], How::Words(&["V81997", "V81998", "V81999"]), (200, 2_000)),
    fault("filler", "register", &["lsoa11"], How::Words(&["Z99999999", ""]), (300, 3_000)),
    fault("unknown code", "register", &["sex"], How::Words(&["X", "M", "3", ""]), (50, 1_000)),
    fault("future row", "register", &["registration_start"], FUTURE, (10, 500)),
    fault("duplicate row", "register", &[], How::Twice, (100, 2_000)),
    fault("missing pseudonym", "hes_", &[], How::Empty, (200, 2_000)),
    fault("null date", "hes_apc", &["EPISTART", "ADMIDATE"], How::NullDay, (50, 2_000)),
    fault("null date", "hes_op", &["APPTDATE"], How::NullDay, (50, 2_000)),
    fault("null date", "hes_ae", &["ARRIVALDATE"], How::NullDay, (50, 2_000)),
    fault("invalid date", "hes_apc", &["EPISTART", "EPIEND", "ADMIDATE", "DISDATE"], How::InvalidDay, (20, 1_000)),
    fault("invalid date", "hes_op", &["APPTDATE"], How::InvalidDay, (20, 1_000)),
    fault("invalid date", "hes_ae", &["ARRIVALDATE"], How::InvalidDay, (20, 1_000)),
    fault("discharge before admission", "hes_apc", &["DISDATE"], How::Before("ADMIDATE"), (30, 1_000)),
    fault("same episode in two years", "hes_apc", &["EPIKEY"], How::NextYear, (200, 3_000)),
    fault("duplicate row", "hes_", &[], How::Twice, (200, 3_000)),
    fault("lower case code", "hes_apc", DIAGNOSES, How::LowerCase, (1_000, 20_000)),
    fault("dotted code", "hes_apc", DIAGNOSES, How::Dotted, (500, 10_000)),
    fault("dagger or asterisk mark", "hes_apc", DIAGNOSES, How::Marked, (500, 5_000)),
    fault("malformed code", "hes_apc", DIAGNOSES, MALFORMED_ICD10, (50, 2_000)),
    fault("filler", "hes_apc", &["DIAG_01"], How::Words(&["R69X", "R69X3", "R69X6", "R69X8"]), (500, 5_000)),
    fault("filler", "hes_apc", &["GPPRAC"], How::Words(&["V81997", "V81999", "&"]), (500, 5_000)),
    fault("unknown code", "hes_apc", &["ADMIMETH", "CLASSPAT", "ADMISORC", "DISMETH"], NONSENSE, (30, 2_000)),
    fault("unknown code", "hes_op", &["ATTENDED", "FIRSTATT", "REFSOURC"], NONSENSE, (30, 2_000)),
    fault("unknown code", "hes_ae", &["AEATTENDDISP", "AEATTENDCAT", "AEARRIVALMODE"], NONSENSE, (30, 2_000)),
    fault("future row", "hes_apc", &["EPISTART", "ADMIDATE"], FUTURE, (10, 500)),
    fault("future row", "hes_op", &["APPTDATE"], FUTURE, (10, 500)),
    fault("future row", "hes_ae", &["ARRIVALDATE"], FUTURE, (10, 500)),
    fault("missing pseudonym", "social_care", &[], How::Empty, (300, 3_000)),
    fault("duplicate row", "social_care", &[], How::Twice, (2_000, 10_000)),
    fault("null date", "social_care", &["Event Start Date", "Event End Date"], How::NullDay, (200, 3_000)),
    fault("invalid date", "social_care", &["Event Start Date", "Event End Date"], How::InvalidDay, (30, 1_000)),
    fault("end before start", "social_care", &["Event End Date"], How::Before("Event Start Date"), (100, 2_000)),
    fault(
        "unknown code",
        "social_care",
        &["Event Type", "Service Type"],
        How::Words(&["Referral", "TBC"]),
        (100, 2_000),
    ),
    fault("filler", "social_care", &["Event Type", "Service Component"], How::Words(&["NULL"]), (100, 2_000)),
    fault("missing pseudonym", "csds", &[], How::Empty, (300, 3_000)),
    fault("missing pseudonym", "mhsds", &[], How::Empty, (300, 3_000)),
    fault("missing pseudonym", "ambulance", &[], How::Empty, (5_000, 20_000)),
    fault("missing pseudonym", "hospice", &[], How::Empty, (1_000, 5_000)),
    fault("null date", "csds", &["contact_date"], How::NullDay, (50, 2_000)),
    fault("null date", "mhsds", &["contact_date"], How::NullDay, (50, 2_000)),
    fault("invalid date", "csds", &["contact_date"], How::InvalidDay, (20, 1_000)),
    fault("invalid date", "ambulance", &["call_date"], How::InvalidDay, (20, 1_000)),
    fault("duplicate row", "csds", &[], How::Twice, (500, 3_000)),
    fault("duplicate row", "mhsds", &[], How::Twice, (500, 3_000)),
    fault("unknown code", "csds", &["attendance_status"], NONSENSE, (100, 2_000)),
    fault("unknown code", "mhsds", &["attendance_status", "care_programme_approach"], NONSENSE, (100, 2_000)),
    fault("missing pseudonym", "care_plans", &[], How::Empty, (500, 5_000)),
    fault("invalid date", "care_plans", &["start_date"], How::InvalidDay, (50, 3_000)),
    fault("null date", "care_plans", &["start_date"], How::NullDay, (50, 3_000)),
    fault("unknown code", "care_plans", &["plan_type"], NONSENSE, (100, 3_000)),
    fault("missing pseudonym", "gp_", &[], How::Empty, (10, 500)),
    fault("null date", "gp_events", &["event_date"], How::NullDay, (20, 1_000)),
    fault("null date", "gp_prescriptions", &["issue_date"], How::NullDay, (20, 1_000)),
    fault("invalid date", "gp_events", &["event_date"], How::InvalidDay, (10, 500)),
    fault("invalid date", "gp_prescriptions", &["issue_date"], How::InvalidDay, (10, 500)),
    fault("late-recorded event", "gp_events", &["recorded_date"], How::Later(120, 900), (500, 5_000)),
    fault("future row", "gp_events", &["event_date"], FUTURE, (5, 500)),
    fault("future row", "gp_prescriptions", &["issue_date"], FUTURE, (5, 500)),
    fault("malformed code", "gp_events", &["snomed_code"], How::MalformedCode, (20, 1_000)),
    fault("malformed code", "gp_prescriptions", &["bnf_code"], How::MalformedDrug, (20, 1_000)),
];

/// Codes as spreadsheets and cuts leave them.
pub const MALFORMED_SNOMED: [&str; 5] = ["1.01148E+15", "77176002.0", "7717600", "C10E.", "not coded"];
pub const MALFORMED_BNF: [&str; 5] = ["2120000B0AAABAB", "0212000b0aaabab", "0212", "02.12.00", "UNKNOWN"];
