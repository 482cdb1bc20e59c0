//! Gates: what stops a run before anything is published.
//!
//! A gate holds a figure of the data (a share, a count, a number of days) against a limit. The table below is all of
//! them, each with its sensible limit; the settings file changes limits by the gates' names under `[limits]`, and for
//! one source under its own `limits`. A breach stops the run, says which gate, the figure and the limit, and leaves the
//! last published run as it was; somebody who knows better lets one gate through with a reason, which is written down.

use serde::{Deserialize, Serialize};

use crate::day::Day;
use crate::model::check::nearest;

/// What a gate is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Each source, the register and the other tables among them; its limit may differ by source.
    Source,
    /// The run as a whole, or its models.
    Run,
}

/// On which side of its limit a figure is in order; the limit itself always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Allows {
    AtMost,
    AtLeast,
}

macro_rules! gates {
    ($($(#[doc = $meaning:literal])+ $gate:ident $name:ident: $asked:ident $allows:ident $limit:literal, $to_do:literal;)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Gate {
            $($(#[doc = $meaning])+ $gate,)+
        }

        impl Gate {
            /// In the order of the table.
            pub const ALL: &[Gate] = &[$(Gate::$gate,)+];

            pub fn name(self) -> &'static str {
                match self {
                    $(Gate::$gate => stringify!($name),)+
                }
            }

            /// What its figure is, in words.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Gate::$gate => concat!($($meaning),+).trim_ascii(),)+
                }
            }

            /// What somebody whose run it stops can do.
            pub fn to_do(self) -> &'static str {
                match self {
                    $(Gate::$gate => $to_do,)+
                }
            }

            pub fn asked(self) -> Asked {
                match self {
                    $(Gate::$gate => Asked::$asked,)+
                }
            }

            pub fn allows(self) -> Allows {
                match self {
                    $(Gate::$gate => Allows::$allows,)+
                }
            }

            /// The limit where neither the settings nor the layout state one.
            pub fn usual_limit(self) -> f64 {
                match self {
                    $(Gate::$gate => $limit,)+
                }
            }
        }

        /// `[limits]`, of a run or of one source: limits by gate, and what is known to be so.
        #[derive(Debug, Clone, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct Limits {
            $($(#[doc = $meaning])+ pub $name: Option<f64>,)+
            /// Gates that compare a source with its past need this many rows to judge by; of few rows nothing follows.
            pub judged_from_rows: Option<u64>,
            /// A sender's month is judged where at least this many rows are usual.
            pub month_rows_from: Option<u64>,
            /// Months that are known to be missing or cut, as `source/sender/2015-03` with the first month of several
            /// and `*` for any part of a name; the sender `all` stands for the whole feed.
            pub expected_month_falls: Vec<String>,
            /// A term that is the same for everybody stops the run from this many scored people on; with fewer, a rare
            /// term may well be absent.
            pub dead_terms_from_people: Option<u64>,
            /// Terms that are known to be the same for everybody, as `model/term`, with `*` for any part of a name.
            pub expected_dead_terms: Vec<String>,
        }

        impl Limits {
            /// The limit that is stated for a gate.
            pub fn of(&self, gate: Gate) -> Option<f64> {
                match gate {
                    $(Gate::$gate => self.$name,)+
                }
            }
        }
    };
}

