//! Cohorts of one as-of day: everybody in their place, the lists, and who left the last ones.

use std::borrow::Cow;
use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use rayon::prelude::*;

use super::last::{LastLists, cohort_file, parts_in_words, parts_of};
use super::parts::OfModel;
use super::write::{AtDate, sha256_of};
use crate::cohort::change::{Covered, Left, Now, Then, held_since, left, moved};
use crate::cohort::columns::{Published, PublishedColumn, Source, Values};
use crate::cohort::decisions::{Audit, Decision, in_force};
use crate::cohort::place::{Counts, Known, place};
use crate::cohort::{Cohort, Place, Placed};
use crate::ingest::Slices;
use crate::measure::OnSpine;
use crate::measure::evaluate::{Evaluator, Scratch};
use crate::model::{Kind, Model};
use crate::number::Nano;
use crate::output::OutputFile;
use crate::output::lists::{
    Cells, Glimpse, IndexLine, ListColumn, NOT_KNOWN, Part, Shown, Table, file_name, index, parts,
};
use crate::output::manifest::{CapacityLine, ChangeLine, CohortLine};
use crate::output::tables::{analysis, reasons_in_words};
use crate::output::workbook::{ReadMe, workbook};
use crate::person::{Found, Standing, WordColumn, key_of};
use crate::score::sum_of;
use crate::settings::{ListFormat, PRACTICE};

/// Rows of a list that a reader is shown.
const GLIMPSE_ROWS: usize = 5;

/// What the cohorts of one as-of day came to.
#[derive(Default)]
pub(super) struct Lists {
    pub files: Vec<OutputFile>,
    pub lines: Vec<CohortLine>,
    pub first: Option<Glimpse>,
    pub index: Vec<IndexLine>,
}

impl AtDate<'_> {
    /// The lists of every cohort; each adds to the published columns who is on it, for the cohorts after it.
    pub(super) fn lists(&self, mut published: Published) -> Result<Lists> {
        let mut lists = Lists::default();
        if self.prepared.cohorts.is_empty() {
            return Ok(lists);
        }
        for cohort in &self.prepared.cohorts {
            let mut list = OneList::new(self, cohort, &published)?;
            list.place()?;
            list.take_apart()?;
            list.write(&mut lists)?;
            let on_list = |place: &Place| Some(i64::from(*place == Place::OnList));
            let places = list.placed.places.iter().map(on_list).collect();
            published.columns.push(PublishedColumn::given(cohort.on_column(), Values::Whole(places)));
        }
        lists.files.push(OutputFile::new("lists/index.csv", index(&lists.index)?));
        Ok(lists)
    }
}

/// What a file of [`IndexLine::what`] holds.
const LIST: &str = "list";
const LEFT: &str = "left";
/// Where the practice stands among a list's columns.
const PRACTICE_COLUMN: usize = 2;

/// A file that is to be made.
struct Wanted<'a> {
    table: &'a Table<'a>,
    what: &'static str,
    view: &'a str,
    part: &'a Part,
    format: ListFormat,
}

/// One cohort on the way from the published columns to its files.
struct OneList<'a, 'p> {
    at: &'a AtDate<'a>,
    cohort: &'a Cohort,
    published: &'a Published<'p>,
    model: &'a Model,
    number: usize,
    /// How people stood then; `None` where there is no list to compare with.
    then: Option<Vec<Then>>,
    /// By row of the published columns: the place in `then`.
    then_of_row: BTreeMap<u32, usize>,
    /// By practice.
    covered: Vec<Covered>,
    decided: BTreeMap<u32, &'a Decision>,
    audit: Audit,
    /// Since when a stopped feed has kept people on the list, by row.
    held: BTreeMap<u32, crate::day::Day>,
    placed: Placed,
    /// The parts of each score and what moved in it, by place in the list and then below it.
    parts: Vec<(String, String)>,
}

