//! What was typed.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

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
    },
    /// Check settings, models, layouts, cohorts and file headers without reading the data; every problem at once
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
        /// The coding system: icd10, opcs4, snomed, read2, ctv3 or bnf
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