gates! {
    /// share of rows that break a rule
    RejectsShare rejects_share: Source AtMost 0.01,
        "the sender mends the feed, or the layout learns what the values mean";
    /// share of rows that belong to people who are not on the register
    NotOnRegisterShare not_on_register_share: Source AtMost 0.25,
        "compare the pseudonyms of feed and register: another key or another area looks like this";
    /// share of rows that are copies of another
    DuplicatesShare duplicates_share: Source AtMost 0.25,
        "look whether a file was sent twice under two names";
    /// share of rows whose code is not in the form of its coding system
    MalformedCodesShare malformed_codes_share: Source AtMost 0.05,
        "look for a spreadsheet on the way, which cuts codes, or for another coding system";
    /// share of rows whose number its code dictionary lacks
    CodesNotInDictionaryShare codes_not_in_dictionary_share: Source AtMost 0.05,
        "look whether the dictionary is that of this extract and its release";
    /// share of rows that models ask about whose amount is not a number
    BadAmountsShare bad_amounts_share: Source AtMost 0.05,
        "look for units or currency signs in the amount";
    /// rows that there are
    RowsAtLeast rows_at_least: Source AtLeast 1.0,
        "leave a source that is not there out of the settings";
    /// files of 16 KiB or more that are another file of the source byte for byte, where copies of rows are not told apart
    SameFiles same_files: Source AtMost 0.0,
        "take out the one that was sent twice";
    /// share by which rows fell against the last published run
    RowsFallShare rows_fall_share: Source AtMost 0.2,
        "a file is missing or was cut";
    /// share by which rows rose against the last published run
    RowsRiseShare rows_rise_share: Source AtMost 1.0,
        "look whether a file was sent twice under two names";
    /// share of rows that any model asks about
    AskedShare asked_share: Source AtLeast 0.0001,
        "the codes may be of another system than the layout says";
    /// share by which the share of rows that any model asks about fell against the last published run
    AskedFallShare asked_fall_share: Source AtMost 0.5,
        "the feed's codes or a code list have changed";
    /// days from the newest event to the last as-of day
    NewestEventDays newest_event_days: Source AtMost 100.0,
        "the feed is stale: ask its sender for a newer one";
    /// rows that a sender sent of a month, as a share of the median of the twelve months before
    MonthRowsShare month_rows_share: Source AtLeast 0.2,
        "ask the sender for the month; where it is known to be so, name it under limits.expected_month_falls";
    /// people on the register
    PeopleAtLeast people_at_least: Run AtLeast 1.0,
        "without people there is nobody to score";
    /// share of rows of the register whose birth cannot be: later than the registration, or more than 120 years ago
    BirthsThatCannotBeShare births_that_cannot_be_share: Run AtMost 0.02,
        "look for years of two figures, or for another column in the place of the birth";
    /// share by which people on the register fell against the last published run
    PeopleFallShare people_fall_share: Run AtMost 0.1,
        "the register is cut, or its area has changed";
    /// share of people on the register who opted out
    OptedOutShare opted_out_share: Run AtMost 0.25,
        "look whether the list of opt-outs is the one that was meant";
    /// by how much the share of events that repeat another of the same person, day and kind rose against the last
    /// published run
    RepeatsRiseShare repeats_rise_share: Run AtMost 0.1,
        "look whether rows were sent twice: two cuts of a feed that overlap look like this";
    /// share by which events that a code list finds fell against the last published run
    ListHitsFallShare list_hits_fall_share: Run AtMost 0.5,
        "the feed's codes or the list have changed";
    /// share by which people scored fell against the last published run
    ScoredFallShare scored_fall_share: Run AtMost 0.1,
        "see not_scored in the manifests of both runs";
    /// share of a look-up's codes that its table lacks
    LookUpMissesShare look_up_misses_share: Run AtMost 0.2,
        "the table is of other codes, or out of date";
    /// terms of a model that are the same for everybody
    DeadTerms dead_terms: Run AtMost 0.0,
        "a feed or a code list may be missing; where it is known to be so, name the term under limits.expected_dead_terms";
}

impl Gate {
    /// The gate of a name.
    ///
    /// # Errors
    /// The nearest name that there is, and all of them.
    pub fn parse(name: &str) -> Result<Gate, String> {
        let names = || Gate::ALL.iter().map(|gate| gate.name());
        Gate::ALL.iter().copied().find(|gate| gate.name() == name).ok_or_else(|| {
            let known: Vec<&str> = names().collect();
            format!("no gate \"{name}\"{}; known are {}", nearest(name, names()), known.join(", "))
        })
    }

    /// Whether a figure is in order.
    pub fn lets(self, figure: f64, limit: f64) -> bool {
        match self.allows() {
            Allows::AtMost => figure <= limit,
            Allows::AtLeast => figure >= limit,
        }
    }

    /// Figures that are parts of a whole.
    fn is_part(self) -> bool {
        self.name().ends_with("_share") && self != Gate::RowsRiseShare
    }
}

impl Serialize for Gate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Limits {
    const JUDGED_FROM_ROWS: u64 = 100;
    const MONTH_ROWS_FROM: u64 = 100;
    const DEAD_TERMS_FROM_PEOPLE: u64 = 10_000;

    pub fn judged_from_rows(&self) -> u64 {
        self.judged_from_rows.unwrap_or(Limits::JUDGED_FROM_ROWS)
    }

