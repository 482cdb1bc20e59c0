//! What became of the rows of a source: every row is used, or counted under the rule that dropped it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// Why a row was not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// No model asks about it.
    NotAskedFor,
    /// The layout does not take rows of this kind.
    NotOfThisKind,
    /// The person is not on the register.
    NotOnRegister,
    /// The person has opted out.
    OptedOut,
    /// On or after the last as-of date.
    AfterLastAsOf,
    /// An episode that was unfinished when its year closed; the finished one is in a later file.
    UnfinishedEpisode,
    /// Another copy of the row was used.
    Duplicate,
    NoPerson,
    NoDate,
    BadDate,
    EndsBeforeItStarts,
    /// A coded column holds a value that its layout does not know.
    UnknownCode,
    NoProvider,
    NoPractice,
}

impl Rule {
    /// Whether the row breaks a rule of the data, and so goes to `rejects/`.
    pub fn is_reject(self) -> bool {
        matches!(
            self,
            Rule::NoPerson
                | Rule::NoDate
                | Rule::BadDate
                | Rule::EndsBeforeItStarts
                | Rule::UnknownCode
                | Rule::NoProvider
                | Rule::NoPractice
        )
    }

    pub fn name(self) -> &'static str {
        match self {
            Rule::NotAskedFor => "not_asked_for",
            Rule::NotOfThisKind => "not_of_this_kind",
            Rule::NotOnRegister => "not_on_register",
            Rule::OptedOut => "opted_out",
            Rule::AfterLastAsOf => "after_last_as_of",
            Rule::UnfinishedEpisode => "unfinished_episode",
            Rule::Duplicate => "duplicate",
            Rule::NoPerson => "no_person",
            Rule::NoDate => "no_date",
            Rule::BadDate => "bad_date",
            Rule::EndsBeforeItStarts => "ends_before_it_starts",
            Rule::UnknownCode => "unknown_code",
            Rule::NoProvider => "no_provider",
            Rule::NoPractice => "no_practice",
        }
    }

    /// What the rule asks of a row, in words, for reports.
    pub fn meaning(self) -> &'static str {
        match self {
            Rule::NotAskedFor => "no model asks about the row",
            Rule::NotOfThisKind => "the layout does not take rows of this kind",
            Rule::NotOnRegister => "the person is not on the register",
            Rule::OptedOut => "the person has opted out",
            Rule::AfterLastAsOf => "on or after the last as-of date",
            Rule::UnfinishedEpisode => "unfinished episode; the finished one is in a later file",
            Rule::Duplicate => "another copy of the row was used",
            Rule::NoPerson => "no pseudonym",
            Rule::NoDate => "no date",
            Rule::BadDate => "not a date; written as 2016-04-01, 20160401 or 01/04/2016",
            Rule::EndsBeforeItStarts => "ends before it starts",
            Rule::UnknownCode => "a value that the layout does not know",
            Rule::NoProvider => "no provider",
            Rule::NoPractice => "no practice",
        }
    }
}

/// Where a reject stands: no value, only its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Reject {
    pub file: usize,
    pub row: u64,
    pub column: String,
    pub rule: Rule,
}

/// How many rejects of a source are listed, the first in file and row order.
pub const LISTED_REJECTS: usize = 10_000;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub rows: u64,
    pub used: u64,
    pub dropped: BTreeMap<Rule, u64>,
    /// Codes that do not have the form of their system, by field; their rows are kept without them.
    pub malformed: BTreeMap<String, u64>,
    /// Amounts that are not numbers; their rows are kept without them.
    pub bad_amounts: u64,
    pub rejects: BTreeSet<Reject>,
}

impl Counts {
    pub fn drop_row(&mut self, rule: Rule) {
        *self.dropped.entry(rule).or_default() += 1;
    }

    pub fn reject(&mut self, file: usize, row: u64, column: &str, rule: Rule) {
        self.drop_row(rule);
        self.rejects.insert(Reject { file, row, column: column.to_owned(), rule });
        if self.rejects.len() > LISTED_REJECTS {
            self.rejects.pop_last();
        }
    }

    pub fn rejected(&self) -> u64 {
        self.dropped.iter().filter(|(rule, _)| rule.is_reject()).map(|(_, count)| count).sum()
    }

    pub fn of(&self, rule: Rule) -> u64 {
        self.dropped.get(&rule).copied().unwrap_or(0)
    }

    /// Whether every row is accounted for.
    pub fn add_up(&self) -> bool {
        self.rows == self.used + self.dropped.values().sum::<u64>()
    }

    pub fn add(&mut self, other: Counts) {
        self.rows += other.rows;
        self.used += other.used;
        self.bad_amounts += other.bad_amounts;
        for (rule, count) in other.dropped {
            *self.dropped.entry(rule).or_default() += count;
        }
        for (field, count) in other.malformed {
            *self.malformed.entry(field).or_default() += count;
        }
        self.rejects.extend(other.rejects);
        while self.rejects.len() > LISTED_REJECTS {
            self.rejects.pop_last();
        }
    }
}
