//! The mirror of a layout file: which columns a body's extract has, and what their values mean in our words.
//!
//! A layout is data: a body whose columns are named otherwise writes a layout, not Rust. It maps raw columns to the
//! person, the day and the fields of a stream, raw code values to the words that models use, and names the values
//! that mean "missing". Unknown keys are refused.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::event::{AmountKind, FieldKind, Stream, Streams};
use crate::model::Problem;
use crate::model::check::toml_problem;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayoutFile {
    pub format: u32,
    pub layout: Header,
    /// CSV only; Parquet needs none of it.
    #[serde(default)]
    pub csv: CsvSettings,
    pub person: PersonColumn,
    /// The day of the event; of a spell, it is worked out from the episodes.
    #[serde(default)]
    pub day: Option<DayColumn>,
    /// When the event was recorded, where the source says.
    #[serde(default)]
    pub recorded: Option<DayColumn>,
    /// The last day of an interval; absent or missing means still open.
    #[serde(default)]
    pub end: Option<DayColumn>,
    #[serde(default)]
    pub amount: Option<AmountColumn>,
    #[serde(default, rename = "field")]
    pub fields: Vec<Field>,
    /// `builds = "register"`: what the spine is made of.
    #[serde(default)]
    pub register: Option<RegisterColumns>,
    /// `builds = "spells"`: what spells are made of.
    #[serde(default)]
    pub episode: Option<EpisodeColumns>,
    /// Rows that agree in all of these are one row: the more complete, then the newer, then the last in key order.
    #[serde(default)]
    pub duplicates: Option<Duplicates>,
    /// What is usual for a feed of this kind, where it is not what is usual for all.
    #[serde(default)]
    pub usual: Usual,
    /// Only rows that meet all of these are events; the others are counted as not wanted.
    #[serde(default, rename = "keep")]
    pub keep: Vec<Keep>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub id: String,
    pub title: String,
    pub source: String,
    pub builds: Builds,
    /// `builds = "events"` or `"intervals"`: the stream that each row becomes an event of.
    #[serde(default)]
    pub stream: Option<String>,
    /// What one row is, in words.
    pub one_row: String,
    /// The field that says who sent a row: a practice, a hospital. Rows are counted by it and by month.
    #[serde(default)]
    pub sent_by: Option<String>,
    /// Whom the feed covers, which decides where the absence of a record means something.
    #[serde(default)]
    pub covers: Covers,
}