    pub fn dead_terms_from_people(&self) -> u64 {
        self.dead_terms_from_people.unwrap_or(Limits::DEAD_TERMS_FROM_PEOPLE)
    }

    pub fn month_rows_from(&self) -> u64 {
        self.month_rows_from.unwrap_or(Limits::MONTH_ROWS_FROM)
    }

    /// Whether a term is named among those that may be dead.
    pub fn expects_dead(&self, model: &str, term: &str) -> bool {
        is_named(&self.expected_dead_terms, &format!("{model}/{term}"))
    }

    /// Whether a fall is named among those that are known, by its source, sender and first month.
    pub fn expects_fall(&self, scope: &str) -> bool {
        is_named(&self.expected_month_falls, scope)
    }

    /// What is wrong with the limits of a run, or of one of its sources.
    pub fn problems(&self, of_source: bool) -> Vec<String> {
        let mut problems = Vec::new();
        for &gate in Gate::ALL {
            let Some(limit) = self.of(gate) else { continue };
            if gate.is_part() && !(0.0..=1.0).contains(&limit) {
                problems.push(format!("limits: {} is a share from 0 to 1", gate.name()));
            } else if !(limit.is_finite() && limit >= 0.0) {
                problems.push(format!("limits: {} is a number from 0", gate.name()));
            }
            if of_source && gate.asked() == Asked::Run {
                problems.push(format!("limits: {} is of the whole run; it stands under [limits]", gate.name()));
            }
        }
        let of_run = self.dead_terms_from_people.is_some()
            || !self.expected_dead_terms.is_empty()
            || !self.expected_month_falls.is_empty();
        if of_source && of_run {
            problems.push("limits: what is known of terms and months stands under [limits]".to_owned());
        }
        for pattern in &self.expected_month_falls {
            if glob::Pattern::new(pattern).is_err() || !pattern.contains('/') {
                problems.push(format!(
                    "limits: expected_month_falls are written source/sender/2015-03, with * for any part; \"{pattern}\" is not"
                ));
            }
        }
        for pattern in &self.expected_dead_terms {
            if glob::Pattern::new(pattern).is_err() || !pattern.contains('/') {
                problems.push(format!(
                    "limits: expected_dead_terms are written model/term, with * for any part; \"{pattern}\" is not"
                ));
            }
        }
        problems
    }
}

/// Whether one of these patterns is of a name.
fn is_named(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| glob::Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(name)))
}

/// Somebody's word that a gate may be breached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Allowance {
    pub gate: Gate,
    /// A source, a model, or whatever else the gate is asked of; all of them where absent.
    pub scope: Option<String>,
    pub because: String,
    /// The last as-of day that it is for, where it stands in the settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Day>,
}

/// An allowance as it stands in the settings, under `[[allow]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandingAllowance {
    /// `gate`, or `gate:scope`.
    pub gate: String,
    pub because: String,
    /// The last as-of day that it is for.
    pub until: Day,
}

impl StandingAllowance {
    /// # Errors
    /// As [`Allowance::parse`].
    pub fn allowance(&self) -> Result<Allowance, String> {
        let allowance = Allowance::parse(&self.gate, &self.because)
            .map_err(|fault| fault.replace(&format!("--allow {}: the reason after --because", self.gate), "because"))
            .map_err(|fault| format!("allow: \"{}\": {fault}", self.gate))?;
        Ok(Allowance { until: Some(self.until), ..allowance })
    }
}

impl Allowance {
    /// An allowance as it is typed: `gate`, or `gate:scope`.
    ///
    /// # Errors
    /// A gate that is not known; a reason that says nothing.
    pub fn parse(typed: &str, because: &str) -> Result<Allowance, String> {
        let (name, scope) = typed.split_once(':').map_or((typed, None), |(name, scope)| (name, Some(scope)));
        let gate = Gate::parse(name.trim())?;
        let because = because.trim();
        if because.is_empty() {
            return Err(format!("--allow {typed}: the reason after --because is empty"));
        }
        Ok(Allowance {
            gate,
            scope: scope.map(|scope| scope.trim().to_owned()),
            because: because.to_owned(),
            until: None,
        })
    }

    /// Whether a breach is meant: of the scope, or of a part of it.
    pub fn is_of(&self, gate: Gate, scope: &str) -> bool {
        let covers = |of: &str| scope.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.gate == gate && self.scope.as_deref().is_none_or(covers)
    }