impl<'a, 'p> OneList<'a, 'p> {
    fn new(at: &'a AtDate<'a>, cohort: &'a Cohort, published: &'a Published<'p>) -> Result<OneList<'a, 'p>> {
        let models = &at.prepared.models;
        let number = models.iter().position(|model| model.id == cohort.model).expect("the cohort's model was checked");
        let then = at.last.map(|last| last.list(&cohort.id)).transpose()?.flatten();
        let spine = &at.loaded.people.spine;
        let row_of = |person: u32| published.people.binary_search(&person).ok().map(|row| row as u32);
        let mut then_of_row = BTreeMap::new();
        for (place, then) in then.iter().flatten().enumerate() {
            if let Found::Person(person) = spine.find(key_of(then.person.as_bytes()))
                && let Some(row) = row_of(person)
            {
                then_of_row.insert(row, place);
            }
        }
        let is_registered = |person| row_of(person).is_some();
        let as_of = at.scored.scores.as_of;
        let (decided, audit) = in_force(&at.prepared.decisions, &cohort.id, as_of, spine, is_registered);
        let decided = decided.into_iter().filter_map(|(person, decision)| Some((row_of(person)?, decision))).collect();
        Ok(OneList {
            at,
            cohort,
            published,
            model: &models[number],
            number,
            then,
            then_of_row,
            covered: at.covered(cohort),
            decided,
            audit,
            held: BTreeMap::new(),
            placed: Placed::default(),
            parts: Vec::new(),
        })
    }

    fn then(&self, row: u32) -> Option<&Then> {
        self.then_of_row.get(&row).map(|&place| &self.then.as_ref().expect("there is a list of then")[place])
    }

