//! The mirror of a layout file: which columns a body's extract has, and what their values mean in our words.
//!
//! A layout is data: a body whose columns are named otherwise writes a layout, not Rust. It maps raw columns to the
//! person, the day and the fields of a stream, raw code values to the words that models use, and names the values
//! that mean "missing". Unknown keys are refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use super::dictionary::Dictionary;
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
    /// A day that ends an interval, whatever its own end says, such as a death; a file may lack the column.
    #[serde(default)]
    pub ended_by: Option<DayColumn>,
    #[serde(default)]
    pub amount: Option<AmountColumn>,
    /// Tables beside the files, by which the numbers of some fields become codes.
    #[serde(default, rename = "dictionary")]
    pub dictionaries: Vec<DictionaryTable>,
    #[serde(default, rename = "field")]
    pub fields: Vec<Field>,
    /// `builds = "register"`: what the spine is made of.
    #[serde(default)]
    pub register: Option<RegisterColumns>,
    /// `builds = "registrations"`: what they are made of.
    #[serde(default)]
    pub registration: Option<RegistrationColumns>,
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
    /// One registration a row, of people whom the register has.
    Registrations,
    /// One death a row, of people whom the register has.
    Deaths,
    /// One person a row: people to leave out.
    OptOuts,
    /// One practice a row: names, networks, localities.
    Practices,
    /// One row an event.
    Events,
    /// One row an interval with a first and perhaps a last day.
    Intervals,
    /// One row a consultant episode, or a whole spell; spells are built from them.
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
    /// The column is the price of a unit, and these say how many a week has.
    #[serde(default)]
    pub weekly: Option<WeeklyColumns>,
}

/// How many units a week has, of intervals whose price is per unit.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeeklyColumns {
    /// The column that says what the price is for, such as `Weekly` or `Hourly`.
    pub frequency: String,
    /// Frequencies that say it by themselves: so many units in so many weeks.
    pub units_in_weeks: BTreeMap<String, (u32, u32)>,
    /// Frequencies of what is paid once.
    #[serde(default)]
    pub once: Vec<String>,
    /// The column of planned units a week, for every other frequency.
    pub planned: String,
    pub source: String,
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
    /// `system = "words"`: values that are not listed are taken as missing, where else their rows are rejects.
    #[serde(default)]
    pub others_missing: bool,
    /// One cell holds several codes, `E119 ,J849 ||I801`: commas between codes, bars between episodes. Spells only.
    #[serde(default)]
    pub list: bool,
    /// The dictionary that says which code each raw value stands for.
    #[serde(default)]
    pub dictionary: Option<String>,
    /// The dictionary itself, once it was read.
    #[serde(skip)]
    pub entries: Option<Arc<Dictionary>>,
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
    Dmd,
}

