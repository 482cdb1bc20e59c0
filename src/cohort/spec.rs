//! The mirror of a cohort as it stands in a file or in the settings, and what can be judged of it alone.
//!
//! A shipped cohort (`models/cohorts/<id>.toml`) and a cohort of the settings (`[[cohort]]`) have the same keys. Every
//! key that is not known is refused; nothing has a default that could put somebody on a list or take somebody off.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::history::MOST_MONTHS;
use crate::model::Problem;
use crate::model::check::toml_problem;

/// The mirror of a cohort file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CohortFile {
    pub format: u32,
    pub cohort: Cohort,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cohort {
    pub id: String,
    pub title: String,
    /// What a team is to do with the list.
    pub purpose: String,
    /// Where the rule comes from.
    pub source: String,
    /// What in it is this project's reading, or the user's.
    #[serde(default)]
    pub assumed: Vec<String>,
    /// The model whose score, band and reasons the list shows.
    pub model: String,
    /// A SQL condition over the published columns.
    #[serde(rename = "where")]
    pub condition: String,
    /// A SQL condition that is enough for whoever was on the last published list: a threshold to leave that lies lower
    /// than the one to enter.
    #[serde(default)]
    pub stay: Option<String>,
    /// Columns, the first counting most; `-` before a name puts the largest first.
    pub order_by: Vec<String>,
    /// Columns to show beside pseudonym, order, score, band and reasons.
    #[serde(default)]
    pub columns: Vec<String>,
    /// Columns of this cohort alone: a name, and a SQL expression over the published columns.
    #[serde(default)]
    pub derive: BTreeMap<String, String>,
    /// Scores of earlier days that the rule looks at.
    #[serde(default)]
    pub history: Option<History>,
    /// People whom the rule holds for and who are left out all the same; the first that applies is the reason.
    #[serde(default, rename = "exclusion")]
    pub exclusions: Vec<Exclusion>,
    #[serde(default)]
    pub capacity: Option<Capacity>,
    #[serde(default)]
    pub floor: Option<Floor>,
    /// How long somebody stays on the list whose data stopped coming.
    #[serde(default)]
    pub hold_days: Option<u32>,
}

/// Scores of one model on the same day of earlier months.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    pub model: String,
    pub every: Every,
    pub back: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    Month,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    /// In small letters, for counts.
    pub name: String,
    /// In words, for a team.
    pub reason: String,
    #[serde(rename = "where")]
    pub condition: String,
}

/// How many people a list has room for: exactly one of `at_most`, `share` and `total`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// The column whose words are the teams, such as `practice`, `pcn_code` or `locality`; `all` for one team.
    pub per: String,
    /// So many a team.
    #[serde(default)]
    pub at_most: Option<u32>,
    /// This share of some of the team's people, rounded up to a whole person.
    #[serde(default)]
    pub share: Option<f64>,
    /// So many in all, shared out among the teams by weight or by people.
    #[serde(default)]
    pub total: Option<u32>,
    /// Of whom a share is taken, or by whom a total is shared out.
    #[serde(default)]
    pub of: Option<Of>,
    /// A team's weight where a total is shared out.
    #[serde(default)]
    pub weights: BTreeMap<String, u32>,
    /// The weight of a team that is not named.
    #[serde(default)]
    pub otherwise: Option<u32>,
    /// People of the last list keep their place this share of the capacity below the cut, and newcomers enter this
    /// share above it, so that people near the line do not come and go.
    #[serde(default)]
    pub margin: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// Everybody registered.
    Registered,
    /// Everybody registered who is 18 or older.
    Adults,
    /// Everybody whom the rule holds for and no exclusion does.
    Cohort,
}

/// Places kept for each group of a team, so that a cut does not fall on one of them alone.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// The column that holds the groups, such as `deprivation_fifth`.
    pub by: String,
    /// So many places a group;
    #[serde(default)]
    pub at_least: Option<u32>,
    /// or this share of the team's places, rounded down.
    #[serde(default)]
    pub share: Option<f64>,
}

