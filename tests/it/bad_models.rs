//! Faults in model files, code lists and tables: each is refused with the file, the line, the word and what is allowed.
//!
//! A small model without a fault stands below; every line of the table puts other text in place of some of it.

use riskstrat::event::Streams;
use riskstrat::model::Problem;
use riskstrat::model::check::check;
use riskstrat::model::library::Library;

use crate::common::write;
use crate::models::{library, streams};

const GOOD: &str = r#"format = 1

[model]
id      = "good"
version = "1.0.0"
title   = "A model without a fault"
kind    = "logistic"

[source]
citation = "Nobody, 2016"
location = "Table 1"
derived  = []
assumed  = []

[outcome]
events       = { of = "admission", where = { method = "elective" } }
days         = 180
died         = "left_out"
deregistered = "no_event"

[population]
age_years = { at_least = 18 }
otherwise = "not_scored"

[[population.require]]
value  = { any = { of = "admission", days = [0, 730] } }
reason = "no admission in two years"

[baseline]
intercept = -2.5

[[anchor]]
name       = "stay"
label      = "The last stay"
last       = "admission"
ended_days = [0, 30]

[[value]]
name  = "age"
value = { age_years = {} }

[[value]]
name  = "visits"
value = { count = { of = "emergency", where = { arrival = "ambulance" }, days = [0, 365] } }

[[term]]
name         = "young"
label        = "Aged 18 to 39"
value        = { named = "age" }
steps        = [{ between = [18, 39] }]
when_missing = "zero"
group        = "age"
coefficient  = 0.25

[[term]]
name         = "old"
label        = "Aged 65 or over"
value        = { named = "age" }
steps        = [{ at_least = 65 }]
when_missing = "zero"
group        = "age"
coefficient  = 0.75

[[term]]
name         = "many_visits"
label        = "A&E attendances by ambulance, up to 3"
value        = { named = "visits" }
steps        = [{ cap_at = 3 }, { divide_by = 3 }]
when_missing = "zero"
coefficient  = 0.5

[[term]]
name         = "heart_failure"
label        = "Heart failure before the last stay"
value        = { any = { of = "admission", where = { diagnosis = { in = ["charlson_quan2005/chf"] } }, days = [0, 365], before = "stay" } }
when_missing = "zero"
coefficient  = 0.125

[[term]]
name         = "frailty"
label        = "Frailty points"
value        = { weights_once = { of = "diagnosis", days = [0, 730], field = "code", list = "hfrs" } }
when_missing = "zero"
coefficient  = 0.01

[[term]]
name         = "deprivation"
label        = "Deprivation score"
value        = { attribute = "imd_score" }
when_missing = "not_scored"
coefficient  = 0.002

[[term]]
name         = "hospital"
label        = "Hospital of the last stay"
value        = { look_up = { of = "admission", days = "same_day", before = "stay", field = "provider", table = "parr30_hospital", otherwise = -0.1155 } }
when_missing = "zero"
coefficient  = 1.0

[[hierarchy]]
if_present = "old"
then_zero  = ["young"]

[[band]]
name     = "high"
at_least = 0.5

[[band]]
name     = "middle"
at_least = 0.2

[[band]]
name = "low"
rest = true

[[example]]
who              = "aged 70, nothing else"
given            = { age = 70, deprivation = 10 }
linear_predictor = -1.73
decimals         = 9
"#;

/// What is replaced, by what, the text whose line is named (nothing where the whole file is meant), and the message.
type Fault = (&'static str, &'static str, &'static str, &'static str);

fn problems(text: &str, library: &Library, streams: &Streams) -> Vec<Problem> {
    check("scores/good.toml", text, library, streams).err().unwrap_or_default()
}

