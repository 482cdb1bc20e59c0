//! What became of the rows of a source: every row is used, or counted under the rule that dropped it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::person::Found;

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
    /// The person has opted out by a code in a GP record.
    OptedOutByCode,
    /// Its code is on the list of sensitive codes.
    Sensitive,
    /// The source may be used for aggregates only.
    PurposeOfSource,
    /// Further back than any model looks from the first as-of date.
    BeforeAnyWindow,
}

impl Rule {
    /// In the order in which they are declared.
    pub const ALL: [Rule; 18] = [
        Rule::NotAskedFor,
        Rule::NotOfThisKind,
        Rule::NotOnRegister,
        Rule::OptedOut,
        Rule::AfterLastAsOf,
        Rule::UnfinishedEpisode,
        Rule::Duplicate,
        Rule::NoPerson,
        Rule::NoDate,
        Rule::BadDate,
        Rule::EndsBeforeItStarts,
        Rule::UnknownCode,
        Rule::NoProvider,
        Rule::NoPractice,
        Rule::OptedOutByCode,
        Rule::Sensitive,
        Rule::PurposeOfSource,
        Rule::BeforeAnyWindow,
    ];

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
            Rule::OptedOutByCode => "opted_out_by_code",
            Rule::Sensitive => "sensitive",
            Rule::PurposeOfSource => "purpose_of_source",
            Rule::BeforeAnyWindow => "before_any_window",
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
            Rule::OptedOutByCode => "the person has opted out by a code in a GP record",
            Rule::Sensitive => "the code is on the list of sensitive codes",
            Rule::PurposeOfSource => "the source may be used for aggregates only",
            Rule::BeforeAnyWindow => "further back than any model looks for such a row from the first as-of date",
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
    /// Whose row it is, where that is known, so that it can be taken out again; never written anywhere.
    #[serde(skip)]
    pub(super) person: Option<u32>,
}

/// How many rejects of a source are listed, the first in file and row order.
pub const LISTED_REJECTS: usize = 10_000;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub rows: u64,
    pub used: u64,
    /// By rule, in the order of [`Rule::ALL`]: most rows of a GP feed are counted here, one by one.
    pub(super) dropped: [u64; Rule::ALL.len()],
    /// Codes that do not have the form of their system, by field; their rows are kept without them.
    pub malformed: BTreeMap<String, u64>,
    /// Numbers that their dictionary lacks, by field; their rows are kept without a code.
    pub not_in_dictionary: BTreeMap<String, u64>,
    /// Numbers that their dictionary has no code of the field's system for, by field; their rows are kept without a code.
    pub of_another_system: BTreeMap<String, u64>,
    /// Codes on the list of sensitive codes, in rows that say more than the one code and are kept without it.
    pub sensitive_codes: u64,
    /// Values that were not recorded and are taken as the layout's default, by name.
    pub defaulted: BTreeMap<String, u64>,
    /// What is worth knowing of rows that are used, by name.
    pub noted: BTreeMap<&'static str, u64>,
    /// Amounts that are not numbers or cannot be worked out; their rows are kept without them.
    pub bad_amounts: u64,
    pub rejects: BTreeSet<Reject>,
}

impl Counts {
    #[inline]
    pub fn drop_row(&mut self, rule: Rule) {
        self.drop_rows(rule, 1);
    }

    #[inline]
    pub fn drop_rows(&mut self, rule: Rule, rows: u64) {
        self.dropped[rule as usize] += rows;
    }

    /// The rules that dropped rows, and how many.
    pub fn dropped(&self) -> impl Iterator<Item = (Rule, u64)> {
        Rule::ALL.into_iter().zip(self.dropped).filter(|(_, rows)| *rows > 0)
    }

    pub fn reject(&mut self, file: usize, row: u64, column: &str, rule: Rule) {
        self.reject_row_of(None, file, row, column, rule);
    }

