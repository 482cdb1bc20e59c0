//! What is refused about layouts, dictionaries and the parts of a register: one message each.

use riskstrat::ingest::layout::LayoutFile;

use crate::bad_input::{Body, refused};

const OBSERVATIONS: &str = "patid\tpracid\tobsdate\tenterdate\tmedcodeid\tvalue\n\
                            PSEUDO-A\tG82001\t01/05/2015\t01/05/2015\t901\t\n\
                            PSEUDO-B\tG82001\t01/05/2015\t01/05/2015\t902\t\n";
const MEDCODES: &str = "medcodeid\tterm\tsnomedctconceptid\n901\tDiabetes\t73211009\n902\tAsthma\t195967001\n";
const SOURCE: &str = "[[source]]\nname = \"aurum\"\nlayout = \"cprd_aurum_observation\"\nfiles = [\"aurum.txt\"]\n";

/// A body that also has an extract with numbers in place of codes.
fn with_dictionary(body: &Body, dictionary: &str) {
    body.put("aurum.txt", OBSERVATIONS);
    body.put("medcodes.txt", MEDCODES);
    let settings = std::fs::read_to_string(body.path("riskstrat.toml")).unwrap();
    body.put("riskstrat.toml", format!("{settings}\n{SOURCE}{dictionary}\n"));
}

#[test]
fn a_dictionary_makes_codes_of_numbers() {
    let body = Body::new();
    with_dictionary(&body, "dictionaries = { medcodes = [\"medcodes.txt\"] }");
    body.run().unwrap_or_else(|failure| panic!("{failure}"));
    assert!(body.published("manifest.json").contains("medcodes.txt"), "the dictionary is an input with its hash");
}