    /// As it is typed.
    pub fn typed(&self) -> String {
        self.scope.as_ref().map_or(self.gate.name().to_owned(), |scope| format!("{}:{scope}", self.gate.name()))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Passed,
    Breached,
    /// Breached, and let through by an allowance.
    Allowed,
    /// Too few rows to judge by, or nothing to compare with.
    NotJudged,
}

/// One gate, asked of one source, code list, model or term.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    pub gate: Gate,
    /// What it was asked of, the larger part first: `gp_events`, `admissions/diagnosis`, `cpm/age`.
    pub scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figure: Option<f64>,
    pub limit: f64,
    pub allows: Allows,
    pub outcome: Outcome,
    /// Why it was not judged, or what the figure is made of.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub words: String,
}

impl Judged {
    /// A figure held against its limit.
    pub fn new(gate: Gate, scope: impl Into<String>, figure: f64, limit: f64, words: String) -> Judged {
        let outcome = if gate.lets(figure, limit) { Outcome::Passed } else { Outcome::Breached };
        Judged { gate, scope: scope.into(), figure: Some(figure), limit, allows: gate.allows(), outcome, words }
    }

    /// A gate that could not be asked.
    pub fn not(gate: Gate, scope: impl Into<String>, limit: f64, why: &str) -> Judged {
        let (allows, outcome) = (gate.allows(), Outcome::NotJudged);
        Judged { gate, scope: scope.into(), figure: None, limit, allows, outcome, words: why.to_owned() }
    }

    /// The line that a stopped run prints.
    pub fn breach_in_words(&self) -> String {
        let Judged { gate, words, limit, .. } = self;
        let (what, places) = words.split_once('\n').map_or((&words[..], ""), |(what, places)| (what, places));
        let line_end = if places.is_empty() { "" } else { "\n" };
        format!("{what}; limits.{} is {limit}: {}{line_end}{places}", gate.name(), gate.to_do())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_on_its_limit_is_in_order() {
        assert!(Gate::RejectsShare.lets(0.01, 0.01) && !Gate::RejectsShare.lets(0.010_001, 0.01));
        assert!(Gate::RowsAtLeast.lets(1.0, 1.0) && !Gate::RowsAtLeast.lets(0.0, 1.0));
    }

    #[test]
    fn a_misspelt_gate_is_met_with_the_nearest_name() {
        let fault = Gate::parse("rejects_shares").unwrap_err();
        assert!(
            fault.starts_with("no gate \"rejects_shares\"; did you mean \"rejects_share\"?; known are "),
            "{fault}"
        );
        assert!(Gate::ALL.iter().all(|gate| Gate::parse(gate.name()) == Ok(*gate)));
    }

    #[test]
    fn an_allowance_is_of_all_scopes_of_one_or_of_its_parts() {
        let of = |typed: &str, scope: &str| Allowance::parse(typed, "known").unwrap().is_of(Gate::DeadTerms, scope);
        assert!(of("dead_terms", "cpm/age") && of("dead_terms:cpm", "cpm/age") && of("dead_terms: cpm/age", "cpm/age"));
        assert!(!of("dead_terms:cp", "cpm/age") && !of("dead_terms:cpm/age", "cpm") && !of("rejects_share", "cpm/age"));
        assert!(Allowance::parse("dead_terms", " ").unwrap_err().contains("the reason after --because is empty"));
    }

    #[test]
    fn limits_that_make_no_sense_are_named() {
        let limits = Limits {
            rejects_share: Some(5.0),
            rows_rise_share: Some(f64::NAN),
            people_fall_share: Some(0.5),
            ..Limits::default()
        };
        let expected = ["limits: rejects_share is a share from 0 to 1", "limits: rows_rise_share is a number from 0"];
        assert_eq!(limits.problems(false), expected);
        let of_source = limits.problems(true);
        assert_eq!(of_source[2], "limits: people_fall_share is of the whole run; it stands under [limits]");
    }

    #[test]
    fn the_usual_limits_are_limits() {
        for gate in Gate::ALL {
            assert!(gate.usual_limit() >= 0.0 && (!gate.is_part() || gate.usual_limit() <= 1.0), "{}", gate.name());
            assert!(!gate.meaning().is_empty() && !gate.to_do().is_empty());
        }
    }
}
