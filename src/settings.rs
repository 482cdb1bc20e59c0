//! What was meant: the settings file, read and checked.
//!
//! One file says where the inputs are, which layouts they have, which models and cohorts to run, and for which days.
//! Relative paths start from the folder that the file is in. Unknown keys are refused.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::cohort::Cohort;
use crate::cohort::spec::Preset;
use crate::day::{Day, Month};
use crate::gate::{Allowance, Gate, Limits, StandingAllowance};
use crate::ingest::identifiers;
use crate::ingest::layout::CsvSettings;
use crate::model::Problem;
use crate::model::check::toml_problem;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub format: u32,
    pub as_of: AsOf,
    /// The folder that runs are published in.
    pub out: PathBuf,
    pub models: Vec<String>,
    /// Shipped cohorts, or those of `--models`, by name.
    #[serde(default)]
    pub cohorts: Vec<String>,
    /// Cohorts that stand in the settings themselves.
    #[serde(default, rename = "cohort")]
    pub own_cohorts: Vec<Cohort>,
    /// What this run does otherwise than a shipped cohort says.
    #[serde(default, rename = "preset")]
    pub presets: Vec<Preset>,
    /// Clinicians' decisions about who is on a list.
    #[serde(default)]
    pub overrides: Option<Overrides>,
    #[serde(default)]
    pub lists: Lists,
    pub register: Input,
    pub opt_outs: OptOuts,
    #[serde(default)]
    pub practices: Option<Input>,
    #[serde(default, rename = "source")]
    pub sources: Vec<Source>,
    #[serde(default)]
    pub limits: Limits,
    /// Breaches that are known of and let through, each until a day.
    #[serde(default, rename = "allow")]
    pub allowances: Vec<StandingAllowance>,
    #[serde(default)]
    pub retention: Option<Retention>,
    /// What is said of columns that look like identifiers.
    #[serde(default)]
    pub identifiers: identifiers::Rules,
    #[serde(default)]
    pub sensitive: Option<Sensitive>,
    /// How much memory a run may take; the results do not depend on it.
    #[serde(default)]
    pub memory: Option<Memory>,
    /// The folder that relative paths start from.
    #[serde(skip)]
    pub base: PathBuf,
    /// The name of the file, for problems.
    #[serde(skip)]
    pub file: String,
    /// Puts all events on disk, in so many shards, whatever the memory: for tests and measurements.
    #[serde(skip)]
    pub shards: Option<usize>,
}

/// An amount of memory in bytes, written `"4GiB"` or `"512MiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Memory(pub u64);

impl std::str::FromStr for Memory {
    type Err = String;

    fn from_str(text: &str) -> Result<Memory, String> {
        let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
        let found = units.into_iter().find_map(|(unit, bits)| Some((text.strip_suffix(unit)?, bits)));
        let bytes = found.and_then(|(number, bits)| number.trim().parse::<u64>().ok()?.checked_mul(1 << bits));
        let bytes = bytes.filter(|bytes| *bytes > 0).map(Memory);
        bytes.ok_or_else(|| format!("\"{text}\" is no amount of memory; write \"4GiB\" or \"512MiB\""))
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}MiB", self.0.div_ceil(1 << 20))
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The days to score for, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsOf(pub Vec<Day>);

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    pub layout: String,
    pub files: Vec<String>,
    /// In place of the layout's own.
    #[serde(default)]
    pub csv: Option<CsvSettings>,
    /// Of a register: files that add registrations or deaths to it.
    #[serde(default)]
    pub with: Vec<Part>,
    /// In place of the run's own, for this input.
    #[serde(default)]
    pub limits: Limits,
}

/// Files that add to a register what its own lack: registrations, or deaths.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    pub layout: String,
    pub files: Vec<String>,
    #[serde(default)]
    pub csv: Option<CsvSettings>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub name: String,
    pub layout: String,
    pub files: Vec<String>,
    #[serde(default)]
    pub csv: Option<CsvSettings>,
    /// The files of each code dictionary of the layout, by its name.
    #[serde(default)]
    pub dictionaries: BTreeMap<String, Vec<String>>,
    /// What the body that sends it allows.
    #[serde(default)]
    pub purpose: Purpose,
    /// In place of the run's own, for this source.
    #[serde(default)]
    pub limits: Limits,
}

/// What a source may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Everything that a run makes.
    #[default]
    Scores,
    /// Counts of many people, and nothing about one: no score, fact or list.
    Aggregates,
}

