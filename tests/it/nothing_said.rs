//! Nothing that the program says, nor any report of a run, holds a cell of the data.
//!
//! Every pseudonym begins with `PSEUDO` and every spoilt cell with `SECRET`; the program is started on one fault after
//! another, and what it prints and leaves behind is searched for both.

use std::fs::File;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;

use crate::bad_input::{Body, GP_EVENTS, HES_AE, SETTINGS};
use crate::common::{ended, files_under, program};

type Spoil = fn(&Body);

/// How many of the faults below, the first ones, lie in single rows, so that limits can let them through.
const IN_ROWS: usize = 6;

/// Faults of every kind, by name.
const FAULTS: [(&str, Spoil); 17] = [
    ("a date that is none", |body| body.change("gp_events.csv", "2015-01-20", "SECRET-1")),
    ("a value that is no number", |body| body.change("gp_events.csv", ",55,", ",SECRET-2,")),
    ("a code of no system", |body| body.change("gp_events.csv", "44054006", "SECRET-3")),
    ("a word that the layout does not know", |body| body.change("hes_ae_2015.csv", "RVV,1,1,", "RVV,SECRET-4,1,")),
    ("a sex that the layout does not know", |body| body.change("register.csv", ",1,G82001", ",SECRET-5,G82001")),
    ("a month that is none", |body| body.change("register.csv", "1950-01", "SECRET-6")),
    ("a row too long", |body| body.change("gp_events.csv", "44054006", "44054006,SECRET-7")),
    ("a quote that stays open", |body| body.change("gp_events.csv", "PSEUDO-B", "\"SECRET-8")),
    ("no utf-8", |body| {
        let mut bytes = GP_EVENTS.replace("44054006", "SECRET-9~").into_bytes();
        bytes.iter_mut().filter(|byte| **byte == b'~').for_each(|byte| *byte = 0xff);
        body.put("gp_events.csv", bytes);
    }),
    ("two spellings of one pseudonym", |body| {
        body.change("register.csv", "PSEUDO-B,", "pseudo-a,1940-01,2,G82001,2001-01-01,,,E01000001,A,20.5,5\nPSEUDO-B,")
    }),
    ("nobody on the register", |body| body.change("register.csv", "PSEUDO-A,1950", "SECRET-10,1950")),
    ("no pseudonym", |body| body.change("hes_ae_2015.csv", "PSEUDO-A", "")),
    ("an identifier", |body| {
        let row = |surname: &str| format!("PSEUDO-A,2016-03-20,RVV,1,1,01,01,24,01,0930,{surname}\n");
        let rows = [row("SECRET"), row("SECRETS")].concat();
        body.put("hes_ae_2015.csv", format!("{},Surname\n{rows}", HES_AE.lines().next().unwrap()));
    }),
    ("a damaged Parquet file", |body| {
        spoilt_parquet(body, |bytes| {
            let middle = bytes.len() / 3;
            bytes[middle..middle + 40].fill(0xee);
        });
    }),
    ("a Parquet file with a damaged footer", |body| {
        spoilt_parquet(body, |bytes| {
            let at = bytes.len() - 60;
            bytes[at..at + 30].fill(0xee);
        });
    }),
    ("a column of the wrong type", |body| {
        spoilt_parquet(body, |_| ());
        body.set("layout = \"gp_events\"", "layout = \"gp_prescriptions\"");
    }),
    ("a cohort that cannot be worked out", |body| {
        let cohort = include_str!("../../models/cohorts/case_management.toml");
        body.put("models/cohorts/case_management.toml", cohort.replace("palliative_register = 0", "person = 0 / 0"));
    }),
];

fn spoilt_parquet(body: &Body, spoil: fn(&mut Vec<u8>)) {
    let head: Vec<&str> = GP_EVENTS.lines().next().unwrap().split(',').collect();
    let rows: Vec<Vec<&str>> = GP_EVENTS.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let column = |place: usize| -> ArrayRef {
        let cells = (0..300).map(|row| if place == 3 { "SECRET-11" } else { rows[row % rows.len()][place] });
        Arc::new(StringArray::from_iter_values(cells))
    };
    let batch =
        RecordBatch::try_from_iter(head.iter().enumerate().map(|(place, name)| (*name, column(place)))).unwrap();
    let path = body.path("gp_events.parquet");
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    spoil(&mut bytes);
    body.put("gp_events.parquet", bytes);
    body.set("files = [\"gp_events.csv\"]", "files = [\"gp_events.parquet\"]");
}

fn check_holds_no_cell(fault: &str, place: &str, bytes: &[u8]) {
    for mark in ["PSEUDO", "pseudo-a", "SECRET"] {
        let holds = bytes.windows(mark.len()).any(|window| window == mark.as_bytes());
        assert!(!holds, "{fault}: {place} holds {mark}: {}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn no_fault_makes_the_program_say_what_a_cell_holds() {
    let mut refused = 0;
    for (number, (fault, spoil)) in FAULTS.into_iter().enumerate() {
        for lenient in [false, true].into_iter().take(1 + usize::from(number < IN_ROWS)) {
            let body = Body::new();
            spoil(&body);
            if lenient {
                let settings = std::fs::read_to_string(body.path("riskstrat.toml")).unwrap();
                let limits =
                    "[limits]\nrejects_share = 1.0\nnot_on_register_share = 1.0\nmalformed_codes_share = 1.0\n";
                body.put("riskstrat.toml", format!("{settings}\n{limits}"));
            }
            for command in ["run", "check"].into_iter().take(1 + usize::from(!lenient)) {
                let mut program = program();
                if body.path("models").is_dir() {
                    program.arg("--models").arg(body.path("models"));
                }
                let output = program.arg(command).arg(body.path("riskstrat.toml")).output().unwrap();
                let (code, said) = ended(&output);
                check_holds_no_cell(fault, command, said.as_bytes());
                assert!(matches!(code, Some(0 | 3 | 4)), "{fault}: {command}: exit code {code:?}: {said}");
                refused += usize::from(code != Some(0));
            }
            // Reports about the run; the files about people are what pseudonyms are for.
            for (name, bytes) in files_under(&body.path("out")) {
                if !name.ends_with(".parquet") && !name.contains("/lists/") {
                    check_holds_no_cell(fault, &name, &bytes);
                }
            }
        }
    }
    assert!(refused > 12, "most faults stop a run, and some a check: {refused}");
    assert!(SETTINGS.contains("gp_events.csv"));
}
