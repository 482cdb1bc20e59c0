//! The columns of every file that the population is written as, as the bodies that hold such data name them.

use super::rows::{Kind, Layout, ListName};

const fn text(name: &'static str) -> (&'static str, Kind) {
    (name, Kind::Text)
}

const fn day(name: &'static str) -> (&'static str, Kind) {
    (name, Kind::Day)
}

pub const REGISTER: Layout = &[
    text("person_id"),
    text("birth_year_month"),
    text("sex"),
    text("ethnic_category"),
    text("practice_code"),
    text("lsoa11"),
    text("imd_decile"),
    ("imd_score", Kind::Decimal(1)),
    day("registration_start"),
    day("registration_end"),
    day("death_date"),
];

pub const OPT_OUTS: Layout = &[text("person_id")];

pub const PRACTICES: Layout = &[
    text("practice_code"),
    text("practice_name"),
    text("pcn_code"),
    text("pcn_name"),
    text("locality"),
    text("district"),
    text("shares_gp_data"),
];

pub const DIAGNOSES: usize = 20;
pub const OPERATIONS: usize = 4;

pub const APC: Layout = &[
    text("ENCRYPTED_HESID"),
    text("EPIKEY"),
    day("EPISTART"),
    day("EPIEND"),
    text("EPIORDER"),
    text("EPISTAT"),
    text("EPITYPE"),
    day("ADMIDATE"),
    text("ADMIMETH"),
    text("ADMISORC"),
    text("CLASSPAT"),
    day("DISDATE"),
    text("DISDEST"),
    text("DISMETH"),
    text("PROCODE"),
    text("SITETRET"),
    text("MAINSPEF"),
    text("TRETSPEF"),
    text("DIAG_01"),
    text("DIAG_02"),
    text("DIAG_03"),
    text("DIAG_04"),
    text("DIAG_05"),
    text("DIAG_06"),
    text("DIAG_07"),
    text("DIAG_08"),
    text("DIAG_09"),
    text("DIAG_10"),
    text("DIAG_11"),
    text("DIAG_12"),
    text("DIAG_13"),
    text("DIAG_14"),
    text("DIAG_15"),
    text("DIAG_16"),
    text("DIAG_17"),
    text("DIAG_18"),
    text("DIAG_19"),
    text("DIAG_20"),
    text("OPERTN_01"),
    text("OPERTN_02"),
    text("OPERTN_03"),
    text("OPERTN_04"),
    text("SUSHRG"),
    day("SUBDATE"),
    text("FYEAR"),
    text("SEX"),
    text("MYDOB"),
    text("GPPRAC"),
    text("LSOA11"),
    text("ETHNOS"),
];

pub const OUTPATIENTS: Layout = &[
    text("ENCRYPTED_HESID"),
    text("ATTENDKEY"),
    day("APPTDATE"),
    text("ATTENDED"),
    text("FIRSTATT"),
    text("OUTCOME"),
    text("REFSOURC"),
    text("MAINSPEF"),
    text("TRETSPEF"),
    text("PROCODE"),
    text("DIAG_01"),
    day("SUBDATE"),
    text("FYEAR"),
];

pub const EMERGENCY: Layout = &[
    text("ENCRYPTED_HESID"),
    text("AEKEY"),
    day("ARRIVALDATE"),
    text("ARRIVALTIME"),
    text("AEARRIVALMODE"),
    text("AEATTENDCAT"),
    text("AEATTENDDISP"),
    text("AEDEPTTYPE"),
    text("DIAG_01"),
    text("DIAG_02"),
    text("INVEST_01"),
    text("INVEST_02"),
    text("TREAT_01"),
    text("PROCODE"),
    day("SUBDATE"),
    text("FYEAR"),
];

pub const GP_EVENTS: Layout = &[
    ("person_id", Kind::Listed(ListName::People)),
    ("practice_code", Kind::Listed(ListName::Practices)),
    day("event_date"),
    day("recorded_date"),
    ("snomed_code", Kind::Listed(ListName::Codes)),
    ("value", Kind::Decimal(1)),
    ("unit", Kind::Listed(ListName::Units)),
];

pub const PRESCRIPTIONS: Layout = &[
    ("person_id", Kind::Listed(ListName::People)),
    ("practice_code", Kind::Listed(ListName::Practices)),
    day("issue_date"),
    ("bnf_code", Kind::Listed(ListName::Drugs)),
    ("quantity", Kind::Decimal(0)),
    ("cost", Kind::Decimal(2)),
];

pub const SOCIAL_CARE: Layout = &[
    text("LA Code"),
    day("Reporting Period Start Date"),
    day("Reporting Period End Date"),
    text("LA Person Unique Identifier"),
    text("GP Practice Code"),
    text("Gender"),
    text("Ethnicity"),
    day("Date of Death"),
    text("Client Type"),
    text("Primary Support Reason"),
    text("Accommodation Status"),
    text("Has Unpaid Carer"),
    text("Client Funding Status"),
    text("Event Type"),
    text("Event Reference"),
    day("Event Start Date"),
    day("Event End Date"),
    text("Event Description"),
    text("Event Outcome"),
    text("Service Type"),
    text("Service Component"),
    text("Delivery Mechanism"),
    ("Unit Cost", Kind::Decimal(2)),
    text("Cost Frequency (Unit Type)"),
    ("Planned units per week", Kind::Decimal(0)),
];

/// After the community services data set.
pub const COMMUNITY: Layout = &[
    text("person_id"),
    text("provider_code"),
    text("service_request_id"),
    text("service_type"),
    day("contact_date"),
    text("attendance_status"),
    text("consultation_medium"),
    text("activity_location_type"),
    ("contact_duration_minutes", Kind::Decimal(0)),
    ("unit_cost", Kind::Decimal(2)),
];

/// After the mental health services data set.
pub const MENTAL_HEALTH: Layout = &[
    text("person_id"),
    text("provider_code"),
    text("service_request_id"),
    text("team_type"),
    day("contact_date"),
    text("attendance_status"),
    text("consultation_medium"),
    ("contact_duration_minutes", Kind::Decimal(0)),
    text("primary_diagnosis"),
    text("care_programme_approach"),
    ("unit_cost", Kind::Decimal(2)),
];

pub const AMBULANCE: Layout = &[
    text("person_id"),
    text("provider_code"),
    day("call_date"),
    text("call_time"),
    text("call_category"),
    text("chief_complaint"),
    text("outcome"),
    text("conveyed_to"),
];

pub const HOSPICE: Layout =
    &[text("person_id"), text("hospice_code"), day("contact_date"), day("end_date"), text("contact_type")];

pub const CARE_PLANS: Layout = &[
    text("person_id"),
    text("practice_code"),
    text("plan_type"),
    day("start_date"),
    day("review_date"),
    text("frailty_category"),
];

pub const DEFECT_ROWS: Layout = &[text("kind"), text("file"), text("row"), text("column")];

pub const DEFECTS: Layout = &[text("kind"), text("file"), text("count"), text("rows"), text("what")];

pub const TRUTH_PEOPLE: Layout = &[
    text("person_id"),
    text("number"),
    ("frailty", Kind::Decimal(6)),
    text("sex"),
    day("birth"),
    text("imd_decile"),
    day("death"),
    day("care_home_from"),
    day("palliative_from"),
    text("smoking"),
    text("conditions"),
    text("opt_out"),
];
