//! `riskstrat pseudonymise`.

use anyhow::anyhow;
use riskstrat::cli::{PseudonymiseArgs, PseudonymiseInvalid, PseudonymiseMethod};
use riskstrat::pseudonymise::{Fault, Field, Invalid, Key, Method, Request, pseudonymise};
use riskstrat::run::{Failure, Progress};

use crate::bars::Bars;
use crate::print::out_line;
use crate::report::grouped;

pub fn pseudonymise_file(args: &PseudonymiseArgs) -> Result<(), Failure> {
    let delimiter = match (args.delimiter.as_str(), args.delimiter.as_bytes()) {
        ("tab" | "\\t", _) => b'\t',
        (_, [byte]) => *byte,
        _ => return Err(Failure::Data(anyhow!("--delimiter is one character, or the word tab"))),
    };
    let nhs_numbers = args.nhs_number.iter().map(|text| Field::parse(text, true));
    let request = Request {
        file: args.file.clone(),
        out: args.out.clone(),
        fields: nhs_numbers.chain(args.column.iter().map(|text| Field::parse(text, false))).collect(),
        drop: args.drop.clone(),
        keep: args.keep.clone(),
        into: args.into.clone(),
        method: match args.method {
            PseudonymiseMethod::HmacSha256 => Method::HmacSha256,
            PseudonymiseMethod::Openpseudonymiser => Method::OpenPseudonymiser,
        },
        key: Key::read(&args.key_file).map_err(Failure::Data)?,
        invalid: match args.invalid {
            PseudonymiseInvalid::Stop => Invalid::Stop,
            PseudonymiseInvalid::Drop => Invalid::Drop,
            PseudonymiseInvalid::Blank => Invalid::Blank,
        },
        delimiter,
    };
    let bars = Bars::new();
    bars.stage("pseudonymise", std::fs::metadata(&args.file).map_or(0, |file| file.len()));
    let done = pseudonymise(&request, &|bytes| bars.advance(bytes));
    bars.finish();
    let summary = done.map_err(|fault| match fault {
        Fault::Input(error) => Failure::Data(error),
        Fault::Output(error) => Failure::Output(error),
    })?;
    out_line!("{} rows: {} pseudonymised", grouped(summary.rows), grouped(summary.pseudonymised));
    let lacking = summary.missing + summary.invalid;
    if lacking > 0 {
        out_line!(
            "{} {}: {} lack a value, {} have no valid NHS number",
            grouped(lacking),
            if request.invalid == Invalid::Drop { "left out" } else { "kept without a pseudonym" },
            grouped(summary.missing),
            grouped(summary.invalid)
        );
    }
    out_line!("written: {}", args.out.display());
    Ok(())
}
