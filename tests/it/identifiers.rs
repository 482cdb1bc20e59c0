//! Feeds that were not pseudonymised: the run stops, says which column, and publishes nothing.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use riskstrat::ingest::identifiers::{passes_check_digit, ten_digits};

use crate::bad_input::{Body, GP_EVENTS, REGISTER, SETTINGS, refused};

/// Numbers with a right check digit, in the range given by their first digits.
fn nhs_numbers(first: &str, how_many: usize) -> Vec<String> {
    let nine = first.len()..9;
    let width = nine.len();
    let number = |rest: usize| {
        let all = (0..10).map(|digit| format!("{first}{rest:0width$}{digit}"));
        all.into_iter().find(|text| passes_check_digit(&ten_digits(text.as_bytes()).unwrap()))
    };
    (0..).filter_map(number).take(how_many).collect()
}

fn gp_events_of(people: &[String]) -> String {
    let head = GP_EVENTS.lines().next().unwrap();
    let row = |person: &String| format!("{person},2015-01-20,2015-01-20,,44054006,G82001\n");
    format!("{head}\n{}", people.iter().map(row).collect::<String>())
}

#[test]
fn a_feed_of_nhs_numbers_stops_the_run() {
    let numbers = nhs_numbers("4", 20);
    let (code, message) = refused(|body| body.put("gp_events.csv", gp_events_of(&numbers)));
    assert_eq!(code, 4);
    let expected = "source \"gp_events\": gp_events.csv, column \"person_id\": the column holds NHS numbers (20 of 20 \
                    distinct ten-digit values pass the check digit)";
    assert!(message.starts_with(expected), "{message}");
    assert!(numbers.iter().all(|number| !message.contains(number.as_str())), "{message}");
}

#[test]
fn spaced_numbers_in_a_column_that_nobody_reads_are_found_as_well() {
    let spaced = nhs_numbers("6", 12).into_iter().map(|n| format!("{} {} {}", &n[..3], &n[3..6], &n[6..]));
    let mut spaced = spaced.cycle();
    let (code, message) = refused(|body| {
        let rows =
            (0..12).map(|n| format!("PSEUDO-{n},2015-01-20,2015-01-20,,44054006,G82001,{}\n", spaced.next().unwrap()));
        let head = format!("{},local_reference\n", GP_EVENTS.lines().next().unwrap());
        body.put("gp_events.csv", head + &rows.collect::<String>());
    });
    assert_eq!(code, 4);
    assert!(message.contains("column \"local_reference\": the column holds NHS numbers"), "{message}");
}

#[test]
fn numbers_that_begin_far_into_a_file_are_found() {
    let numbers = nhs_numbers("4", 3_000);
    let (code, message) = refused(|body| {
        let hashed = (0..60_000).map(|n| format!("PSEUDO-{n:06}"));
        let mut people: Vec<String> = hashed.collect();
        people.splice(44_000..47_000, numbers.iter().cloned());
        body.put("gp_events.csv", gp_events_of(&people));
    });
    assert_eq!(code, 4);
    assert!(message.contains("gp_events.csv, column \"person_id\": the column holds NHS numbers"), "{message}");
}

#[test]
fn numbers_that_begin_far_into_a_compressed_file_are_found() {
    // A row has 53 bytes: the numbers begin 12.1 MiB into the text, beyond the sample of the start.
    let numbers = nhs_numbers("4", 60_000);
    let (code, message) = refused(|body| {
        let people: Vec<String> =
            (0..240_000).map(|n| format!("PSEUDO-{n:06}")).chain(numbers.iter().cloned()).collect();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(gp_events_of(&people).as_bytes()).unwrap();
        body.put("gp_events.csv.gz", packed.finish().unwrap());
        body.set("gp_events.csv", "gp_events.csv.gz");
    });
    assert_eq!(code, 4);
    assert!(message.contains("gp_events.csv.gz, column \"person_id\": the column holds NHS numbers"), "{message}");
}