/// Checks each fault: named on its line, with its words, and with at most one problem that follows from it.
fn check_faults(faults: &[Fault]) {
    let library = library();
    let streams = streams(&library);
    assert_eq!(problems(GOOD, &library, &streams), [], "the model has no fault");
    let mut wrong = Vec::new();
    for (from, to, at, expected) in faults {
        assert_eq!(GOOD.matches(from).count(), 1, "`{from}` stands once in the model");
        let text = GOOD.replace(from, to);
        let line = match at.is_empty() {
            true => 0,
            false => {
                text[..text.find(at).unwrap_or_else(|| panic!("`{at}` stands in the text"))].matches('\n').count() + 1
            }
        };
        let found = problems(&text, &library, &streams);
        let is_named = found.iter().any(|problem| problem.line == line && problem.what.contains(expected));
        let is_right = is_named && found.len() <= 2;
        if !is_right {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            wrong.push(format!("`{to}`\n  expected :{line}: {expected}\n  found    {}", found.join("\n           ")));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_number_that_cannot_be_exact_is_refused() {
    check_faults(&[
        ("coefficient  = 0.25", "coefficient  = nan", "nan", "term \"young\": coefficient is not finite"),
        ("coefficient  = 0.25", "coefficient  = inf", "inf", "term \"young\": coefficient is not finite"),
        ("coefficient  = 0.25", "coefficient  = -inf", "-inf", "term \"young\": coefficient is not finite"),
        ("coefficient  = 0.25", "coefficient  = 0.1234567891", "0.1234567891", "has more than nine decimals"),
        ("coefficient  = 0.25", "coefficient  = 1e12", "1e12", "is too large"),
        ("coefficient  = 0.25", "coefficient  = \"0.25\"", "\"0.25\"", "invalid type: string"),
        ("intercept = -2.5", "intercept = nan", "intercept", "intercept is not finite"),
        ("{ divide_by = 3 }", "{ divide_by = 0 }", "value        = { named = \"visits\" }", "step divides by zero"),
        ("{ divide_by = 3 }", "{ divide_by = nan }", "value        = { named = \"visits\" }", "step is not finite"),
        (
            "{ divide_by = 3 }",
            "{ divide_by = 0.1234567 }",
            "value        = { named = \"visits\" }",
            "more than six decimals",
        ),
        ("otherwise = -0.1155 }", "otherwise = nan }", "otherwise = nan", "otherwise is not finite"),
        ("at_least = 0.5", "at_least = inf", "name     = \"high\"", "band limit is not finite"),
    ]);
}

#[test]
fn a_name_that_is_not_known_is_met_with_those_that_are() {
    check_faults(&[
        (
            "of = \"emergency\"",
            "of = \"emergencies\"",
            "emergencies",
            "no stream \"emergencies\"; did you mean \"emergency\"?",
        ),
        (
            "{ arrival =",
            "{ arival =",
            "arival",
            "no field of stream \"emergency\" named \"arival\"; did you mean \"arrival\"?",
        ),
        (
            "\"ambulance\"",
            "\"ambulence\"",
            "ambulence",
            "no value of field \"arrival\" \"ambulence\"; did you mean \"ambulance\"?; known are ambulance, other",
        ),
        (
            "quan2005/chf",
            "quan2006/chf",
            "quan2006",
            "no code list \"charlson_quan2006\"; did you mean \"charlson_quan2005\"?",
        ),
        (
            "quan2005/chf",
            "quan2005/chff",
            "chff",
            "no category of code list \"charlson_quan2005\" \"chff\"; did you mean \"chf\"?",
        ),
        ("list = \"hfrs\"", "list = \"hfsr\"", "hfsr", "no code list \"hfsr\"; did you mean \"hfrs\"?"),
        (
            "field = \"code\"",
            "field = \"codes\"",
            "\"codes\"",
            "no field of stream \"diagnosis\" named \"codes\"; did you mean \"code\"?",
        ),
        (
            "\"parr30_hospital\"",
            "\"parr30_hospitals\"",
            "parr30_hospitals",
            "no table \"parr30_hospitals\"; did you mean \"parr30_hospital\"?",
        ),
        ("\"imd_score\"", "\"imd_scores\"", "imd_scores", "no attribute \"imd_scores\"; did you mean \"imd_score\"?"),
        (
            "{ attribute = \"imd_score\" }",
            "{ sex = \"femal\" }",
            "femal",
            "sex \"femal\" is not known; known are male, female",
        ),
        (
            "days = [0, 365], before = \"stay\"",
            "days = [0, 365], before = \"stays\"",
            "\"stays\"",
            "no [[anchor]] \"stays\"; did you mean \"stay\"?",
        ),
        (
            "{ named = \"visits\" }",
            "{ named = \"visit\" }",
            "\"visit\"",
            "no [[value]] named \"visit\" stands above this place; did you mean \"visits\"?",
        ),
        (
            "{ named = \"visits\" }",
            "{ sum_of = [\"visits\", \"agee\"] }",
            "agee",
            "no [[value]] named \"agee\" stands above this place; did you mean \"age\"?",
        ),
        ("if_present = \"old\"", "if_present = \"oldd\"", "oldd", "no [[term]] \"oldd\"; did you mean \"old\"?"),
        (
            "then_zero  = [\"young\"]",
            "then_zero  = [\"yung\"]",
            "yung",
            "no [[term]] \"yung\"; did you mean \"young\"?",
        ),
        (
            "{ age = 70,",
            "{ agee = 70,",
            "agee",
            "example gives \"agee\", which is neither a term nor a value; did you mean \"age\"?",
        ),
        (
            "linear_predictor = -1.73",
            "band = \"lowest\"",
            "aged 70, nothing else",
            "no band \"lowest\"; known are high, middle, low",
        ),
    ]);
}

#[test]
fn a_key_or_word_that_is_misspelt_is_shown_with_what_is_allowed() {
    check_faults(&[
        (
            "coefficient  = 0.25",
            "coeficient   = 0.25",
            "coeficient",
            "unknown field `coeficient`, expected one of `name`",
        ),
        ("format = 1", "format = 2", "format = 2", "format 2 is not known; this version reads format 1"),
        (
            "kind    = \"logistic\"",
            "kind    = \"logit\"",
            "logit",
            "unknown variant `logit`, expected one of `logistic`",
        ),
        ("{ cap_at = 3 }", "{ cap = 3 }", "{ cap = 3 }", "unknown variant `cap`, expected one of `subtract`"),
        ("{ age_years = {} }", "{ age = {} }", "{ age = {} }", "unknown variant `age`, expected one of `age_years`"),
        ("value        = { named = \"visits\" }", "value        = {}", "value        = {}", "wanted exactly 1 element"),
        (
            "when_missing = \"not_scored\"",
            "when_missing = \"skip\"",
            "skip",
            "unknown variant `skip`, expected `zero` or `not_scored`",
        ),
        (
            "when_missing = \"not_scored\"",
            "",
            "[[term]]\nname         = \"deprivation\"",
            "missing field `when_missing`",
        ),
        (
            "days = [0, 365] } }\n\n[[term]]",
            "days = \"always\" } }\n\n[[term]]",
            "always",
            "unknown variant `always`, expected `ever` or `same_day`",
        ),
        (
            "days = [0, 365] } }\n\n[[term]]",
            "days = [0, 30, 365] } }\n\n[[term]]",
            "[0, 30, 365]",
            "invalid length 3, expected [after, up_to] in days",
        ),
        ("{ in = [", "{ among = [", "among", "unknown field `among`, expected one of `in`, `prefix`, `not`"),
        ("version = \"1.0.0\"", "version = \"1.0.0\"\nversion = \"1.0.1\"", "version = \"1.0.1\"", "duplicate key"),
    ]);
}

#[test]
fn a_window_that_holds_nothing_is_refused() {
    let visits = "name  = \"visits\"\nvalue = { count = { of = \"emergency\", where = { arrival = \"ambulance\" }, days = [0, 365] } }";
    let window = |days: &str| visits.replace("[0, 365]", days);
    let of = |days: &'static str, expected: &'static str| -> Fault { (visits, window(days).leak(), days, expected) };
    check_faults(&[
        of("[365, 0]", "window [365, 0] ends before it starts; write [after, up_to] with 0 <= after < up_to"),
        of("[30, 30]", "window [30, 30] ends before it starts"),
        of("[-30, 30]", "window [-30, 30] "),
        of("[0, 200000]", "up_to <= 100000"),
        of("\"same_day\"", "\"same_day\" needs an anchor: the as-of day itself is not yet known"),
        ("ended_days = [0, 30]", "ended_days = \"ever\"", "name       = \"stay\"", "ended_days is [after, up_to]"),
        (
            "ended_days = [0, 30]",
            "ended_days = [30, 0]",
            "name       = \"stay\"",
            "window [30, 0] ends before it starts",
        ),
    ]);
}

#[test]
fn a_term_that_contradicts_another_or_itself_is_refused() {
    check_faults(&[
        (
            "name         = \"deprivation\"",
            "name         = \"frailty\"",
            "name         = \"frailty\"\nlabel        = \"Depr",
            "two terms named \"frailty\"",
        ),
        (
            "{ at_least = 65 }",
            "{ at_least = 39 }",
            "name         = \"old\"",
            "terms \"young\" and \"old\" of group \"age\" overlap",
        ),
        (
            "{ at_least = 65 }",
            "{ subtract = 65 }",
            "name         = \"old\"",
            "term \"old\" is a level of \"age\" but its last step gives no range",
        ),
        (
            "{ between = [18, 39] }",
            "{ between = [39, 18] }",
            "value        = { named = \"age\" }\nsteps        = [{ between",
            "no number lies in this range",
        ),
        (
            "{ cap_at = 3 }",
            "{ square = false }",
            "value        = { named = \"visits\" }",
            "square = false does nothing",
        ),
        (
            "label        = \"Deprivation score\"",
            "label        = \" \"",
            "name         = \"deprivation\"",
            "term \"deprivation\": label is empty",
        ),
        ("coefficient  = 0.002\n", "", "name         = \"deprivation\"", "term \"deprivation\": no coefficient"),
        ("intercept = -2.5", "", "", "no intercept under [baseline]: a logistic model has one"),
        ("intercept = -2.5", "intercept = -2.5\nfloor = 0", "floor", "only points and conditions models have a floor"),
        (
            "if_present = \"old\"",
            "if_present = \"young\"",
            "if_present = \"young\"",
            "a term cannot set itself to zero",
        ),
        ("name  = \"visits\"", "name  = \"age\"", "name  = \"age\"\nvalue = { count", "two values named \"age\""),
    ]);
}

#[test]
fn a_code_list_or_stream_that_does_not_fit_is_refused() {
    check_faults(&[
        (
            "quan2005/chf",
            "quan2005/chf\", \"qof/HF_COD",
            "qof/HF_COD",
            "code list \"qof\" has snomed codes, but field \"diagnosis\" holds icd10",
        ),
        (
            "list = \"hfrs\"",
            "list = \"charlson_quan2005\"",
            "list = \"charlson_quan2005\"",
            "category \"aids\" of code list \"charlson_quan2005\" has no weight",
        ),
        (
            "{ in = [\"charlson_quan2005/chf\"] }",
            "{ in = [] }",
            "{ in = [] }",
            "field \"diagnosis\": an empty list of code lists",
        ),
        (
            "{ in = [\"charlson_quan2005/chf\"] }",
            "{ prefix = [\"\"] }",
            "{ prefix = [\"\"] }",
            "an empty prefix would hold everything",
        ),
        (
            "arrival = \"ambulance\"",
            "arrival = { prefix = [\"amb\"] }",
            "prefix",
            "field \"arrival\" holds words; a prefix is for codes and text",
        ),
        ("arrival = \"ambulance\"", "arrival = []", "arrival = []", "field \"arrival\": an empty list of words"),
        ("{ count = {", "{ sum = {", "{ sum = {", "stream \"emergency\" has no amount"),
        (
            "{ attribute = \"imd_score\" }",
            "{ open = { of = \"admission\" } }",
            "open",
            "stream \"admission\" has no intervals, so none is open",
        ),
    ]);
}

#[test]
fn bands_that_leave_somebody_out_or_overlap_are_refused() {
    check_faults(&[
        (
            "rest = true",
            "at_least = 0.1",
            "name = \"low\"",
            "the last band, and only it, has rest = true, so that nobody is left over",
        ),
        (
            "at_least = 0.2",
            "at_least = 0.6",
            "name     = \"middle\"",
            "bands run from the highest risk down, each limit lower than the one before",
        ),
        (
            "name     = \"middle\"",
            "name     = \"high\"",
            "name     = \"high\"\nat_least = 0.2",
            "two bands named \"high\"",
        ),
        (
            "at_least = 0.2",
            "at_least = 0.2\nabove = 0.2",
            "name     = \"middle\"",
            "band \"middle\" has one of top_share, at_least, above and rest = true",
        ),
        ("at_least = 0.5", "top_share = 0.05", "name     = \"middle\"", "with no other kind of limit"),
    ]);
}

#[test]
fn a_header_or_example_that_says_too_little_is_refused() {
    check_faults(&[
        (
            "id      = \"good\"",
            "id      = \"Good model\"",
            "[model]",
            "model id \"Good model\" may hold small letters, digits",
        ),
        ("version = \"1.0.0\"", "version = \"\"", "[model]", "version is empty"),
        (
            "citation = \"Nobody, 2016\"",
            "citation = \"\"",
            "[source]",
            "citation and location say where the numbers were read",
        ),
        (
            "linear_predictor = -1.73",
            "",
            "aged 70, nothing else",
            "an example expects a linear_predictor, probability, score or band",
        ),
        (
            "linear_predictor = -1.73",
            "linear_predictor = nan",
            "aged 70, nothing else",
            "linear_predictor is not finite",
        ),
        (
            "{ at_least = 18 }",
            "{ at_least = 18, above = 18 }",
            "[population]",
            "age_years: one lower and one upper limit at the most",
        ),
        (
            "{ at_least = 18 }",
            "{ at_least = 18, below = 18 }",
            "[population]",
            "age_years: no number lies in this range",
        ),
        ("{ at_least = 18 }", "{}", "[population]", "age_years: give at_least, above, at_most or below"),
        (
            "reason = \"no admission in two years\"",
            "reason = \"\"",
            "value  = { any",
            "a requirement gives the reason to publish",
        ),
    ]);
}

#[test]
fn a_model_without_terms_is_refused() {
    let library = library();
    let end = GOOD.find("[[term]]").unwrap();
    let found = problems(&GOOD[..end], &library, &streams(&library));
    assert_eq!(
        found.iter().map(|problem| problem.what.as_str()).collect::<Vec<_>>(),
        ["no [[term]]: a model has at least one"]
    );
}

#[test]
fn facts_have_neither_coefficients_nor_an_intercept_nor_bands() {
    let library = library();
    let text = GOOD.replace("\"logistic\"", "\"facts\"");
    let found: Vec<String> = problems(&text, &library, &streams(&library)).iter().map(ToString::to_string).collect();
    let found = found.join("\n");
    assert!(found.contains("term \"young\": a fact has no coefficient"), "{found}");
    assert!(found.contains("only logistic and points models have an intercept"), "{found}");
    assert!(found.contains("facts have no bands"), "{found}");
}

#[test]
fn all_faults_of_a_model_are_named_in_the_order_of_its_lines() {
    let library = library();
    let text = GOOD
        .replace("coefficient  = 0.25", "coefficient  = nan")
        .replace("\"ambulance\"", "\"ambulence\"")
        .replace("coefficient  = 0.002", "coefficient  = inf")
        .replace("if_present = \"old\"", "if_present = \"oldd\"");
    let found = problems(&text, &library, &streams(&library));
    let lines: Vec<usize> = found.iter().map(|problem| problem.line).collect();
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(lines.is_sorted(), "{lines:?}");
}

#[test]
fn an_outcome_that_nobody_could_have_is_refused() {
    let events = "events       = { of = \"admission\", where = { method = \"elective\" } }\n";
    check_faults(&[
        ("days         = 180", "days         = 0", "0\ndied", "outcome: days is 0; it may be 1 to 3660"),
        ("days         = 180", "dais         = 180", "dais", "unknown field `dais`"),
        ("died         = \"left_out\"", "died         = \"lost\"", "\"lost\"", "unknown variant `lost`"),
        ("died         = \"left_out\"\n", "", "[outcome]", "missing field `died`"),
        (
            "deregistered = \"no_event\"",
            "deregistered = \"event\"",
            "deregistered",
            "deregistered is \"no_event\" or \"left_out\"",
        ),
        ("\"elective\" } }", "\"electiv\" } }", "electiv", "did you mean \"elective\"?"),
        (events, "", "[outcome]", "outcome: give events, or died = \"event\""),
        ("days         = 180", "days         = 180\nafter        = \"stays\"", "stays", "no [[anchor]] \"stays\""),
        (
            "kind    = \"logistic\"",
            "kind    = \"logistic\"\nhorizon_days = 365",
            "180",
            "outcome: days is 180, but horizon_days under [model] is 365",
        ),
    ]);
}

/// What is wrong with a models folder that has one file more.
fn faults_of_library(name: &str, text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join(name), text);
    match Library::load(Some(folder.path())).unwrap() {
        Ok(_) => "none".to_owned(),
        Err(problems) => problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

#[test]
fn a_code_list_with_a_fault_is_refused_with_its_line() {
    const HEAD: &str = "# Source: made up\nsystem,code,match,category,label,weight\n";
    for (text, expected) in [
        (
            "system,code,match,category,label,weight\nicd10,I10,exact,a,,\n".to_owned(),
            "codelists/own.csv:1: no source line",
        ),
        (format!("{HEAD}icd11,I10,exact,a,,\n"), "codelists/own.csv:3: unknown code system \"icd11\"; known are icd10"),
        (format!("{HEAD}icd10,10I,exact,a,,\n"), "codelists/own.csv:3: \"10I\" does not have the form of a"),
        (
            format!("{HEAD}snomed,1.05E+15,exact,a,,\n"),
            "codelists/own.csv:3: \"1.05E+15\" does not have the form of a snomed",
        ),
        (
            format!("{HEAD}icd10,I10,begins,a,,\n"),
            "codelists/own.csv:3: unknown variant `begins`, expected `exact` or `prefix`",
        ),
        (format!("{HEAD}icd10,,exact,a,,\n"), "codelists/own.csv:3: empty code"),
        (format!("{HEAD}icd10,I10,exact,a,,nan\n"), "codelists/own.csv:3: weight is not a number"),
        (
            format!("{HEAD}icd10,I10,exact,a,,1\nicd10,I11,exact,a,,2\n"),
            "codelists/own.csv:4: category \"a\" has two weights",
        ),
        (
            format!("{HEAD}icd10,I10,exact,a,,\nicd10,I10X,exact,a,,\n"),
            "codelists/own.csv:4: code is listed twice in category \"a\"",
        ),
        (HEAD.to_owned(), "codelists/own.csv: no codes"),
    ] {
        let found = faults_of_library("codelists/own.csv", &text);
        assert!(found.contains(expected), "{expected} not in: {found}");
    }
}

#[test]
fn a_table_with_a_fault_is_refused_with_its_line() {
    for (text, expected) in [
        ("code,value,label\nRVV,1,x\n", "tables/own.csv:1: no source line; the first line says `# Source: ...`"),
        (
            "# Source: x\ncode,value,label\nRVV,one,x\n",
            "tables/own.csv:3: a line is code, value, label, and value is a number",
        ),
        (
            "# Source: x\ncode,value,label\nRVV,nan,x\n",
            "tables/own.csv:3: value has more than six decimals or is not finite",
        ),
        ("# Source: x\ncode,value,label\nRVV,1,x\nRVV,2,x\n", "tables/own.csv:4: the code is listed twice"),
        ("# Source: x\ncode,value,label\n", "tables/own.csv: no lines"),
    ] {
        let found = faults_of_library("tables/own.csv", text);
        assert!(found.contains(expected), "{expected} not in: {found}");
    }
}