/// Changes of a run to a shipped cohort: what teams differ in.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    pub id: String,
    #[serde(default)]
    pub capacity: Option<Capacity>,
    #[serde(default)]
    pub floor: Option<Floor>,
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    /// In addition to its own.
    #[serde(default, rename = "exclusion")]
    pub exclusions: Vec<Exclusion>,
}

/// How long a stopped feed keeps somebody on a list where the cohort does not say.
pub const HOLD_DAYS: u32 = 92;

impl Cohort {
    /// Reads a cohort file.
    ///
    /// # Errors
    /// Every problem that can be seen without the published columns.
    pub fn parse(file: &str, text: &str) -> Result<Cohort, Vec<Problem>> {
        let mirror: CohortFile = toml::from_str(text).map_err(|error| vec![toml_problem(file, text, &error)])?;
        let mut problems = Vec::new();
        if mirror.format != 1 {
            problems.push(format!("format {} is not known; this version reads format 1", mirror.format));
        }
        let cohort = mirror.cohort;
        problems.extend(cohort.problems());
        let problem = |what: String| Problem { file: file.to_owned(), line: cohort.line_in(text, &what), what };
        if problems.is_empty() { Ok(cohort) } else { Err(problems.into_iter().map(problem).collect()) }
    }

    /// A condition alone, ordered by a model's score.
    pub fn of_condition(id: &str, model: &str, condition: &str) -> Cohort {
        let words = || "a condition that was typed".to_owned();
        Cohort {
            id: id.to_owned(),
            title: words(),
            purpose: words(),
            source: words(),
            assumed: Vec::new(),
            model: model.to_owned(),
            condition: condition.to_owned(),
            stay: None,
            order_by: vec![format!("-{model}_linear_predictor")],
            columns: Vec::new(),
            derive: BTreeMap::new(),
            history: None,
            exclusions: Vec::new(),
            capacity: None,
            floor: None,
            hold_days: None,
        }
    }

    /// With the changes that a run makes to it.
    pub fn changed(mut self, preset: &Preset) -> Cohort {
        self.capacity = preset.capacity.clone().or(self.capacity);
        self.floor = preset.floor.clone().or(self.floor);
        self.columns = preset.columns.clone().unwrap_or(self.columns);
        self.exclusions.extend(preset.exclusions.iter().cloned());
        self
    }

    /// How many days a stopped feed keeps somebody on the list.
    pub fn hold_days(&self) -> u32 {
        self.hold_days.unwrap_or(HOLD_DAYS)
    }

    /// The column that says whether somebody is on this cohort's list, for cohorts that come after it.
    pub fn on_column(&self) -> String {
        format!("on_{}", self.id)
    }