/// What a run expects of a feed where its settings state no limit.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usual {
    /// Days from the newest event to the day that the feed is read for, at most.
    #[serde(default)]
    pub newest_event_days: Option<u32>,
    /// Share of rows that are copies of another, at most: files that repeat what earlier ones said have many.
    #[serde(default)]
    pub duplicates_share: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Covers {
    /// Everybody of the area: one body sends it, or all do.
    #[default]
    Everyone,
    /// The people of the practices that send it.
    Practices,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Builds {
    /// One row a person and registration period.
    Register,
    /// One person a row: people to leave out.
    OptOuts,
    /// One practice a row: names, networks, localities.
    Practices,
    /// One row an event.
    Events,
    /// One row an interval with a first and perhaps a last day.
    Intervals,
    /// One row a consultant episode; spells are built from them.
    Spells,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CsvSettings {
    pub delimiter: String,
    pub encoding: Encoding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    #[serde(rename = "utf-8")]
    Utf8,
    #[serde(rename = "windows-1252")]
    Windows1252,
}

impl Default for CsvSettings {
    fn default() -> Self {
        CsvSettings { delimiter: ",".to_owned(), encoding: Encoding::Utf8 }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonColumn {
    /// The pseudonym; of a practices layout, the practice code.
    pub column: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DayColumn {
    pub column: String,
    /// Dates that stand for "missing", written `1800-01-01`.
    #[serde(default)]
    pub null: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmountColumn {
    pub column: String,
    pub unit: AmountUnit,
}

/// How a decimal in a column becomes a whole number of an event's amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AmountUnit {
    /// Pounds, kept as pence.
    Pounds,
    Pence,
    /// A measured value, kept in thousandths.
    Measured,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    pub name: String,
    /// One column, or several that hold the same kind of code.
    pub columns: Vec<String>,
    /// Columns that a file may lack.
    #[serde(default)]
    pub optional: bool,
    /// The coding system; `words` where the values below are the whole vocabulary, `text` where any value stands for itself.
    pub system: FieldSystem,
    /// Keep this many first characters.
    #[serde(default)]
    pub characters: Option<usize>,
    /// `"01"` and `"1"` are one value.
    #[serde(default)]
    pub leading_zeros_ignored: bool,
    /// Raw values that stand for "missing".
    #[serde(default)]
    pub null: Vec<String>,
    /// `system = "words"`: our word, and the raw values that mean it.
    #[serde(default)]
    pub values: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldSystem {
    Words,
    Text,
    Icd10,
    Opcs4,
    Snomed,
    Read2,
    Ctv3,
    Bnf,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterColumns {
    /// `1950-04`, or a whole date of which the month is kept.
    pub birth_month: DayColumn,
    pub sex: String,
    pub sex_values: BTreeMap<String, Vec<String>>,
    pub practice: String,
    #[serde(default)]
    pub practice_null: Vec<String>,
    pub registration_start: DayColumn,
    pub registration_end: DayColumn,
    pub death: DayColumn,
    #[serde(default)]
    pub area: Option<String>,
    /// Published words about a person: our name, then the column.
    #[serde(default)]
    pub words: BTreeMap<String, String>,
    /// Published numbers about a person, kept in thousandths: our name, then the column.
    #[serde(default)]
    pub numbers: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpisodeColumns {
    pub provider_field: String,
    pub admission: DayColumn,
    pub start: DayColumn,
    pub end: DayColumn,
    pub discharge: DayColumn,
    pub order: String,
    pub order_null: Vec<String>,
    pub status: String,
    /// The status value of a finished episode.
    pub finished: String,
    /// Tells episodes apart where all else is equal.
    pub key: String,
    /// When the row was submitted: of two copies of an episode, the newer counts.
    pub submitted: DayColumn,
    /// Words of the field `source` that mean "came from another hospital".
    pub transfer_in_source: Vec<String>,
    /// Words of the field `method` that mean "came from another hospital".
    pub transfer_in_method: Vec<String>,
    /// Words of the field `method` that mean "born here".
    pub birth_method: Vec<String>,
    /// Words of the field `discharge_destination` that mean "went to another hospital".
    pub transfer_out_destination: Vec<String>,
    /// Raw values of the field `discharge_method`'s column that mean "spell goes on".
    pub unfinished_discharge: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Duplicates {
    pub columns: Vec<String>,
    /// Of several copies, the one with the latest day here counts.
    #[serde(default)]
    pub newest: Option<DayColumn>,
    pub source: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    pub field: String,
    pub words: Vec<String>,
}

impl LayoutFile {
    /// Reads a layout.
    ///
    /// # Errors
    /// Every problem in the file.
    pub fn parse(file: &str, text: &str) -> Result<LayoutFile, Vec<Problem>> {
        let layout: LayoutFile = toml::from_str(text).map_err(|error| vec![toml_problem(file, text, &error)])?;
        let problems: Vec<Problem> =
            layout.problems().into_iter().map(|what| Problem { file: file.to_owned(), line: 0, what }).collect();
        if problems.is_empty() { Ok(layout) } else { Err(problems) }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.format != 1 {
            problems.push(format!("format {} is not known; this version reads format 1", self.format));
        }
        if self.csv.delimiter.len() != 1 {
            problems.push("csv: delimiter is one character".to_owned());
        }
        if self.usual.duplicates_share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            problems.push("usual: duplicates_share is a share from 0 to 1".to_owned());
        }
        let has_stream = self.layout.stream.is_some();
        match self.layout.builds {
            Builds::Register if self.register.is_none() => {
                problems.push("builds = \"register\" needs [register]".to_owned())
            }
            Builds::Spells if self.episode.is_none() => problems.push("builds = \"spells\" needs [episode]".to_owned()),
            Builds::Events | Builds::Intervals if !has_stream => problems.push("needs the name of a stream".to_owned()),
            Builds::Events | Builds::Intervals if self.day.is_none() => problems.push("needs [day]".to_owned()),
            Builds::Intervals if self.end.is_none() => problems.push("builds = \"intervals\" needs [end]".to_owned()),
            _ => {}
        }
        for field in &self.fields {
            if field.columns.is_empty() {
                problems.push(format!("field \"{}\" has no columns", field.name));
            }
            if (field.system == FieldSystem::Words) == field.values.is_empty() {
                problems.push(format!("field \"{}\": values go with system = \"words\", and only with it", field.name));
            }
        }
        if let Some(sender) = self.layout.sent_by.as_ref().filter(|name| self.field(name).is_none()) {
            problems.push(format!("sent_by names field \"{sender}\", which the layout does not have"));
        }
        for keep in &self.keep {
            if !self.fields.iter().any(|field| field.name == keep.field) {
                problems.push(format!("keep names field \"{}\", which the layout does not have", keep.field));
            }
        }
        if let Some(episode) = &self.episode {
            for name in [
                episode.provider_field.as_str(),
                "method",
                "source",
                "discharge_method",
                "discharge_destination",
                "diagnosis",
            ] {
                if !self.fields.iter().any(|field| field.name == name) {
                    problems.push(format!("spells need a field \"{name}\""));
                }
            }
        }
        problems
    }

    /// The place of a field.
    pub fn field(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// Adds the streams that rows of this layout become.
    pub fn add_streams(&self, streams: &mut Streams) {
        let fields: BTreeMap<String, FieldKind> =
            self.fields.iter().map(|field| (field.name.clone(), field.kind())).collect();
        let amount = match self.amount.as_ref().map(|amount| amount.unit) {
            None => AmountKind::None,
            Some(AmountUnit::Measured) => AmountKind::Thousandths,
            Some(AmountUnit::Pounds | AmountUnit::Pence) => AmountKind::Pence,
        };
        let by_practice = self.layout.covers == Covers::Practices;
        let of_several_columns = self.fields.iter().filter(|field| field.columns.len() > 1);
        let several: BTreeSet<String> = of_several_columns.map(|field| field.name.clone()).collect();
        match (self.layout.builds, &self.layout.stream) {
            (Builds::Events | Builds::Intervals, Some(name)) => {
                streams.add(
                    name,
                    Stream {
                        fields,
                        amount,
                        is_interval: self.layout.builds == Builds::Intervals,
                        by_practice,
                        several,
                    },
                );
            }
            (Builds::Spells, _) => {
                let stream = |fields| Stream {
                    fields,
                    amount: AmountKind::None,
                    is_interval: false,
                    by_practice,
                    several: several.clone(),
                };
                // What is known only at discharge is no field of an admission: a past as-of date would see the future.
                let fields: BTreeMap<_, _> =
                    fields.into_iter().filter(|(name, _)| !name.starts_with("discharge_")).collect();
                let of_spell = |name: &str| !name.contains("diagnosis") && name != "procedure";
                let mut diagnosis: BTreeMap<_, _> =
                    fields.clone().into_iter().filter(|(name, _)| of_spell(name)).collect();
                diagnosis.extend(fields.get("diagnosis").map(|kind| (super::spells::CODE.to_owned(), kind.clone())));
                let positions = ["primary", "secondary"].map(str::to_owned).into();
                let mut procedure = diagnosis.clone();
                procedure.extend(fields.get("procedure").map(|kind| (super::spells::CODE.to_owned(), kind.clone())));
                diagnosis.insert(super::spells::POSITION.to_owned(), FieldKind::Words(positions));
                streams.add(super::spells::ADMISSION, stream(fields.clone()));
                streams.add(super::spells::EPISODE, stream(fields));
                streams.add(super::spells::DIAGNOSIS, stream(diagnosis));
                streams.add(super::spells::PROCEDURE, stream(procedure));
            }
            (Builds::Register, _) => {
                if let Some(register) = &self.register {
                    streams.add_person_columns(register.numbers.keys(), register.words.keys());
                }
            }
            _ => {}
        }
    }
}

impl Field {
    fn kind(&self) -> FieldKind {
        match (super::classify::code_system(self.system), self.system) {
            (Some(system), _) => FieldKind::Code(system),
            (None, FieldSystem::Text) => FieldKind::Text,
            (None, _) => FieldKind::Words(self.values.keys().cloned().collect()),
        }
    }
}
