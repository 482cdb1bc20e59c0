//! What was typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::day::Day;
use crate::estimate::decision::Cut;
use crate::settings::Memory;

/// Population risk stratification: linked NHS extracts in, explained case-management lists out.
///
/// A settings file says where the extracts are and what to make of them. Try `riskstrat demo` first: it makes a small
/// synthetic population, runs the whole job on it and leaves a settings file to edit.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done, 1 unexpected, 2 command line, 3 model or settings file, 4 input data, 5 output.\n\
                  No command turns a pseudonym into a person."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// A folder whose scores/, codelists/, tables/, layouts/ and cohorts/ are laid over the shipped ones, file by file
    #[arg(long, global = true, value_name = "DIR")]
    pub models: Option<PathBuf>,

    /// How many threads to use [default: all cores]; the results do not depend on it
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<usize>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a small synthetic population and run the whole job on it
    Demo {
        /// The folder to make; it must not exist, or be a demo's
        #[arg(long, default_value = "demo", value_name = "DIR")]
        out: PathBuf,
        /// How many people
        #[arg(long, default_value_t = 20_000, value_name = "N")]
        people: u32,
        /// Which population: the same seed gives the same people
        #[arg(long, default_value_t = 7, value_name = "N")]
        seed: u64,
    },
    /// Read the extracts, score everybody, publish scores and lists
    Run {
        /// The settings file
        #[arg(default_value = "riskstrat.toml", value_name = "SETTINGS")]
        settings: PathBuf,
        /// Let a gate be breached, of all sources or of one (GATE:SOURCE); repeatable, each with its --because
        #[arg(long, value_name = "GATE", requires = "because")]
        allow: Vec<String>,
        /// Why, in words; it is written into the manifest
        #[arg(long, value_name = "WHY", requires = "allow")]
        because: Vec<String>,
        /// How much memory the run may take, such as 4GiB; the results do not depend on it [default: as the settings say]
        #[arg(long, value_name = "SIZE")]
        memory: Option<Memory>,
    },
    /// Check settings, models, layouts, cohorts, file headers, and a sample of every column for identifiers; every problem
    /// at once
    Check {
        /// The settings file
        #[arg(default_value = "riskstrat.toml", value_name = "SETTINGS")]
        settings: PathBuf,
    },
    /// List the models, or put one into plain words
    Models {
        #[command(subcommand)]
        command: Option<ModelsCommand>,
    },
    /// List the layouts, or put one into plain words: columns, values, what is missing, what is a copy
    Layouts {
        #[command(subcommand)]
        command: Option<LayoutsCommand>,
    },
    /// Make a synthetic population as files in the layouts that NHS bodies hold
    Synth {
        /// The folder to make; it must be empty or not exist
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// How many people
        #[arg(long, default_value_t = 20_000, value_name = "N")]
        people: u32,
        /// Which population: the same seed gives the same people
        #[arg(long, default_value_t = 7, value_name = "N")]
        seed: u64,
        /// About how many rows a person in all; scales the GP part
        #[arg(long, default_value_t = 500, value_name = "N")]
        rows_per_person: u32,
        /// File formats
        #[arg(long, value_enum, default_value = "native", value_name = "FORMAT")]
        format: SynthFormat,
        /// The defects of the real thing, recorded in truth/
        #[arg(long, value_enum, default_value = "none", value_name = "DEFECTS")]
        defects: SynthDefects,
        /// Leave out of the report how the Combined Predictive Model and PARR-30 do on the population
        #[arg(long)]
        no_scores: bool,
    },
    /// Why a person has a score: every term, the events behind it, and what would change the band
    Explain {
        /// The published run: a folder such as out/2016-04-01
        #[arg(long, value_name = "DIR")]
        run: PathBuf,
        /// The pseudonym
        #[arg(long, value_name = "PERSON")]
        person: String,
        /// One model only
        #[arg(long, value_name = "ID")]
        model: Option<String>,
        /// Which conditions of this cohort's rule the person meets, and which not
        #[arg(long, value_name = "COHORT")]
        why_not: Option<String>,
        /// The settings file that the run was made with [default: riskstrat.toml beside the folder of runs]
        #[arg(long, value_name = "SETTINGS")]
        settings: Option<PathBuf>,
        /// Also the terms that add nothing
        #[arg(long)]
        all: bool,
    },
    /// For the sending body: replace NHS numbers in a CSV file by pseudonyms, before it leaves
    #[command(after_long_help = PSEUDONYMISE_HELP)]
    Pseudonymise(PseudonymiseArgs),
    /// Hold a model's past scores against what came: discrimination, calibration, what a list would have caught, by group
    Validate {
        #[command(flatten)]
        past: Past,
        /// The past days to score for, as 2015-04-01; several with commas
        #[arg(long, required = true, value_delimiter = ',', value_parser = parse_day, value_name = "DATE")]
        as_of: Vec<Day>,
        /// The model's id; its file has to have an [outcome]
        #[arg(long, value_name = "ID")]
        model: String,
        #[command(flatten)]
        figures: Figures,
    },
    /// The cohorts there are, what one says, and what a rule would come to
    Cohort {
        #[command(subcommand)]
        command: CohortCommand,
    },
    /// Make a model's probabilities mean what they say here; writes a new model file beside the old
    Recalibrate {
        #[command(flatten)]
        past: Past,
        /// The past day to score for, as 2015-04-01
        #[arg(long, value_parser = parse_day, value_name = "DATE")]
        as_of: Day,
        /// The model's id; a logistic regression with an [outcome]
        #[arg(long, value_name = "ID")]
        model: String,
        /// What is estimated
        #[arg(long, value_enum, default_value = "slope", value_name = "METHOD")]
        method: RecalibrationMethod,
        /// With --method group: what people are grouped by
        #[arg(long, value_enum, required_if_eq("method", "group"), value_name = "GROUP")]
        by: Option<RecalibrationGroup>,
        #[command(flatten)]
        estimating: EstimatingArgs,
    },
    /// Estimate all coefficients of a model anew; writes a new model file beside the old
    Fit {
        #[command(flatten)]
        past: Past,
        /// The past day to score for, as 2015-04-01
        #[arg(long, value_parser = parse_day, value_name = "DATE")]
        as_of: Day,
        /// The model whose terms are fitted; a logistic regression with an [outcome]
        #[arg(long, value_name = "ID")]
        like: String,
        /// How coefficients are pulled towards 0, on standardised terms
        #[arg(long, value_enum, default_value = "none", value_name = "PENALTY")]
        penalty: FitPenalty,
        /// The penalty's weight, as glmnet has it [default: by cross-validation]
        #[arg(long, value_parser = parse_lambda, value_name = "NUMBER")]
        lambda: Option<f64>,
        /// Parts of the people for cross-validation
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=20), value_name = "N")]
        folds: u8,
        /// What becomes of a term that nobody here has, or that too few with or without the outcome have
        #[arg(long, value_enum, default_value = "hold", value_name = "WHAT")]
        silent_terms: SilentTerms,
        #[command(flatten)]
        estimating: EstimatingArgs,
    },
    /// Hold two models, or two versions of one, against what came on the same people
    Compare {
        #[command(flatten)]
        past: Past,
        /// The past days to score for, as 2015-04-01; several with commas
        #[arg(long, required = true, value_delimiter = ',', value_parser = parse_day, value_name = "DATE")]
        as_of: Vec<Day>,
        /// The two models' ids, with a comma between
        #[arg(long, required = true, num_args = 1, value_delimiter = ',', value_name = "ID,ID")]
        pair: Vec<String>,
        /// The list that people are gained and lost from: a number of people, or a share such as 5%
        #[arg(long, default_value = "5%", value_parser = parse_list, value_name = "SIZE")]
        list: Cut,
    },
    /// Check a code list of your own, or bring one to our form; says what it changes
    Codelist {
        #[command(subcommand)]
        command: CodelistCommand,
    },
    /// Score values typed by hand with one model, for checking at a desk
    Score {
        /// The model's id
        #[arg(long, value_name = "ID")]
        model: String,
        /// A TOML file of values by name; `riskstrat models show ID` lists the names
        #[arg(long, value_name = "FILE")]
        given: PathBuf,
    },
}