    fn practice(&self, row: u32) -> &'a str {
        self.published.column("practice").and_then(|values| values.text(row as usize)).unwrap_or_default()
    }

    fn covered_now(&self, row: u32) -> Covered {
        match self.at.scored.scores.standings[self.published.people[row as usize] as usize] {
            Standing::Registered { practice, .. } => self.covered[practice as usize],
            _ => Covered::default(),
        }
    }

    fn place(&mut self) -> Result<()> {
        let as_of = self.at.scored.scores.as_of;
        let rows = self.published.people.len();
        let mut known = Known { was_on: vec![false; rows], feed_stopped: vec![false; rows], decided: vec![None; rows] };
        let mut held = BTreeMap::new();
        for &row in self.then_of_row.keys() {
            let then = self.then(row).expect("it is of this row");
            known.was_on[row as usize] = then.was_on;
            let since = held_since(self.cohort, then, self.practice(row), self.covered_now(row), as_of);
            known.feed_stopped[row as usize] = since.is_some();
            held.extend(since.map(|since| (row, since)));
        }
        for (&row, decision) in &self.decided {
            known.decided[row as usize] = Some(decision.is_in);
        }
        let table = self.published.table(|name| self.cohort.mentions(name))?;
        self.placed = place(self.cohort, self.published, self.cohort.judge(&table)?, &known)?;
        self.held = held;
        Ok(())
    }

    /// Works out the parts of each score on the list or below it, and what moved since then.
    ///
    /// # Errors
    /// Timelines on disk that cannot be read.
    fn take_apart(&mut self) -> Result<()> {
        let OfModel { plan, operations } = self.at.parts.of(self.number);
        let evaluator = Evaluator::new(plan, operations);
        let rows: Vec<u32> = self.placed.list.iter().chain(&self.placed.below).copied().collect();
        let slices = self.at.loaded.linked.slices_of(rows.iter().map(|&row| self.published.people[row as usize]))?;
        let room = || (evaluator.scratch(), vec![Nano::ZERO; self.model.terms.len()]);
        let parts = rows.par_iter().map_init(room, |(scratch, contributions), &row| {
            if !self.contributions(row, &evaluator, &slices, scratch, contributions) {
                return (String::new(), String::new());
            }
            let moved = self.then(row).map(|then| {
                let parts_then = parts_of(&then.parts).map(|part| part.expect("they were read before"));
                moved(self.model, parts_then, contributions)
            });
            let named = self.model.terms.iter().map(|term| term.name.as_str()).zip(contributions.iter().copied());
            (parts_in_words(named), moved.unwrap_or_default())
        });
        self.parts = parts.collect();
        Ok(())
    }

    /// Fills the parts of a person's score; returns whether there is one.
    fn contributions(
        &self,
        row: u32,
        evaluator: &Evaluator,
        slices: &Slices,
        scratch: &mut Scratch,
        into: &mut [Nano],
    ) -> bool {
        let person = self.published.people[row as usize];
        let scores = &self.at.scored.scores;
        if scores.models[self.number].linear_predictors[person as usize].reason().is_some() {
            return false;
        }
        let attributes = OnSpine { spine: &self.at.loaded.people.spine, person };
        let anchors = self.at.anchors.of(person);
        evaluator.evaluate_anchored(slices.of(person), anchors, &attributes, scores.as_of, scratch);
        let terms = &evaluator.plan.models[0].terms;
        sum_of(self.model, 0..self.model.terms.len(), |place| scratch.values[terms[place]], into).is_ok()
    }

    fn write(&self, lists: &mut Lists) -> Result<()> {
        let table = self.table();
        let practices = parts(self.published, PRACTICE, &self.placed.list);
        let settings = &self.at.prepared.settings.lists;
        let mut wanted: Vec<Wanted> = Vec::new();
        let by_view = settings.views.iter().map(|view| (view.as_str(), parts(self.published, view, &self.placed.list)));
        let by_view: Vec<(&str, Vec<Part>)> = by_view.collect();
        for (view, parts) in
            std::iter::once((PRACTICE, &practices)).chain(by_view.iter().map(|(view, parts)| (*view, parts)))
        {
            for &format in &settings.formats {
                wanted.extend(parts.iter().map(|part| Wanted { table: &table, what: LIST, view, part, format }));
            }
        }
        let left = self.left();
        let (left_table, left_parts) = self.left_table(&left);
        let of_left = |part| Wanted { table: &left_table, what: LEFT, view: PRACTICE, part, format: ListFormat::Csv };
        wanted.extend(left_parts.iter().map(of_left));
        let written: Result<Vec<(OutputFile, IndexLine)>> = wanted.par_iter().map(|wanted| self.file(wanted)).collect();
        for (file, line) in written? {
            lists.files.push(file);
            lists.index.push(line);
        }
        lists.files.push(self.standing_file()?);
        let first = practices.first().map(|part| table.glimpse(part, GLIMPSE_ROWS));
        lists.first = lists.first.take().or(first);
        lists.lines.push(self.line(&left, practices.len()));
        Ok(())
    }

    /// One file, encrypted where there are keys, and its line in the index.
    fn file(&self, wanted: &Wanted) -> Result<(OutputFile, IndexLine)> {
        let Wanted { table, what, view, part, format } = *wanted;
        let shown = if view == PRACTICE { Shown::Practice } else { Shown::View };
        let as_of = self.at.scored.scores.as_of;
        let (bytes, kind) = match format {
            ListFormat::Csv => (table.csv(part, shown, self.at.prepared.settings.lists.byte_order_mark)?, "csv"),
            ListFormat::Xlsx => (workbook(table, part, shown, as_of, &self.read_me(view, part))?, "xlsx"),
        };
        let folder = match (what, view) {
            (LEFT, _) => "left/".to_owned(),
            (_, PRACTICE) => String::new(),
            (_, view) => format!("by_{view}/"),
        };
        let mut path = format!("lists/{}/{folder}{}.{kind}", self.cohort.id, file_name(&part.name));
        let sha256 = sha256_of(&bytes);
        let recipients = &self.at.prepared.recipients;
        let key = recipients.of(view, &part.name);
        ensure!(
            key.is_some() || recipients.is_empty(),
            "there is no key for a list by {view}, which was checked before"
        );
        let (bytes, is_encrypted) = match key {
            Some(key) => (age::encrypt(key, &bytes)?, true),
            None => (bytes, false),
        };
        path.push_str(if is_encrypted { ".age" } else { "" });
        let line = IndexLine {
            cohort: self.cohort.id.clone(),
            what,
            by: view.to_owned(),
            name: part.name.clone(),
            file: path.clone(),
            rows: part.places.len() as u64,
            sha256,
            encrypted_to: key.map_or(String::new(), ToString::to_string),
        };
        Ok((OutputFile { path, bytes, is_encrypted }, line))
    }

    /// What a workbook says about itself.
    fn read_me(&self, view: &str, part: &Part) -> ReadMe {
        let Cohort { title, purpose, source, .. } = self.cohort;
        let as_of = self.at.scored.scores.as_of;
        let line = |what: &str, words: String| (what.to_owned(), words);
        let mut lines = vec![
            line("List", format!("{title} ({})", self.cohort.id)),
            line("For", format!("{view} {}", if part.name.is_empty() { NOT_KNOWN } else { &part.name })),
            line("As of", format!("{as_of}: what happened on that day or later is not known here")),
            line("People", part.places.len().to_string()),
            line("What for", purpose.clone()),
            line("Who is on it", format!("registered people for whom this holds: {}", self.cohort.condition)),
        ];
        lines.extend(self.cohort.exclusions.iter().map(|exclusion| line("Left out", exclusion.reason.clone())));
        lines.extend(self.cohort.capacity.as_ref().map(|capacity| line("Room", capacity.in_words())));
        lines.push(line("Order", self.cohort.order_by.join(", ")));
        lines.push(line(
            "Score",
            format!("{}, version {} ({})", self.model.title, self.model.version, self.model.source.citation),
        ));
        lines.push(line("Coverage", self.coverage_in_words(part)));
        lines.push(line("Rule from", source.clone()));
        lines.extend(self.cohort.assumed.iter().map(|assumed| line("Assumed", assumed.clone())));
        let change = match self.then.as_ref().zip(self.at.last) {
            Some((_, last)) => {
                format!("change, moved, order_then and score_then are against the list as of {}", last.as_of)
            }
            None => "there is no earlier list to compare with".to_owned(),
        };
        lines.push(line("Change", change));
        lines.push(line(
            "Take care",
            "A score ranks people; it is no diagnosis, and somebody who is not on the list may need care as much. Reasons \
             are the terms that raise the score the most, not causes. Pseudonyms are turned into people by the practice alone."
                .to_owned(),
        ));
        lines
    }

    /// How much of the score the people's feeds could have told.
    fn coverage_in_words(&self, part: &Part) -> String {
        let standings = &self.at.scored.scores.standings;
        let unavailable = part.places.iter().filter_map(|&place| {
            let person = self.published.people[self.placed.list[place as usize] as usize];
            match standings[person as usize] {
                Standing::Registered { practice, .. } => {
                    Some(self.at.scored.availability.unavailable(self.number, practice))
                }
                _ => None,
            }
        });
        let most = unavailable.max().unwrap_or(0);
        let terms = self.model.terms.len();
        match most {
            0 => format!("the feeds cover all {terms} terms of the score"),
            _ => format!(
                "up to {most} of the {terms} terms of the score are covered by no feed; fidelity says how far: A all, B up to 1 in 10 not, C up to 4 in 10, D more"
            ),
        }
    }

    fn table<'t>(&'t self) -> Table<'t> {
        let Placed { list, derived, .. } = &self.placed;
        let own = |name: &str| derived.iter().find(|column| column.name == name).map(|own| own.values.picked(list));
        let mut columns = vec![ListColumn::new("order", Cells::Order)];
        let mut add = |header: &str, name: &str| {
            let values = own(name).or_else(|| self.published.of_rows(name, list));
            let cells = values.map_or(Cells::Texts(vec![Cow::Borrowed(""); list.len()]), Cells::Values);
            columns.push(ListColumn::new(header, cells));
        };
        add("person", "person");
        add(PRACTICE, PRACTICE);
        add("score", &self.model.id);
        add("band", &format!("{}_band", self.model.id));
        add("fidelity", &format!("{}_fidelity", self.model.id));
        self.cohort.columns.iter().for_each(|name| add(name, name));
        let mut text = |name: &str, cell: &dyn Fn(usize, u32) -> Cow<'t, str>| {
            let cells = Cells::Texts(list.iter().enumerate().map(|(place, &row)| cell(place, row)).collect());
            columns.push(ListColumn::new(name, cells));
        };
        text("reasons", &|_, row| {
            let person = self.published.people[row as usize];
            reasons_in_words(self.model, &self.at.scored.scores, self.number, person).unwrap_or_default().into()
        });
        text("change", &|_, row| self.change(row));
        text("moved", &|place, _| self.parts[place].1.as_str().into());
        if !self.at.prepared.decisions.is_empty() {
            text("decision", &|_, row| {
                self.decided.get(&row).map_or(String::new(), |decision| decision.in_words()).into()
            });
        }
        let was_on = |&row: &u32| self.then(row).filter(|then| then.was_on);
        let orders = list.iter().map(|row| was_on(row)?.order).collect();
        let scores = list.iter().map(|row| self.then(*row)?.score).collect();
        columns.push(ListColumn::new("order_then", Cells::Values(Values::Whole(orders))));
        columns.push(ListColumn::new("score_then", Cells::Values(Values::Decimal(scores))));
        columns[PRACTICE_COLUMN].only_in_views = true;
        Table { columns }
    }

    /// What changed for a person on the list, in words.
    fn change(&self, row: u32) -> Cow<'a, str> {
        if self.then.is_none() {
            return "first list".into();
        }
        match self.then(row).filter(|then| then.was_on) {
            None => "joined".into(),
            Some(then) if then.practice != self.practice(row) => "joined: was with another practice".into(),
            Some(_) => match self.held.get(&row) {
                Some(since) => format!("stayed: a feed stopped, seen {since}").into(),
                None => "stayed".into(),
            },
        }
    }

    /// Who was on the last list of a practice and is not on this one, in the last list's order.
    fn left(&self) -> Vec<(&Then, Left)> {
        let spine = &self.at.loaded.people.spine;
        let now = |then: &Then| match spine.find(key_of(then.person.as_bytes())) {
            Found::OptedOut => Now::OptedOut,
            Found::Unknown => Now::NotOnRegister,
            Found::Person(person) => match self.published.people.binary_search(&person) {
                Err(_) => Now::Gone(self.at.scored.scores.standings[person as usize]),
                Ok(row) => Now::Here {
                    place: self.placed.places[row],
                    same_practice: then.practice == self.practice(row as u32),
                    feeds_shrank: self.covered_now(row as u32).shrank_since(then.covered),
                },
            },
        };
        let was_on = self.then.iter().flatten().filter(|then| then.was_on);
        let mut left: Vec<(&Then, Left)> = was_on.filter_map(|then| Some((then, left(now(then))?))).collect();
        left.sort_by(|one, two| one.0.order.cmp(&two.0.order).then(one.0.person.cmp(&two.0.person)));
        left
    }

    /// Who left: of somebody who opted out nothing but the pseudonym and the reason.
    fn left_table(&self, left: &[(&Then, Left)]) -> (Table<'static>, Vec<Part>) {
        let mut by_practice: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for (place, (then, _)) in left.iter().enumerate() {
            by_practice.entry(&then.practice).or_default().push(place as u32);
        }
        let shown = |left: &(&Then, Left)| left.1 != Left::OptedOut;
        let text = |name: &str, cell: &dyn Fn(&(&Then, Left)) -> String| {
            ListColumn::new(name, Cells::Texts(left.iter().map(|left| Cow::from(cell(left))).collect()))
        };
        let orders = left.iter().map(|left| left.0.order.filter(|_| shown(left))).collect();
        let scores = left.iter().map(|left| left.0.score.filter(|_| shown(left))).collect();
        let columns = vec![
            text("person", &|(then, _)| then.person.clone()),
            text("reason", &|(_, why)| why.told(self.cohort).0.to_owned()),
            text("in_words", &|(_, why)| why.told(self.cohort).1.to_owned()),
            text("decision", &|(then, why)| self.decision_out(then, why)),
            text("joined", &|left| left.0.joined.filter(|_| shown(left)).map_or(String::new(), |day| day.to_string())),
            ListColumn::new("order_then", Cells::Values(Values::Whole(orders))),
            ListColumn::new("score_then", Cells::Values(Values::Decimal(scores))),
        ];
        let parts = by_practice.into_iter().map(|(practice, places)| Part { name: practice.to_owned(), places });
        (Table { columns }, parts.collect())
    }

    fn decision_out(&self, then: &Then, why: &Left) -> String {
        let spine = &self.at.loaded.people.spine;
        let Found::Person(person) = spine.find(key_of(then.person.as_bytes())) else { return String::new() };
        let row = self.published.people.binary_search(&person).ok();
        let decision = row.and_then(|row| self.decided.get(&(row as u32))).filter(|_| *why == Left::DecidedOut);
        decision.map_or(String::new(), |decision| decision.in_words())
    }

    /// `cohorts/<id>.parquet`: everybody whom the rule holds for and where they ended, with what the next run's lists
    /// are compared by.
    fn standing_file(&self) -> Result<OutputFile> {
        let Placed { places, list, below, .. } = &self.placed;
        let of_cohort = |(_, place): &(usize, &Place)| **place != Place::NotInCohort;
        let rows: Vec<u32> = places.iter().enumerate().filter(of_cohort).map(|(row, _)| row as u32).collect();
        let ordered: BTreeMap<u32, usize> = list.iter().chain(below).copied().zip(0..).collect();
        let texts = |name: &str, text: &dyn Fn(u32) -> Option<String>| {
            PublishedColumn::given(name, Values::Text(rows.iter().map(|&row| text(row)).collect()))
        };
        let words = |name: &str, word: &dyn Fn(u32) -> Option<&'a str>| {
            PublishedColumn::given(name, Values::Words(WordColumn::new(rows.iter().map(|&row| word(row)))))
        };
        let whole = |name: &str, number: &dyn Fn(u32) -> Option<i64>| {
            PublishedColumn::given(name, Values::Whole(rows.iter().map(|&row| number(row)).collect()))
        };
        let scores = self.published.of_rows(&self.model.id, &rows).expect("a list is of a scored model");
        let exclusion = |row: u32| match places[row as usize] {
            Place::Excluded(number) => Some(self.cohort.exclusions[usize::from(number)].name.as_str()),
            _ => None,
        };
        // What a stopped feed holds is measured by what its feeds covered before they stopped.
        let covered = |row: u32| match (self.held.get(&row), self.then(row)) {
            (Some(_), Some(then)) => then.covered,
            _ => self.covered_now(row),
        };
        let joined = |row: u32| {
            (places[row as usize] == Place::OnList).then(|| {
                let then = self.then(row).filter(|then| then.was_on && then.practice == self.practice(row));
                then.and_then(|then| then.joined).unwrap_or(self.at.scored.scores.as_of).to_string()
            })
        };
        let parts = |line: u32| Some(ordered.get(&rows[line as usize]).map_or("", |&place| &*self.parts[place].0));
        let columns = [
            PublishedColumn::given(
                "person",
                self.published.of_rows("person", &rows).expect("everybody has a pseudonym"),
            ),
            words("practice", &|row| Some(self.practice(row))),
            words("place", &|row| Some(places[row as usize].name())),
            words("exclusion", &exclusion),
            whole("order", &|row| ordered.get(&row).map(|&place| place as i64 + 1)),
            PublishedColumn::given("score", scores),
            whole("terms_asked", &|row| Some(covered(row).asked)),
            whole("terms_unavailable", &|row| Some(covered(row).unavailable)),
            texts("held_since", &|row| self.held.get(&row).map(|day| day.to_string())),
            texts("joined", &joined),
            PublishedColumn::new("parts", Source::Text(Box::new(parts))),
        ];
        analysis(cohort_file(&self.cohort.id), &columns, rows.len(), self.at.desks)
    }

    fn line(&self, left: &[(&Then, Left)], lists: usize) -> CohortLine {
        let Counts { on_list, excluded, decided_out, below_capacity, not_in_cohort } =
            self.placed.counts(self.cohort.exclusions.len());
        let registered = self.placed.places.len() as u64;
        let parts = on_list + excluded.iter().sum::<u64>() + decided_out + below_capacity + not_in_cohort;
        assert!(parts == registered, "everybody who is registered is in one place of cohort {}", self.cohort.id);
        let names = self.cohort.exclusions.iter().map(|exclusion| exclusion.name.clone());
        let teams = &self.placed.teams;
        let capacity = self.cohort.capacity.as_ref().map(|_| CapacityLine {
            teams: teams.len() as u64,
            places: teams.iter().map(|team| team.places).sum(),
            teams_cut: teams.iter().filter(|team| team.below > 0).count() as u64,
        });
        CohortLine {
            id: self.cohort.id.clone(),
            registered,
            on_list,
            excluded: names.zip(excluded).collect::<BTreeMap<String, u64>>(),
            decided_out,
            below_capacity,
            not_in_cohort,
            lists: lists as u64,
            capacity,
            change: self.then.as_ref().zip(self.at.last).map(|(then, last)| self.change_line(then, last, left)),
            decisions: self.audit.clone(),
        }
    }

    /// Joined, stayed and left; who was on the last list stayed or left.
    fn change_line(&self, then: &[Then], last: &LastLists, left: &[(&Then, Left)]) -> ChangeLine {
        let stayed =
            |row: &&u32| self.then(**row).is_some_and(|then| then.was_on && then.practice == self.practice(**row));
        let stayed = self.placed.list.iter().filter(stayed).count() as u64;
        let on_last_list = then.iter().filter(|then| then.was_on).count() as u64;
        assert!(
            stayed + left.len() as u64 == on_last_list,
            "everybody on the last list of cohort {} stayed or left",
            self.cohort.id
        );
        let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
        for (_, why) in left {
            *reasons.entry(why.told(self.cohort).0.to_owned()).or_default() += 1;
        }
        ChangeLine {
            since: last.as_of.to_string(),
            on_last_list,
            stayed,
            joined: self.placed.list.len() as u64 - stayed,
            held_by_a_stopped_feed: self.placed.list.iter().filter(|row| self.held.contains_key(row)).count() as u64,
            left: reasons,
        }
    }
}

impl AtDate<'_> {
    /// By practice: how many terms a cohort's rule may look at, and how many of them no feed could have told.
    fn covered(&self, cohort: &Cohort) -> Vec<Covered> {
        let models = self.prepared.models.iter().enumerate();
        let models: Vec<(usize, &Model)> =
            models.filter(|(_, model)| model.id == cohort.model || model.kind == Kind::Facts).collect();
        let of_practice = |practice: u32| Covered {
            asked: models.iter().map(|(_, model)| model.terms.len() as i64).sum(),
            unavailable: models
                .iter()
                .map(|(number, _)| i64::from(self.scored.availability.unavailable(*number, practice)))
                .sum(),
        };
        (0..self.loaded.people.spine.practices.len() as u32).map(of_practice).collect()
    }
}
