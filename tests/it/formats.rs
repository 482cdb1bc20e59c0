//! One extract, however it is written: the same scores from every form that bodies send it in.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, Date32Array, Date64Array, DictionaryArray, Float64Array, Int32Array, Int64Array, LargeStringArray,
    RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray,
};
use parquet::arrow::ArrowWriter;
use riskstrat::day::Day;
use serde_json::Value;

use crate::common::{Cell, parquet_rows, run_settings, write};

/// Person, day, recorded, code, value.
const ROWS: [(&str, &str, &str, &str, Option<&str>); 5] = [
    ("p1", "2015-06-01", "2015-06-01", "73211009", None),
    ("p1", "2016-02-29", "2016-03-01", "999791000000106", Some("48.5")),
    ("p2", "2015-04-02", "2015-04-02", "22298006", None),
    ("p2", "2015-04-03", "2015-04-03", "999791000000106", Some("71")),
    ("p3", "1990-01-01", "1990-01-01", "73211009", None),
];
const HEADER: [&str; 6] = ["person_id", "practice_code", "event_date", "recorded_date", "snomed_code", "value"];
const REGISTER: &str = "person_id,birth_year_month,sex,practice_code,registration_start,registration_end,death_date,lsoa11,\
                        ethnic_category,imd_score,imd_decile\n\
                        p1,1950-01,1,G82001,2000-01-01,,,E01000001,A,20.5,5\n\
                        p2,1940-01,2,G82001,2000-01-01,,,E01000001,A,20.5,5\n\
                        p3,1930-01,2,G82001,2000-01-01,,,E01000001,A,20.5,5\n";

/// The extract as text.
fn text(delimiter: char, date: impl Fn(&str) -> String, quoted: bool) -> String {
    let cell = |text: &str| if quoted { format!("\"{text}\"") } else { text.to_owned() };
    let line = |cells: [&str; 6]| cells.map(cell).join(&delimiter.to_string()) + "\n";
    let mut out = line(HEADER);
    for (person, day, recorded, code, value) in ROWS {
        out += &line([person, "G82001", &date(day), &date(recorded), code, value.unwrap_or("")]);
    }
    out
}

fn iso(date: &str) -> String {
    date.to_owned()
}

/// What a run says of everybody, from the extract in this form; `csv` goes into the source of the settings.
fn scores(files: &str, csv: &str, fill: impl FnOnce(&Path)) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("register.csv"), REGISTER);
    fill(folder.path());
    let settings = format!(
        "format = 1\nas_of = \"2016-04-01\"\nout = \"out\"\nmodels = [\"person_facts\"]\n\
         [register]\nlayout = \"register\"\nfiles = [\"register.csv\"]\n[opt_outs]\napplied_upstream = \"by us\"\n\
         [[source]]\nname = \"gp\"\nlayout = \"gp_events\"\nfiles = [\"{files}\"]\n{csv}\n"
    );
    let settings = write(&folder.path().join("riskstrat.toml"), settings);
    let report = run_settings(&settings, None).unwrap_or_else(|failure| panic!("{files}: {failure}"));
    let published = &report.published[0];
    let quality: Value = serde_json::from_slice(&fs::read(published.join("quality.json")).unwrap()).unwrap();
    let source = quality["sources"].as_array().unwrap().iter().find(|source| source["source"] == "gp").unwrap();
    assert_eq!(
        (&source["rows"], &source["rejected"], &source["bad_amounts"]),
        (&5.into(), &0.into(), &0.into()),
        "{files}"
    );
    let facts = ["person", "register_diabetes", "register_coronary_heart_disease", "latest_hba1c"];
    let rows = parquet_rows(&published.join("scores.parquet"));
    rows.iter().map(|row| facts.map(|fact| row[fact].to_string()).join(" ")).collect()
}

fn expected() -> Vec<String> {
    let plain = scores("gp.csv", "", |folder| drop(write(&folder.join("gp.csv"), text(',', iso, false))));
    assert_eq!(plain.len(), 3);
    assert!(plain[0].starts_with("p1 1 ") && plain[0].ends_with(" 48.5"), "{plain:?}");
    assert!(plain[1].ends_with(" 71"), "{plain:?}");
    plain
}

#[test]
fn text_is_read_with_every_delimiter_mark_and_encoding() {
    let expected = expected();
    let british = |date: &str| format!("{}/{}/{}", &date[8..], &date[5..7], &date[..4]);
    let compact = |date: &str| date.replace('-', "");
    let timed = |date: &str| format!("{date} 00:00:00");
    for (delimiter, csv) in [(';', ";"), ('\t', "\\t"), ('|', "|")] {
        let csv = format!("csv = {{ delimiter = \"{csv}\" }}");
        let found =
            scores("gp.txt", &csv, |folder| drop(write(&folder.join("gp.txt"), text(delimiter, british, true))));
        assert_eq!(found, expected, "{delimiter:?}");
    }
    let marked = format!("\u{feff}{}", text(',', compact, true));
    assert_eq!(
        scores("gp.csv", "", |folder| drop(write(&folder.join("gp.csv"), &marked))),
        expected,
        "a mark at the start"
    );
    let windows = text(',', timed, false).replace('\n', "\r\n").replace("G82001", "G\u{e9}");
    let windows: Vec<u8> = windows.chars().map(|mark| mark as u8).collect();
    let csv = "csv = { encoding = \"windows-1252\" }";
    assert_eq!(scores("gp.csv", csv, |folder| drop(write(&folder.join("gp.csv"), &windows))), expected, "windows-1252");
}