impl Purpose {
    pub fn name(self) -> &'static str {
        match self {
            Purpose::Scores => "scores",
            Purpose::Aggregates => "aggregates",
        }
    }
}

/// Sensitive codes, which reach no event unless a legal basis is stated.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sensitive {
    /// The law or decision that lets the codes of the list be used, in words; published with the run.
    pub legal_basis: String,
}

/// People who opted out: a list, or the statement that the feeds come without them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptOuts {
    #[serde(default)]
    pub layout: Option<String>,
    #[serde(default)]
    pub files: Vec<String>,
    /// Who applied them and when, where the feeds come without opted-out people.
    #[serde(default)]
    pub applied_upstream: Option<String>,
    /// In place of the run's own, for the list.
    #[serde(default)]
    pub limits: Limits,
}

/// How lists are written, and for whom.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lists {
    pub formats: Vec<ListFormat>,
    /// Whether a CSV begins with a byte order mark, which some spreadsheets need to know UTF-8.
    pub byte_order_mark: bool,
    /// Columns of the practices: each has one file for each of its places, beside those of the practices.
    pub views: Vec<String>,
    /// Public keys of age by view and then by name, as `recipients.practice.G82001`; without any nothing is encrypted.
    pub recipients: BTreeMap<String, BTreeMap<String, String>>,
}

impl Default for Lists {
    fn default() -> Self {
        Lists { formats: vec![ListFormat::Csv], byte_order_mark: false, views: Vec::new(), recipients: BTreeMap::new() }
    }
}

impl Lists {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.formats.is_empty() {
            problems.push("lists: formats is empty; known are csv, xlsx".to_owned());
        }
        let known = |view: &String| view == PRACTICE || self.views.contains(view);
        for view in self.recipients.keys().filter(|view| !known(view)) {
            problems.push(format!(
                "lists.recipients.{view}: is neither practice nor one of views = [{}]",
                self.views.join(", ")
            ));
        }
        if !self.recipients.is_empty() {
            let asked = std::iter::once(PRACTICE).chain(self.views.iter().map(String::as_str));
            for view in asked.filter(|view| !self.recipients.contains_key(*view)) {
                problems.push(format!(
                    "lists.recipients.{view}: has no keys; what is encrypted for some is encrypted for all"
                ));
            }
        }
        problems
    }
}

/// The view that every list has.
pub const PRACTICE: &str = "practice";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListFormat {
    Csv,
    Xlsx,
}

/// Files of decisions; `cohort::decisions` has their columns.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    pub files: Vec<String>,
}

/// How long published runs may be kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// `riskstrat check` names runs whose as-of day lies further back than this; nothing is ever deleted.
    pub runs_days: u32,
}

impl Settings {
    /// Reads a settings file's text.
    ///
    /// # Errors
    /// Every problem that can be seen without opening another file.
    pub fn parse(path: &Path, text: &str) -> Result<Settings, Vec<Problem>> {
        let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let mut settings: Settings = toml::from_str(text).map_err(|error| vec![toml_problem(&file, text, &error)])?;
        settings.file = file.clone();
        settings.base =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        let problems: Vec<Problem> =
            settings.problems().into_iter().map(|what| Problem { file: file.clone(), line: 0, what }).collect();
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.format != 1 {
            problems.push(format!("format {} is not known; this version reads format 1", self.format));
        }
        if self.models.is_empty() {
            problems.push("models is empty; `riskstrat models` lists what there is".to_owned());
        }
        let has_list = self.opt_outs.layout.is_some() && !self.opt_outs.files.is_empty();
        match (&self.opt_outs.applied_upstream, has_list) {
            (None, false) => problems.push(
                "[opt_outs] gives a layout and files, or applied_upstream = \"who applied opt-outs, and when\""
                    .to_owned(),
            ),
            (Some(_), true) => problems.push("[opt_outs] gives files or applied_upstream, not both".to_owned()),
            _ => {}
        }
        let mut names: Vec<&str> = self.sources.iter().map(|source| source.name.as_str()).collect();
        names.sort_unstable();
        for pair in names.windows(2).filter(|pair| pair[0] == pair[1]) {
            problems.push(format!("two sources named \"{}\"", pair[0]));
        }
        problems.extend(self.lists.problems());
        problems.extend(self.limits.problems(false));
        problems.extend(self.allowances.iter().filter_map(|standing| standing.allowance().err()));
        for (name, limits) in self.inputs_limits() {
            problems.extend(limits.problems(true).into_iter().map(|what| format!("source \"{name}\": {what}")));
        }
        let inputs = [("register", &self.register.csv)].into_iter();
        let inputs = inputs.chain(self.practices.iter().map(|input| ("practices", &input.csv)));
        let inputs = inputs.chain(self.sources.iter().map(|source| (source.name.as_str(), &source.csv)));
        for (name, csv) in inputs {
            if csv.as_ref().is_some_and(|csv| csv.delimiter.len() != 1) {
                problems.push(format!("source \"{name}\": csv: delimiter is one character"));
            }
        }
        problems.extend(self.unsound_statements());
        problems
    }