    /// Every fault that can be seen without the published columns, in words; each begins with the cohort and the key.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut problem = |key: &str, what: String| problems.push(format!("cohort \"{}\": {key}: {what}", self.id));
        if !is_name(&self.id) {
            problem("id", "may hold small letters, digits and `_` only".to_owned());
        }
        if self.order_by.is_empty() {
            problem("order_by", "is empty: a list has an order".to_owned());
        }
        for name in self.derive.keys().filter(|name| !is_name(name)) {
            problem("derive", format!("the name \"{name}\" may hold small letters, digits and `_` only"));
        }
        if self.history.as_ref().is_some_and(|history| !(1..=MOST_MONTHS as u32).contains(&history.back)) {
            problem("history", "back is from 1 to 24 months".to_owned());
        }
        for (place, exclusion) in self.exclusions.iter().enumerate() {
            if !is_name(&exclusion.name) {
                problem(
                    "exclusion",
                    format!("the name \"{}\" may hold small letters, digits and `_` only", exclusion.name),
                );
            }
            if self.exclusions[..place].iter().any(|other| other.name == exclusion.name) {
                problem("exclusion", format!("two are named \"{}\"", exclusion.name));
            }
        }
        if self.exclusions.len() > MOST_EXCLUSIONS {
            problem(
                "exclusion",
                format!("there are {}; at most {MOST_EXCLUSIONS} are possible", self.exclusions.len()),
            );
        }
        if let Some(capacity) = &self.capacity {
            capacity.problems().into_iter().for_each(|what| problem("capacity", what));
        }
        match (&self.floor, &self.capacity) {
            (Some(_), None) => problem("floor", "a list without capacity has no places to keep".to_owned()),
            (Some(floor), Some(capacity)) => {
                floor.problems(capacity).into_iter().for_each(|what| problem("floor", what));
            }
            _ => {}
        }
        problems
    }

    /// The line of a fault that [`Cohort::problems`] found, or of another whose words begin as those do; 0 where the
    /// key does not stand in the text.
    pub fn line_in(&self, text: &str, what: &str) -> usize {
        let key = what.strip_prefix(&format!("cohort \"{}\": ", self.id)).and_then(|what| what.split(": ").next());
        let Some(key) = key else { return 0 };
        let starts = |line: &str, key: &str| {
            let line = line.trim_start().trim_start_matches(['[']);
            let line = line.strip_prefix("cohort.").unwrap_or(line);
            line.strip_prefix(key).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        };
        let lines: Vec<&str> = text.lines().collect();
        let id = lines.iter().position(|line| starts(line, "id") && line.contains(&format!("\"{}\"", self.id)));
        let from = id.unwrap_or(0);
        lines[from..].iter().position(|line| starts(line, key)).map_or(0, |place| from + place + 1)
    }
}

/// Exclusions of a cohort are numbered in a byte.
const MOST_EXCLUSIONS: usize = 200;

impl Capacity {
    /// The capacity in words, for a reader of the list.
    pub fn in_words(&self) -> String {
        let of = match self.of {
            Some(Of::Registered) => "everybody registered",
            Some(Of::Adults) => "adults registered",
            Some(Of::Cohort) => "people whom the rule holds for",
            None => "",
        };
        let per = &self.per;
        let room = match (self.at_most, self.share, self.total) {
            (Some(most), _, _) => format!("{most} people per {per}"),
            (_, Some(share), _) => format!("a share of {share} of {of} per {per}, rounded up"),
            (_, _, Some(total)) if of.is_empty() => format!("{total} people in all, shared out per {per} by weight"),
            (_, _, total) => format!("{} people in all, shared out per {per} by {of}", total.unwrap_or(0)),
        };
        match self.margin {
            Some(margin) => format!("{room}; people of the last list stay a share of {margin} below the cut"),
            None => room,
        }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut problem = |what: &str| problems.push(what.to_owned());
        let given = [self.at_most.is_some(), self.share.is_some(), self.total.is_some()];
        if given.iter().filter(|is_given| **is_given).count() != 1 {
            problem("gives exactly one of at_most, share and total");
        }
        if self.at_most == Some(0) || self.total == Some(0) {
            problem("0 leaves nobody on the list; leave the cohort out instead");
        }
        if self.share.is_some_and(|share| !(share > 0.0 && share <= 1.0)) {
            problem("share is above 0 and at most 1, such as 0.02");
        }
        if self.share.is_some() && self.of.is_none() {
            problem("a share says of whom: of = \"registered\", \"adults\" or \"cohort\"");
        }
        let shares_out = usize::from(self.of.is_some()) + usize::from(!self.weights.is_empty());
        if self.total.is_some() && shares_out != 1 {
            problem("a total is shared out by weights, or by people: of = \"registered\", \"adults\" or \"cohort\"");
        }
        if self.at_most.is_some() && shares_out > 0 {
            problem("at_most is the same for every team; weights and of go with total or share");
        }
        if self.share.is_some() && !self.weights.is_empty() {
            problem("weights go with total");
        }
        if self.weights.is_empty() == self.otherwise.is_some() {
            problem("weights come with otherwise, the weight of a team that is not named");
        }
        if self.margin.is_some_and(|margin| !(0.0..=0.5).contains(&margin)) {
            problem("margin is a share from 0 to 0.5");
        }
        problems
    }
}

/// Groups that a floor is for: fifths, as a rule.
const GROUPS: f64 = 5.0;