#[test]
fn numbers_that_parquet_holds_as_integers_are_found() {
    let numbers = nhs_numbers("7", 30);
    let (code, message) = refused(|body| {
        let text = |value: &str| Arc::new(StringArray::from(vec![value; 30])) as ArrayRef;
        let people: Vec<i64> = numbers.iter().map(|number| number.parse().unwrap()).collect();
        let columns = [
            ("person_id", Arc::new(Int64Array::from(people)) as ArrayRef),
            ("event_date", text("2015-01-20")),
            ("recorded_date", text("2015-01-20")),
            ("value", text("")),
            ("snomed_code", text("44054006")),
            ("practice_code", text("G82001")),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let file = File::create(body.path("gp_events.parquet")).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        body.set("gp_events.csv", "gp_events.parquet");
    });
    assert_eq!(code, 4);
    assert!(message.contains("gp_events.parquet, column \"person_id\": the column holds NHS numbers"), "{message}");
}

#[test]
fn test_numbers_stop_a_run_unless_the_settings_accept_them() {
    let numbers = nhs_numbers("999", 20);
    let (code, _) = refused(|body| body.put("gp_events.csv", gp_events_of(&numbers)));
    assert_eq!(code, 4);
    let body = Body::new();
    body.put(
        "gp_events.csv",
        GP_EVENTS.to_owned() + &gp_events_of(&numbers)[GP_EVENTS.lines().next().unwrap().len() + 1..],
    );
    body.put(
        "riskstrat.toml",
        format!("{SETTINGS}\n[limits]\nnot_on_register_share = 1.0\n[identifiers]\naccept_test_numbers = true\n"),
    );
    body.run().unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn every_column_of_a_register_that_identifies_is_named_at_once() {
    let (code, message) = refused(|body| {
        let head = REGISTER.lines().next().unwrap();
        let postcodes = ["CT1 2AB", "ME14 4AA", "W1A 1HQ", "M1 1AE", "EC1A 1BB", "B33 8TH"];
        let row = |(n, postcode): (usize, &&str)| {
            format!("PSEUDO-{n},19{n}0-01-{n:02},1,G82001,2000-01-01,,,{postcode},A,20.5,5,SECRET\n", n = n + 1)
        };
        let rows: String = postcodes.iter().enumerate().map(row).collect();
        body.put("register.csv", format!("{head},Surname\n{rows}"));
    });
    assert_eq!(code, 4);
    let lines: Vec<&str> = message.lines().collect();
    let columns = [
        "birth_year_month\": the column holds full dates of birth",
        "lsoa11\": the column holds full postcodes",
        "Surname\": the column holds names",
    ];
    assert_eq!(lines.len(), columns.len(), "{message}");
    for (line, column) in lines.iter().zip(columns) {
        assert!(line.starts_with(&format!("source \"register\": register.csv, column \"{column}")), "{line}");
    }
}

#[test]
fn a_pseudonym_is_judged_over_the_whole_register() {
    // The numbers stand where no sample of the file looks: between its four places.
    let numbers = nhs_numbers("4", 500);
    let (code, message) = refused(|body| {
        let head = REGISTER.lines().next().unwrap();
        let mut people: Vec<String> = (0..60_000).map(|n| format!("PSEUDO-{n:06}")).collect();
        people.splice(10_000..10_500, numbers.iter().cloned());
        let row = |person: &String| format!("{person},1950-01,1,G82001,2000-01-01,,,E01000001,A,20.5,5\n");
        body.put("register.csv", format!("{head}\n{}", people.iter().map(row).collect::<String>()));
    });
    assert_eq!(code, 4);
    let expected = "source \"register\": column \"person_id\": the column holds NHS numbers (500 of 500";
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn a_column_that_its_owner_vouches_for_is_let_through() {
    let spoil = |body: &Body| body.change("register.csv", "1940-01", "1940-01-17");
    let (code, _) = refused(|body| {
        spoil(body);
        body.change("register.csv", "1950-01", "1950-01-02");
    });
    assert_eq!(code, 4);
    let accept = |because: &str| {
        format!(
            "[[identifiers.accept]]\nsource = \"register\"\ncolumn = \"birth_year_month\"\nbecause = \"{because}\"\n"
        )
    };
    let body = Body::new();
    spoil(&body);
    body.change("register.csv", "1950-01", "1950-01-02");
    body.put("riskstrat.toml", format!("{SETTINGS}\n{}", accept("all people are invented")));
    body.run().unwrap_or_else(|failure| panic!("{failure}"));
    let (code, message) = refused(|body| body.put("riskstrat.toml", format!("{SETTINGS}\n{}", accept(" "))));
    assert_eq!(code, 3);
    assert!(message.contains("because says in words why"), "{message}");
}