#[test]
fn compressed_files_and_files_in_named_folders_are_read() {
    let expected = expected();
    let plain = text(',', iso, false);
    let gz = |folder: &Path| {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(plain.as_bytes()).unwrap();
        write(&folder.join("gp.csv.gz"), writer.finish().unwrap());
    };
    assert_eq!(scores("gp.csv.gz", "", gz), expected, "gzip");
    let zst = |folder: &Path| drop(write(&folder.join("gp.csv.zst"), zstd::encode_all(plain.as_bytes(), 1).unwrap()));
    assert_eq!(scores("gp.csv.zst", "", zst), expected, "zstandard");
    let without_practice = plain.replace("practice_code,", "").replace("G82001,", "");
    let hive = |folder: &Path| drop(write(&folder.join("gp/practice_code=G82001/part-0.csv"), &without_practice));
    assert_eq!(scores("gp", "", hive), expected, "a folder that states the practice");
}

fn strings(pick: impl Fn(usize) -> Option<&'static str>) -> Vec<Option<&'static str>> {
    (0..ROWS.len()).map(pick).collect()
}

fn days(recorded: bool) -> Vec<i32> {
    let day = |row: usize| if recorded { ROWS[row].2 } else { ROWS[row].1 };
    (0..ROWS.len()).map(|row| Day::parse(day(row).as_bytes()).unwrap().0).collect()
}

fn write_parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn parquet_is_read_whatever_the_types_of_its_dates_codes_and_values() {
    let expected = expected();
    let people = strings(|row| Some(ROWS[row].0));
    let practices: ArrayRef = Arc::new(StringArray::from(vec!["G82001"; ROWS.len()]));
    let codes = strings(|row| Some(ROWS[row].3));
    let values: Vec<Option<f64>> = ROWS.iter().map(|row| row.4.map(|value| value.parse().unwrap())).collect();
    let numbers: Vec<i64> = ROWS.iter().map(|row| row.3.parse().unwrap()).collect();
    let compact = |recorded: bool| -> Vec<i32> {
        let day = |row: usize| if recorded { ROWS[row].2 } else { ROWS[row].1 };
        (0..ROWS.len()).map(|row| day(row).replace('-', "").parse().unwrap()).collect()
    };
    let micros =
        |recorded: bool| days(recorded).into_iter().map(|day| i64::from(day) * 86_400_000_000 + 5).collect::<Vec<_>>();
    let millis = |recorded: bool| days(recorded).into_iter().map(|day| i64::from(day) * 86_400_000).collect::<Vec<_>>();
    let dictionary = |texts: &[Option<&str>]| -> ArrayRef {
        Arc::new(texts.iter().copied().collect::<DictionaryArray<Int32Type>>())
    };
    let texts = |recorded: bool| strings(move |row| Some(if recorded { ROWS[row].2 } else { ROWS[row].1 }));
    type Dates<'a> = Box<dyn Fn(bool) -> ArrayRef + 'a>;
    let dates: [(&str, Dates); 6] = [
        ("date32", Box::new(|recorded| Arc::new(Date32Array::from(days(recorded))))),
        ("date64", Box::new(|recorded| Arc::new(Date64Array::from(millis(recorded))))),
        ("timestamp", Box::new(|recorded| Arc::new(TimestampMicrosecondArray::from(micros(recorded))))),
        ("whole numbers", Box::new(|recorded| Arc::new(Int32Array::from(compact(recorded))))),
        ("text", Box::new(|recorded| Arc::new(StringViewArray::from(texts(recorded))))),
        ("a dictionary", Box::new(|recorded| dictionary(&texts(recorded)))),
    ];
    let coded: [(&str, ArrayRef); 4] = [
        ("text", Arc::new(LargeStringArray::from(codes.clone()))),
        ("a dictionary", dictionary(&codes)),
        ("whole numbers", Arc::new(Int64Array::from(numbers))),
        ("views", Arc::new(StringViewArray::from(codes.clone()))),
    ];
    for (number, (kind, date)) in dates.iter().enumerate() {
        let (code_kind, code) = &coded[number % coded.len()];
        let columns: Vec<(&str, ArrayRef)> = vec![
            (
                "person_id",
                if number % 2 == 0 { dictionary(&people) } else { Arc::new(StringArray::from(people.clone())) },
            ),
            ("practice_code", practices.clone()),
            ("event_date", date(false)),
            ("recorded_date", date(true)),
            ("snomed_code", code.clone()),
            ("value", Arc::new(Float64Array::from(values.clone()))),
        ];
        let found = scores("gp.parquet", "", |folder| write_parquet(&folder.join("gp.parquet"), columns));
        assert_eq!(found, expected, "dates as {kind}, codes as {code_kind}");
    }
}

#[test]
fn a_fact_that_was_not_recorded_is_missing_in_every_form() {
    let rows = scores("gp.csv", "", |folder| drop(write(&folder.join("gp.csv"), text(',', iso, false))));
    assert!(rows[2].ends_with(&format!(" {}", Cell::Missing)), "{rows:?}");
}