impl Floor {
    fn problems(&self, capacity: &Capacity) -> Vec<String> {
        let mut problems = Vec::new();
        if self.at_least.is_some() == self.share.is_some() {
            problems.push("gives exactly one of at_least and share".to_owned());
        }
        if self.share.is_some_and(|share| !(share > 0.0 && share * GROUPS <= 1.0)) {
            problems.push("share is above 0 and at most 0.2, so that five groups have room".to_owned());
        }
        if let (Some(least), Some(most)) = (self.at_least, capacity.at_most)
            && (least == 0 || f64::from(least) * GROUPS > f64::from(most))
        {
            problems.push(format!("five groups of {least} have no room in a capacity of {most}"));
        }
        problems
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A cohort with a rule and nothing else, for tests of what comes after it.
    pub fn plain(id: &str, condition: &str) -> Cohort {
        Cohort::of_condition(id, "cpm", condition)
    }

    const TEXT: &str = "format = 1\n[cohort]\nid = \"a\"\ntitle = \"A\"\npurpose = \"p\"\nsource = \"s\"\nmodel = \"cpm\"\n\
                        where = \"age_years >= 18\"\norder_by = [\"-cpm\"]\n";

    fn faults(more: &str) -> String {
        let parsed = Cohort::parse("cohorts/a.toml", &format!("{TEXT}{more}\n"));
        parsed.unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_capacity_is_one_of_three_and_leaves_room_for_somebody() {
        assert!(Cohort::parse("a", &format!("{TEXT}capacity = {{ at_most = 1, per = \"practice\" }}")).is_ok());
        assert_eq!(
            faults("capacity = { at_most = 0, per = \"practice\" }"),
            "cohorts/a.toml:10: cohort \"a\": capacity: 0 leaves nobody on the list; leave the cohort out instead"
        );
        let exactly_one = "gives exactly one of at_most, share and total";
        assert!(faults("capacity = { per = \"practice\" }").ends_with(exactly_one));
        assert!(
            faults("capacity = { per = \"all\", at_most = 3, share = 0.1, of = \"adults\" }").contains(exactly_one)
        );
        assert!(faults("capacity = { per = \"all\", share = 0.02 }").contains("a share says of whom"));
        assert!(faults("capacity = { per = \"all\", share = nan, of = \"adults\" }").contains("share is above 0"));
        assert!(faults("capacity = { per = \"all\", total = 9 }").contains("a total is shared out"));
        assert!(faults("capacity = { per = \"all\", total = 9, weights = { X = 1 } }").contains("otherwise"));
        assert!(faults("capacity = { per = \"all\", at_most = 9, margin = 0.6 }").contains("margin"));
        assert!(faults("capacity = { per = \"all\", at_most = 9, shares = 1 }").contains("unknown field `shares`"));
    }

    #[test]
    fn a_floor_needs_room() {
        let capacity = "capacity = { at_most = 9, per = \"practice\" }\n";
        let fault = faults(&format!("{capacity}floor = {{ by = \"deprivation_fifth\", at_least = 2 }}"));
        let expected = "cohorts/a.toml:11: cohort \"a\": floor: five groups of 2 have no room in a capacity of 9";
        assert_eq!(fault, expected);
        assert!(faults("floor = { by = \"x\", at_least = 2 }").contains("a list without capacity"));
        assert!(faults(&format!("{capacity}floor = {{ by = \"x\", share = 0.21 }}")).contains("at most 0.2"));
    }

    #[test]
    fn two_exclusions_of_one_name_are_refused_and_every_fault_is_told() {
        let again = "[[cohort.exclusion]]\nname = \"x\"\nreason = \"r\"\nwhere = \"true\"\n";
        let fault = faults(&format!("history = {{ model = \"cpm\", every = \"month\", back = 0 }}\n{again}{again}"));
        assert_eq!(fault.lines().count(), 2, "{fault}");
        assert!(fault.contains("back is from 1 to 24 months") && fault.contains("two are named \"x\""), "{fault}");
    }
}