/// A table that says which code stands behind each number of a record system.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DictionaryTable {
    pub name: String,
    /// The column of the number.
    pub key: String,
    /// The column of the code that it stands for.
    pub code: String,
    /// Lines of other kinds are known, and stand for no code.
    #[serde(default)]
    pub keep: Option<KeepLines>,
    /// A run may do without; then the fields that need it are not there.
    #[serde(default)]
    pub optional: bool,
    /// In place of the layout's own.
    #[serde(default)]
    pub csv: Option<CsvSettings>,
    pub source: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeepLines {
    pub column: String,
    /// Compared without regard to case.
    pub values: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterColumns {
    /// `1950-04`, or a whole date of which the month is kept.
    #[serde(default)]
    pub birth_month: Option<DayColumn>,
    /// In place of `birth_month`: year and month in columns of their own.
    #[serde(default)]
    pub birth: Option<BirthColumns>,
    pub sex: String,
    pub sex_values: BTreeMap<String, Vec<String>>,
    pub practice: String,
    #[serde(default)]
    pub practice_null: Vec<String>,
    /// What stands for the practice of people without one; absent, they are registered nowhere.
    #[serde(default)]
    pub practice_otherwise: Option<String>,
    /// Absent where registrations stand in files of their own.
    #[serde(default)]
    pub registration_start: Option<DayColumn>,
    #[serde(default)]
    pub registration_end: Option<DayColumn>,
    #[serde(default)]
    pub death: Option<DayColumn>,
    #[serde(default)]
    pub area: Option<String>,
    #[serde(default)]
    pub area_null: Vec<String>,
    /// Published words about a person: our name, then the column.
    #[serde(default)]
    pub words: BTreeMap<String, String>,
    /// Published numbers about a person, kept in thousandths: our name, then the column.
    #[serde(default)]
    pub numbers: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BirthColumns {
    pub year: String,
    /// 1 to 12, perhaps missing.
    pub month: String,
    /// The month that is taken where it is missing.
    pub month_otherwise: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrationColumns {
    pub start: DayColumn,
    /// Absent or missing means that it goes on.
    #[serde(default)]
    pub end: Option<DayColumn>,
    /// Absent where the register itself says which practice a person has.
    #[serde(default)]
    pub practice: Option<String>,
}

/// Columns of consultant episodes; of whole spells, only provider, admission and discharge.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpisodeColumns {
    #[serde(default)]
    pub provider_field: Option<String>,
    pub admission: DayColumn,
    /// Absent where a row is a whole spell: it then runs from admission to discharge.
    #[serde(default)]
    pub start: Option<DayColumn>,
    #[serde(default)]
    pub end: Option<DayColumn>,
    pub discharge: DayColumn,
    #[serde(default)]
    pub order: Option<String>,
    #[serde(default)]
    pub order_null: Vec<String>,
    #[serde(default)]
    pub status: Option<String>,
    /// The status value of a finished episode.
    #[serde(default)]
    pub finished: String,
    /// Tells episodes apart where all else is equal.
    #[serde(default)]
    pub key: Option<String>,
    /// When the row was submitted: of two copies of an episode, the newer counts.
    #[serde(default)]
    pub submitted: Option<DayColumn>,
    /// Words of the field `source` that mean "came from another hospital".
    #[serde(default)]
    pub transfer_in_source: Vec<String>,
    /// Words of the field `method` that mean "came from another hospital".
    #[serde(default)]
    pub transfer_in_method: Vec<String>,
    /// Words of the field `discharge_destination` that mean "went to another hospital".
    #[serde(default)]
    pub transfer_out_destination: Vec<String>,
    /// Raw values of the field `discharge_method`'s column that mean "spell goes on".
    #[serde(default)]
    pub unfinished_discharge: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Duplicates {
    pub columns: Vec<String>,
    /// Rows are copies only where these times are near each other.
    #[serde(default)]
    pub near: Option<NearTimes>,
    /// Of several copies, the one with the latest day here counts.
    #[serde(default)]
    pub newest: Option<DayColumn>,
    /// Of equally new copies, the one whose value comes first here counts.
    #[serde(default)]
    pub prefer: Option<Preference>,
    pub source: String,
}

/// Values of a column by rank; those that are not listed come last. A file may lack the column.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preference {
    pub column: String,
    pub order: Vec<String>,
}

impl Preference {
    /// The column as a field whose words are the ranks of its values, `0000` for the first.
    pub fn as_field(&self) -> Field {
        let ranks = self.order.iter().enumerate().map(|(rank, value)| (format!("{rank:04}"), vec![value.clone()]));
        Field {
            name: String::new(),
            columns: vec![self.column.clone()],
            optional: true,
            system: FieldSystem::Words,
            characters: None,
            leading_zeros_ignored: false,
            null: Vec::new(),
            others_missing: true,
            list: false,
            dictionary: None,
            entries: None,
            values: ranks.collect(),
        }
    }
}

/// Times of day that are near each other: within so many minutes of the first of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NearTimes {
    /// `0930`, `930`, `09:30` or `09:30:00`; no such time of day is a missing one, and those are near each other only.
    pub column: String,
    pub within_minutes: u32,
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
            Builds::Registrations if self.registration.is_none() => {
                problems.push("builds = \"registrations\" needs [registration]".to_owned());
            }
            Builds::Deaths if self.day.is_none() => problems.push("builds = \"deaths\" needs [day]".to_owned()),
            Builds::Spells if self.episode.is_none() => problems.push("builds = \"spells\" needs [episode]".to_owned()),
            Builds::Events | Builds::Intervals if !has_stream => problems.push("needs the name of a stream".to_owned()),
            Builds::Events | Builds::Intervals if self.day.is_none() => problems.push("needs [day]".to_owned()),
            Builds::Intervals if self.end.is_none() => problems.push("builds = \"intervals\" needs [end]".to_owned()),
            _ if self.ended_by.is_some() && self.end.is_none() => {
                problems.push("[ended_by] goes with builds = \"intervals\" and [end]".to_owned());
            }
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
        let of_rows = matches!(self.layout.builds, Builds::Events | Builds::Intervals);
        if self.duplicates.is_some() && !of_rows {
            problems.push(
                "[duplicates] goes with builds = \"events\" or \"intervals\"; others have rules of their own"
                    .to_owned(),
            );
        }
        if !self.keep.is_empty() && !of_rows && self.layout.builds != Builds::Spells {
            problems.push("[[keep]] goes with builds = \"events\", \"intervals\" or \"spells\"".to_owned());
        }
        let weekly = self.amount.as_ref().and_then(|amount| Some((amount.unit, amount.weekly.as_ref()?)));
        if let Some((unit, weekly)) = weekly {
            if self.layout.builds != Builds::Intervals || unit == AmountUnit::Measured {
                problems.push("amount: weekly goes with builds = \"intervals\" and a price".to_owned());
            }
            if weekly.units_in_weeks.values().any(|(_, weeks)| *weeks == 0) {
                problems.push("amount: units_in_weeks is [units, weeks], and weeks is at least 1".to_owned());
            }
        }
        for field in &self.fields {
            problems.extend(self.field_problem(field).map(|what| format!("field \"{}\": {what}", field.name)));
        }
        if let Some(register) = &self.register {
            problems.extend(register.problem().map(|what| format!("register: {what}")));
        }
        for keep in &self.keep {
            if !self.fields.iter().any(|field| field.name == keep.field) {
                problems.push(format!("keep names field \"{}\", which the layout does not have", keep.field));
            }
        }
        let of_episodes = self.episode.as_ref().filter(|episode| episode.start.is_some());
        if let Some(episode) = of_episodes {
            for name in [
                episode.provider_field.as_deref().unwrap_or("provider"),
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

    fn field_problem(&self, field: &Field) -> Option<String> {
        let is_coded = super::classify::code_system(field.system).is_some();
        match &field.dictionary {
            Some(name) if !self.dictionaries.iter().any(|table| &table.name == name) => {
                Some(format!("no [[dictionary]] is named \"{name}\""))
            }
            Some(_) if !is_coded => Some("a dictionary gives codes, so the field has a coding system".to_owned()),
            _ if field.others_missing && field.system != FieldSystem::Words => {
                Some("others_missing goes with system = \"words\"".to_owned())
            }
            _ if field.list && (self.layout.builds != Builds::Spells || !is_coded || field.columns.len() != 1) => {
                Some("list = true goes with one column of codes in a layout that builds spells".to_owned())
            }
            _ => None,
        }
    }

    /// Adds the streams that rows of this layout become.
    pub fn add_streams(&self, streams: &mut Streams) {
        let fields: BTreeMap<String, FieldKind> =
            self.fields.iter().map(|field| (field.name.clone(), field.kind())).collect();
        let amount = match self.amount.as_ref().map(|amount| amount.unit) {
            None => AmountKind::None,
            Some(_) if self.amount.as_ref().is_some_and(|amount| amount.weekly.is_some()) => AmountKind::PencePerWeek,
            Some(AmountUnit::Measured) => AmountKind::Thousandths,
            Some(AmountUnit::Pounds | AmountUnit::Pence) => AmountKind::Pence,
        };
        let by_practice = self.layout.covers == Covers::Practices;
        let of_several_columns = self.fields.iter().filter(|field| field.columns.len() > 1 || field.list);
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
                streams.add(super::spells::ADMISSION, Stream { amount, ..stream(fields.clone()) });
                streams.add(super::spells::CONTINUOUS_SPELL, Stream { amount, ..stream(fields.clone()) });
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

impl RegisterColumns {
    fn problem(&self) -> Option<&'static str> {
        let month = self.birth.as_ref().map(|birth| birth.month_otherwise);
        match (&self.birth_month, month) {
            (Some(_), Some(_)) => Some("birth_month or birth, not both"),
            (None, None) => Some("birth_month is missing, or birth with year and month"),
            (None, Some(0 | 13..)) => Some("birth: month_otherwise is 1 to 12"),
            _ if self.registration_start.is_none() && self.registration_end.is_some() => {
                Some("registration_end goes with registration_start")
            }
            _ => None,
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