#[test]
fn a_dictionary_that_is_needed_has_to_be_named() {
    let (code, message) = refused(|body| with_dictionary(body, ""));
    assert_eq!(code, 3);
    let expected = "source \"aurum\": layout \"cprd_aurum_observation\" needs the dictionary \"medcodes\" (medcodeid to \
                    snomedctconceptid); write dictionaries = { medcodes = [\"FILE\"] }";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_dictionary_that_the_layout_does_not_have_is_met_with_the_nearest() {
    let (code, message) = refused(|body| with_dictionary(body, "dictionaries = { medcode = [\"medcodes.txt\"] }"));
    assert_eq!(code, 3);
    let expected = "layout \"cprd_aurum_observation\" has no dictionary \"medcode\"";
    assert!(message.contains(expected) && message.contains("\"medcodes\""), "{message}");
}

#[test]
fn a_dictionary_file_that_is_not_there_is_a_fault_of_the_input() {
    let (code, message) = refused(|body| {
        with_dictionary(body, "dictionaries = { medcodes = [\"medcodes.txt\"] }");
        body.remove("medcodes.txt");
    });
    assert_eq!(code, 4);
    let expected =
        "source \"aurum\", dictionary \"medcodes\": \"medcodes.txt\": no such file, looked for at FOLDER/medcodes.txt";
    assert_eq!(message, expected);
}

#[test]
fn a_dictionary_without_its_columns_is_refused_before_the_data_is_read() {
    let (code, message) = refused(|body| {
        with_dictionary(body, "dictionaries = { medcodes = [\"medcodes.txt\"] }");
        body.change("medcodes.txt", "snomedctconceptid", "snomed_ct_concept_id");
    });
    assert_eq!(code, 4);
    let expected = "source \"aurum, dictionary medcodes\": medcodes.txt: no column \"snomedctconceptid\"";
    assert!(message.starts_with(expected) && message.contains("snomed_ct_concept_id"), "{message}");
}

#[test]
fn a_number_with_two_codes_is_refused() {
    let (code, message) = refused(|body| {
        with_dictionary(body, "dictionaries = { medcodes = [\"medcodes.txt\"] }");
        body.put("medcodes.txt", format!("{MEDCODES}902\tSECRET\t44054006\n"));
    });
    assert_eq!(code, 4);
    let expected = "source \"aurum\", dictionary \"medcodes\": lines that give a medcodeid another snomedctconceptid than a \
                    line before: 1; each stands for one code";
    assert_eq!(message, expected);
}

#[test]
fn a_dictionary_of_another_release_stops_the_run() {
    let (code, message) = refused(|body| {
        with_dictionary(body, "dictionaries = { medcodes = [\"medcodes.txt\"] }");
        body.change("medcodes.txt", "902", "903");
    });
    assert_eq!(code, 4);
    let expected = "source \"aurum\": a share of 0.5000 of rows has a code that its dictionary lacks";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_register_without_registrations_is_told_where_they_belong() {
    let (code, message) = refused(|body| {
        body.put("person.csv", "person_id,gender_concept_id,year_of_birth,month_of_birth,care_site_id,race_source_value\n1,8532,1950,1,1,\n");
        body.set(
            "layout = \"register\"\nfiles = [\"register.csv\"]",
            "layout = \"omop_person\"\nfiles = [\"person.csv\"]",
        );
    });
    assert_eq!(code, 3);
    let expected = "layout \"omop_person\" has no registrations; name their files under [[register.with]]";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn what_adds_nothing_to_a_register_has_no_place_beside_it() {
    let (code, message) = refused(|body| {
        body.set("[opt_outs]", "[[register.with]]\nlayout = \"gp_events\"\nfiles = [\"gp_events.csv\"]\n\n[opt_outs]");
    });
    assert_eq!(code, 3);
    assert!(message.contains("layout \"gp_events\" builds Events, which has no place here"), "{message}");
}

#[test]
fn one_file_may_be_read_twice_for_different_streams_only() {
    let twice = |second: &str| {
        let body = Body::new();
        body.put("visits.csv", "person_id,visit_concept_id,visit_start_date,visit_end_date,visit_occurrence_id,care_site_id\nPSEUDO-A,9201,2015-05-01,2015-05-03,1,\n");
        let settings = std::fs::read_to_string(body.path("riskstrat.toml")).unwrap();
        let source = |name: &str, layout: &str| {
            format!("[[source]]\nname = \"{name}\"\nlayout = \"{layout}\"\nfiles = [\"visits.csv\"]\n")
        };
        let sources = source("stays", "omop_visit_inpatient") + &source("others", second);
        body.put("riskstrat.toml", format!("{settings}\n{sources}"));
        body.run().map(|_| ()).map_err(|failure| failure.to_string())
    };
    assert_eq!(twice("omop_visit_outpatient"), Ok(()));
    let message = twice("omop_visit_inpatient").unwrap_err();
    let expected = "visits.csv is read by source \"stays\" and by source \"others\"; its rows would count twice";
    assert!(message.contains(expected), "{message}");
}

/// The problems of a shipped layout with some text in place of other.
fn problems(layout: &str, from: &str, to: &str) -> String {
    let library = crate::models::library();
    let text = &library.layouts[layout].text;
    assert!(text.contains(from), "{layout} has no `{from}`");
    let problems = LayoutFile::parse(layout, &text.replacen(from, to, 1)).expect_err("it is refused");
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_layout_that_contradicts_itself_is_refused() {
    let weekly = "[amount.weekly]\nfrequency = \"f\"\nplanned = \"p\"\nsource = \"s\"\nunits_in_weeks = { x = [1, 0] }\n\n[[field]]";
    for (layout, from, to, expected) in [
        (
            "gp_events",
            "[[field]]",
            "[[keep]]\nfield = \"cod\"\nwords = [\"x\"]\n\n[[field]]",
            "keep names field \"cod\"",
        ),
        ("register", "[register]", "[[keep]]\nfield = \"x\"\nwords = []\n\n[register]", "[[keep]] goes with builds"),
        (
            "hes_apc",
            "[[field]]",
            "[duplicates]\ncolumns = [\"EPIKEY\"]\nsource = \"s\"\n\n[[field]]",
            "[duplicates] goes with builds",
        ),
        ("gp_events", "[[field]]", weekly, "weekly goes with builds = \"intervals\" and a price"),
        ("gp_events", "[[field]]", weekly, "units_in_weeks is [units, weeks], and weeks is at least 1"),
        (
            "gp_events",
            "system  = \"snomed\"",
            "system = \"snomed\"\nlist = true",
            "field \"code\": list = true goes with",
        ),
        (
            "gp_events",
            "system  = \"snomed\"",
            "system = \"snomed\"\nothers_missing = true",
            "others_missing goes with system",
        ),
        (
            "gp_events",
            "system  = \"snomed\"",
            "system = \"snomed\"\ndictionary = \"d\"",
            "no [[dictionary]] is named \"d\"",
        ),
        (
            "cprd_aurum_observation",
            "system     = \"snomed\"",
            "system = \"text\"",
            "a dictionary gives codes, so the field has",
        ),
        ("omop_person", "month_otherwise = 7", "month_otherwise = 13", "register: birth: month_otherwise is 1 to 12"),
        (
            "omop_person",
            "birth              = {",
            "birth_month = { column = \"b\" }\nbirth = {",
            "birth_month or birth, not both",
        ),
        ("omop_person", "sex      ", "registration_end = { column = \"e\" }\nsex      ", "registration_end goes with"),
        ("omop_death", "[day]\ncolumn = \"death_date\"", "", "builds = \"deaths\" needs [day]"),
        (
            "omop_observation_period",
            "[registration]",
            "[[keep]]\nfield = \"x\"\nwords = []\n\n[registration]",
            "[[keep]] goes with",
        ),
        ("hes_apc", "order_null  ", "birth_method = [\"birth\"]\norder_null  ", "unknown field `birth_method`"),
        ("hes_op", "null   = [\"1800", "nulls = [\"1800", "unknown field `nulls`"),
    ] {
        let found = problems(layout, from, to);
        assert!(found.contains(expected), "{layout}: no {expected} in:\n{found}");
    }
}