    /// As [`Counts::reject`], of a row whose person is known.
    pub fn reject_row_of(&mut self, person: Option<u32>, file: usize, row: u64, column: &str, rule: Rule) {
        self.drop_row(rule);
        self.rejects.insert(Reject { file, row, column: column.to_owned(), rule, person });
        if self.rejects.len() > LISTED_REJECTS {
            self.rejects.pop_last();
        }
    }

    /// Takes out the rejects of these people, who are in order: their rows count under the rule. Of a source with more
    /// than [`LISTED_REJECTS`] rejects those that are not listed stay where they are counted.
    pub fn leave_out_rejects(&mut self, people: &[u32], rule: Rule) {
        let is_out = |reject: &Reject| reject.person.is_some_and(|person| people.binary_search(&person).is_ok());
        let out: Vec<Reject> = self.rejects.extract_if(.., is_out).collect();
        for reject in out {
            self.dropped[reject.rule as usize] -= 1;
            self.drop_row(rule);
        }
    }

    /// Says whose the rejects are, by file and row, where that was not known when they were met; those of people who opted
    /// out are counted under the rule and no longer listed.
    pub fn name_rejects(&mut self, people: &BTreeMap<(usize, u64), Found>, rule: Rule) {
        for mut reject in std::mem::take(&mut self.rejects) {
            match people.get(&(reject.file, reject.row)) {
                Some(Found::OptedOut) => {
                    self.dropped[reject.rule as usize] -= 1;
                    self.drop_row(rule);
                    continue;
                }
                Some(Found::Person(person)) => reject.person = Some(*person),
                Some(Found::Unknown) | None => {}
            }
            self.rejects.insert(reject);
        }
    }

    /// Counts codes of a field that their rows are kept without: malformed ones, and those that their dictionary lacks.
    pub fn leave_out(&mut self, field: &str, malformed: u64, not_in_dictionary: u64) {
        for (counted, count) in [(&mut self.malformed, malformed), (&mut self.not_in_dictionary, not_in_dictionary)] {
            if count > 0 {
                *counted.entry(field.to_owned()).or_default() += count;
            }
        }
    }

    /// Adds to what is worth knowing of rows that are used.
    #[inline]
    pub fn note(&mut self, what: &'static str, count: u64) {
        if count > 0 {
            *self.noted.entry(what).or_default() += count;
        }
    }

    pub fn rejected(&self) -> u64 {
        self.dropped().filter(|(rule, _)| rule.is_reject()).map(|(_, rows)| rows).sum()
    }

    pub fn of(&self, rule: Rule) -> u64 {
        self.dropped[rule as usize]
    }

    /// Whether every row is accounted for.
    pub fn add_up(&self) -> bool {
        self.rows == self.used + self.dropped.iter().sum::<u64>()
    }

    pub fn add(&mut self, other: Counts) {
        self.rows += other.rows;
        self.used += other.used;
        self.bad_amounts += other.bad_amounts;
        self.sensitive_codes += other.sensitive_codes;
        self.dropped.iter_mut().zip(other.dropped).for_each(|(rows, more)| *rows += more);
        for (name, count) in other.defaulted {
            *self.defaulted.entry(name).or_default() += count;
        }
        for (what, count) in other.noted {
            self.note(what, count);
        }
        for (field, count) in other.not_in_dictionary {
            *self.not_in_dictionary.entry(field).or_default() += count;
        }
        for (field, count) in other.of_another_system {
            *self.of_another_system.entry(field).or_default() += count;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_stand_in_the_order_in_which_they_are_declared() {
        for (place, rule) in Rule::ALL.into_iter().enumerate() {
            assert_eq!(rule as usize, place, "{}", rule.name());
        }
    }

    #[test]
    fn every_row_is_used_or_counted_once() {
        let mut counts = Counts { rows: 3, used: 1, ..Counts::default() };
        counts.reject(0, 7, "x", Rule::BadDate);
        assert!(!counts.add_up());
        counts.drop_row(Rule::OptedOut);
        assert!(counts.add_up());
        assert_eq!((counts.rejected(), counts.of(Rule::OptedOut)), (1, 1));
    }
}