const PSEUDONYMISE_HELP: &str = "\
How to use it:
  A pseudonym is a digest of a person's NHS number under a secret key. Every body whose feeds are to link uses the same
  key; the body that analyses never has it, for with the key all NHS numbers could be tried one by one.

  openssl rand -hex 32 > key.txt && chmod 600 key.txt      (once, by the senders, and kept by them)
  riskstrat pseudonymise gp.csv --out gp_out.csv --nhs-number nhs_number --key-file key.txt

  The first column that is named is replaced by the pseudonym, the others that are named are left out, and everything
  else is written as it was. NHS numbers count as the same however they are spaced (943 476 5919, 943-476-5919); from
  other columns spaces are taken out, and capitals stay what they are. The command stops where another column of the
  file looks like NHS numbers, full postcodes, dates of birth or names: leave it out with --drop, or vouch for it with
  --keep.

  With --method openpseudonymiser the digest is the one that OpenPseudonymiser makes with the key as its salt. It takes
  fields in the order of their names, so that all senders have to use the same names:
    --nhs-number nhs_no=NHSNumber --column born=DOB

  The key file has to be readable by its owner alone and hold at least 32 bytes. No command turns a pseudonym back.";

#[derive(Debug, Args)]
pub struct PseudonymiseArgs {
    /// The CSV file to read; also .gz or .zst
    pub file: PathBuf,
    /// The file to write; it must not exist
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The column of NHS numbers; its check digits are checked
    #[arg(long, value_name = "COLUMN[=NAME]")]
    pub nhs_number: Option<String>,
    /// Another column that goes into the pseudonym; may be given several times
    #[arg(long, value_name = "COLUMN[=NAME]")]
    pub column: Vec<String>,
    /// The file that holds the secret key
    #[arg(long, value_name = "FILE")]
    pub key_file: PathBuf,
    /// How the pseudonym is made
    #[arg(long, value_enum, default_value = "hmac-sha256", value_name = "METHOD")]
    pub method: PseudonymiseMethod,
    /// What becomes of rows without a valid NHS number, or that lack a value
    #[arg(long, value_enum, default_value = "stop", value_name = "WHAT")]
    pub invalid: PseudonymiseInvalid,
    /// A column to leave out; may be given several times
    #[arg(long, value_name = "COLUMN")]
    pub drop: Vec<String>,
    /// A column that looks like an identifier and identifies nobody; may be given several times
    #[arg(long, value_name = "COLUMN")]
    pub keep: Vec<String>,
    /// The name of the pseudonym's column
    #[arg(long, default_value = "person_id", value_name = "NAME")]
    pub into: String,
    /// The character between two fields, or the word tab
    #[arg(long, default_value = ",", value_name = "CHARACTER")]
    pub delimiter: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum PseudonymiseMethod {
    /// HMAC-SHA-256 under the key
    HmacSha256,
    /// The digest of OpenPseudonymiser, the key being its salt
    Openpseudonymiser,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum PseudonymiseInvalid {
    /// Nothing is written, and the command says how many there are
    Stop,
    /// They are left out, and counted
    Drop,
    /// They are kept with an empty pseudonym, and counted
    Blank,
}

/// How long people are followed after a past day, and where the answer goes.
#[derive(Debug, Clone, Args)]
pub struct Past {
    /// The settings file
    #[arg(default_value = "riskstrat.toml", value_name = "SETTINGS")]
    pub settings: PathBuf,
    /// How long people are followed, as 365d, 12m or 1y (a month is a twelfth of 365 days) [default: the model's own]
    #[arg(long, value_parser = parse_horizon, value_name = "TIME")]
    pub horizon: Option<u32>,
    /// Until when the data tells what came, where its newest event does not show it
    #[arg(long, value_parser = parse_day, value_name = "DATE")]
    pub followed_until: Option<Day>,
    /// Where to publish [default: a folder in that of the settings' runs]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// How figures are worked out.
#[derive(Debug, Clone, Args)]
pub struct Figures {
    /// The list whose error rates are given by group: a number of people, or a share such as 5%
    #[arg(long, default_value = "5%", value_parser = parse_list, value_name = "SIZE")]
    pub list: Cut,
    /// How often people are drawn again, for intervals without a closed form
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub repeats: usize,
    /// Which draws: the same seed gives the same intervals
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// What an admission of the outcome's kind costs, in pounds; without it costs are left out
    #[arg(long, value_name = "POUNDS")]
    pub admission_cost: Option<f64>,
}

/// How numbers are estimated, and where the new model's file goes.
#[derive(Debug, Clone, Args)]
pub struct EstimatingArgs {
    /// What the new model is called after the `@` of its id, such as kent-2015
    #[arg(long, value_parser = parse_name, value_name = "NAME")]
    pub name: String,
    /// The share of people held back to test with
    #[arg(long, default_value_t = 0.3, value_parser = parse_share, value_name = "SHARE")]
    pub test_share: f64,
    /// Which people are held back: the same seed holds back the same
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// The models folder that the new file goes to [default: that of --models, else models beside the settings]
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RecalibrationMethod {
    /// A new constant
    Intercept,
    /// A new constant, and all coefficients times one number
    Slope,
    /// A constant for each group
    Group,
    /// A rising map from score to probability
    Isotonic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RecalibrationGroup {
    Age,
    Sex,
    Deprivation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FitPenalty {
    None,
    Ridge,
    Lasso,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SilentTerms {
    /// The published coefficient stays
    Hold,
    /// The coefficient becomes 0
    Drop,
}

fn parse_name(text: &str) -> Result<String, String> {
    let is_fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    match !text.is_empty() && text.len() <= 60 && text.bytes().all(is_fit) {
        true => Ok(text.to_owned()),
        false => Err("small letters, digits, `_` and `-` only".to_owned()),
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| *share > 0.0 && *share < 1.0);
    share.ok_or_else(|| "between 0 and 1, as 0.3".to_owned())
}

fn parse_lambda(text: &str) -> Result<f64, String> {
    let lambda = text.parse::<f64>().ok().filter(|lambda| *lambda > 0.0 && lambda.is_finite());
    lambda.ok_or_else(|| "a number above 0".to_owned())
}

fn parse_day(text: &str) -> Result<Day, String> {
    Day::parse(text.as_bytes()).ok_or_else(|| "not a date; write 2015-04-01".to_owned())
}

/// Whole days from a time written as days, months or years.
fn parse_horizon(text: &str) -> Result<u32, String> {
    let wrong = || "write days, months or years, as 30d, 12m or 1y".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let number: u32 = number.parse().map_err(|_| wrong())?;
    let days = match unit {
        "d" => Some(number),
        "m" => number.checked_mul(365).map(|days| (days + 6) / 12),
        "y" => number.checked_mul(365),
        _ => return Err(wrong()),
    };
    days.filter(|days| (1..=3_660).contains(days)).ok_or_else(|| "between one day and ten years".to_owned())
}

fn parse_list(text: &str) -> Result<Cut, String> {
    let wrong = || "write a number of people, as 500, or a share, as 5% or 0.5%".to_owned();
    match text.strip_suffix('%') {
        None => text.parse().ok().filter(|number| *number > 0).map(Cut::Top).ok_or_else(wrong),
        Some(percent) => {
            let share = percent.trim().parse::<f64>().map_err(|_| wrong())?;
            let millionths = (share * 10_000.0).round();
            (share > 0.0 && share <= 100.0 && millionths >= 1.0)
                .then_some(Cut::TopShare(millionths as u32))
                .ok_or_else(wrong)
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum CohortCommand {
    /// One line a shipped cohort
    List,
    /// One cohort in plain words: rule, exclusions, order, capacity, source, what is assumed
    Show {
        /// The cohort's id
        id: String,
    },
    /// How many people each condition of a rule removes, by band, deprivation and ethnicity; publishes nothing
    Try(TryArgs),
}

#[derive(Debug, Args)]
pub struct TryArgs {
    /// A cohort's id, a .toml file of one, or a SQL condition in quotes
    #[arg(value_name = "RULE")]
    pub rule: Option<String>,
    /// The settings file
    #[arg(long, default_value = "riskstrat.toml", value_name = "SETTINGS")]
    pub settings: PathBuf,
    /// In place of the counts: what came of the people on each list of the settings, and on that of RULE
    #[arg(long = "yield")]
    pub follows: bool,
    /// With --yield, the model whose [outcome] people are followed to
    #[arg(long, default_value = "cpm", value_name = "ID")]
    pub model: String,
    /// With --yield, the past day [default: the last as-of day of the settings]
    #[arg(long, value_name = "DATE")]
    pub as_of: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// One line a model
    List,
    /// One model in plain words: terms, windows, code lists, source, what is assumed
    Show {
        /// The model's id
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum LayoutsCommand {
    /// One line a layout
    List,
    /// One layout in plain words: each column, what it means, values, what is taken as missing, source
    Show {
        /// The layout's id
        id: String,
    },
    /// Propose a layout for a file of your own, from its header and the shapes of its values; no value is printed
    Draft {
        /// A CSV or Parquet file
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum CodelistCommand {
    /// Check a list in our form, and compare it with the list of the same name
    Check {
        /// The list: a CSV with a source line and the columns system, code, match, category, label, weight
        file: PathBuf,
    },
    /// Bring an OpenCodelists CSV or a SNOMED CT reference-set file to our form
    Import {
        /// The file to read
        file: PathBuf,
        /// The coding system: icd10, opcs4, snomed, read2, ctv3, bnf or dmd
        #[arg(long, value_name = "SYSTEM")]
        system: String,
        /// The category that the codes are to fall into, such as DM_COD
        #[arg(long, value_name = "NAME")]
        category: String,
        /// Where the list comes from, with its version: it becomes the list's first line
        #[arg(long, value_name = "WORDS")]
        source: String,
        /// The file to write, such as my_models/codelists/diabetes.csv
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum SynthFormat {
    /// Each feed as it usually comes: CSV, compressed CSV, Parquet
    Native,
    Csv,
    Parquet,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum SynthDefects {
    None,
    /// At the rates of real feeds
    Real,
    /// Far more of them, to test what a run makes of each
    Hostile,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_days_months_or_years() {
        let days = ["365d", "12m", "1y", "1m", "6m", "30d"].map(|text| parse_horizon(text).unwrap());
        assert_eq!(days, [365, 365, 365, 30, 183, 30]);
        for wrong in ["", "d", "12", "12w", "-1d", "0d", "11y", "1.5y", "99999999m", "\u{e9}"] {
            assert!(parse_horizon(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_list_is_a_number_or_a_share() {
        assert_eq!(
            ["500", "5%", "0.5%"].map(|text| parse_list(text).unwrap()),
            [Cut::Top(500), Cut::TopShare(50_000), Cut::TopShare(5_000)]
        );
        for wrong in ["0", "0%", "101%", "", "%", "many", "-5", "NaN%"] {
            assert!(parse_list(wrong).is_err(), "{wrong}");
        }
    }
}