    /// Statements about identifiers that say nothing, or are about nothing.
    fn unsound_statements(&self) -> Vec<String> {
        let mut names = vec!["register", "opt_outs", "practices"];
        names.extend(self.sources.iter().map(|source| source.name.as_str()));
        let mut problems = Vec::new();
        if self.sensitive.as_ref().is_some_and(|sensitive| sensitive.legal_basis.trim().is_empty()) {
            problems
                .push("sensitive: legal_basis says in words which law or decision lets the codes be used".to_owned());
        }
        for accepted in &self.identifiers.accept {
            let place = format!("identifiers.accept: source \"{}\", column \"{}\"", accepted.source, accepted.column);
            if accepted.because.trim().is_empty() {
                problems.push(format!("{place}: because says in words why the column identifies nobody"));
            }
            if !names.contains(&accepted.source.as_str()) {
                problems.push(format!("{place}: no such source; known are {}", names.join(", ")));
            }
        }
        problems
    }

    /// The limits of each input's own, by its name.
    fn inputs_limits(&self) -> impl Iterator<Item = (&str, &Limits)> {
        let tables = [("register", &self.register.limits), ("opt_outs", &self.opt_outs.limits)].into_iter();
        let tables = tables.chain(self.practices.iter().map(|input| ("practices", &input.limits)));
        tables.chain(self.sources.iter().map(|source| (source.name.as_str(), &source.limits)))
    }

    /// Standing allowances that hold on the last as-of day, and those that have ended before it.
    pub fn standing_allowances(&self) -> (Vec<Allowance>, Vec<Allowance>) {
        let allowances = self.allowances.iter().filter_map(|standing| standing.allowance().ok());
        allowances.partition(|allowance| allowance.until.is_none_or(|until| self.horizon() <= until))
    }

    /// The limit that is stated for a gate: for the source itself, else for the run.
    pub fn limit(&self, gate: Gate, source: Option<&str>) -> Option<f64> {
        let own = source.and_then(|source| self.inputs_limits().find(|(name, _)| *name == source));
        own.and_then(|(_, limits)| limits.of(gate)).or_else(|| self.limits.of(gate))
    }

    /// How many rows of a source its comparing gates need.
    pub fn judged_from_rows(&self, source: &str) -> u64 {
        let own = self.inputs_limits().find(|(name, _)| *name == source);
        let own = own.and_then(|(_, limits)| limits.judged_from_rows);
        own.unwrap_or_else(|| self.limits.judged_from_rows())
    }

    /// What a source, by its name, may be used for.
    pub fn purpose(&self, source: &str) -> Purpose {
        self.sources.iter().find(|known| known.name == source).map_or(Purpose::Scores, |source| source.purpose)
    }

    /// Takes everything about lists away, for whoever looks at scores alone.
    pub fn leave_out_lists(&mut self) {
        self.cohorts = Vec::new();
        self.own_cohorts = Vec::new();
        self.presets = Vec::new();
        self.overrides = None;
        self.lists = Lists::default();
    }

    /// How many rows a month of a source's sender has to have usually, to be judged.
    pub fn month_rows_from(&self, source: &str) -> u64 {
        let own = self.inputs_limits().find(|(name, _)| *name == source);
        own.and_then(|(_, limits)| limits.month_rows_from).unwrap_or_else(|| self.limits.month_rows_from())
    }

    pub fn out_folder(&self) -> PathBuf {
        self.base.join(&self.out)
    }

    /// The first day of which nothing is read: the last as-of day.
    pub fn horizon(&self) -> Day {
        *self.as_of.0.last().expect("a settings file has an as-of day")
    }
}

impl<'de> Deserialize<'de> for AsOf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsOfVisitor;

        fn day<E: de::Error>(text: &str) -> Result<Day, E> {
            Day::parse(text.as_bytes())
                .ok_or_else(|| E::custom(format!("\"{text}\" is not a date; write \"2016-04-01\"")))
        }

        impl<'de> Visitor<'de> for AsOfVisitor {
            type Value = AsOf;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a date in quotes, a list of them, or { from = \"2015-04-01\", to = \"2016-04-01\", every = \"month\" }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<AsOf, E> {
                day(text).map(|day| AsOf(vec![day]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<AsOf, A::Error> {
                let mut days = Vec::new();
                while let Some(text) = seq.next_element::<String>()? {
                    days.push(day(&text)?);
                }
                if days.is_empty() {
                    return Err(de::Error::custom("an empty list of as-of dates"));
                }
                days.sort_unstable();
                if days.windows(2).any(|pair| pair[0] == pair[1]) {
                    return Err(de::Error::custom("an as-of date is listed twice"));
                }
                Ok(AsOf(days))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AsOf, A::Error> {
                let (mut from, mut to, mut every) = (None, None, None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "from" => from = Some(day::<A::Error>(&map.next_value::<String>()?)?),
                        "to" => to = Some(day::<A::Error>(&map.next_value::<String>()?)?),
                        "every" => every = Some(map.next_value::<String>()?),
                        "$__toml_private_datetime" => return self.visit_str(&map.next_value::<String>()?),
                        other => return Err(de::Error::unknown_field(other, &["from", "to", "every"])),
                    }
                }
                let (Some(from), Some(to), Some(every)) = (from, to, every) else {
                    return Err(de::Error::custom("a range of as-of dates has from, to and every"));
                };
                range(from, to, &every).map(AsOf).map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_any(AsOfVisitor)
    }
}

/// The days of a range: the same day of every month, or every seventh or single day.
fn range(from: Day, to: Day, every: &str) -> Result<Vec<Day>, String> {
    if to < from {
        return Err(format!("the as-of range ends before it starts: {from} to {to}"));
    }
    let days: Vec<Day> = match every {
        "day" => (from.0..=to.0).map(Day).collect(),
        "week" => (from.0..=to.0).step_by(7).map(Day).collect(),
        "month" => {
            let (_, _, day_of_month) = from.to_ymd();
            let in_month = |month: i32| {
                let month = Month(month);
                (1..=day_of_month).rev().find_map(|day| Day::from_ymd(month.year(), month.month_of_year(), day))
            };
            (from.month().0..=to.month().0).filter_map(in_month).filter(|day| *day <= to).collect()
        }
        other => return Err(format!("every \"{other}\" is not known; known are day, week, month")),
    };
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "format = 1\nas_of = \"2016-04-01\"\nout = \"out\"\nmodels = [\"cpm\"]\n\
                        [register]\nlayout = \"register\"\nfiles = [\"r.csv\"]\n[opt_outs]\napplied_upstream = \"by us\"\n";

    fn parse(text: &str) -> Result<Settings, String> {
        Settings::parse(Path::new("x/riskstrat.toml"), text)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn as_of_is_a_day_a_list_or_a_range() {
        let days = |as_of: &str| {
            let text = TEXT.replace("\"2016-04-01\"", as_of);
            parse(&text).map(|settings| settings.as_of.0.iter().map(Day::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(days("\"2016-04-01\"").unwrap(), "2016-04-01");
        assert_eq!(days("2016-04-01").unwrap(), "2016-04-01");
        assert_eq!(days("[\"2016-04-01\", \"2015-04-01\"]").unwrap(), "2015-04-01 2016-04-01");
        let month_ends = "{ from = \"2015-12-31\", to = \"2016-03-31\", every = \"month\" }";
        assert_eq!(days(month_ends).unwrap(), "2015-12-31 2016-01-31 2016-02-29 2016-03-31");
        let backwards = "{ from = \"2016-04-01\", to = \"2015-04-01\", every = \"month\" }";
        let fault = days(backwards).unwrap_err();
        assert!(
            fault.starts_with("riskstrat.toml:2: ") && fault.contains("the as-of range ends before it starts"),
            "{fault}"
        );
        assert!(days("\"2016-02-30\"").unwrap_err().contains("is not a date"));
        assert!(days("[]").unwrap_err().contains("an empty list"));
    }

    #[test]
    fn a_misspelt_key_is_shown_with_its_line() {
        let fault = parse(&TEXT.replace("models =", "model =")).unwrap_err();
        assert!(fault.contains("riskstrat.toml:4: ") && fault.contains("model"), "{fault}");
    }

    #[test]
    fn opt_outs_are_never_left_unsaid() {
        let fault = parse(&TEXT.replace("applied_upstream = \"by us\"", "")).unwrap_err();
        assert!(fault.contains("applied_upstream"), "{fault}");
    }
}
