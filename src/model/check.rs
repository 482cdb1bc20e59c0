//! From a model file to a [`Model`], or to every problem in it.
//!
//! A model is refused whole: a file with one fault is not half used. Each problem says where, what was found and what
//! is allowed, in file order.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;

use super::library::{Library, Table};
use super::spec::{self, Days, ModelFile};
use super::*;
use crate::code::CodeList;
use crate::event::{AmountKind, FieldKind, Stream, Streams};

/// The model that a file holds.
///
/// # Errors
/// Every problem in the file, in file order.
pub fn check(file: &str, text: &str, library: &Library, streams: &Streams) -> Result<Model, Vec<Problem>> {
    let spec: ModelFile = match toml::from_str(text) {
        Ok(spec) => spec,
        Err(error) => return Err(vec![toml_problem(file, text, &error)]),
    };
    let mut checker = Checker {
        file,
        text,
        library,
        streams,
        problems: Vec::new(),
        anchors: Vec::new(),
        values: Vec::new(),
        isotonic: Vec::new(),
    };
    let model = checker.model(spec);
    if checker.problems.is_empty() {
        return Ok(model);
    }
    checker.problems.sort();
    checker.problems.dedup();
    Err(checker.problems)
}

/// A TOML error with its line, as one of ours.
pub fn toml_problem(file: &str, text: &str, error: &toml::de::Error) -> Problem {
    let line = error.span().map_or(0, |span| line_at(text, span.start));
    let word = error.span().and_then(|span| text.get(span)).filter(|word| word.len() < 60 && !word.contains('\n'));
    let what = error.message().trim().replace('\n', "; ");
    let what = match word {
        Some(word) if !what.contains(word) && !word.is_empty() => format!("`{word}`: {what}"),
        _ => what,
    };
    Problem { file: file.to_owned(), line, what }
}

fn line_at(text: &str, offset: usize) -> usize {
    text[..offset.min(text.len())].matches('\n').count() + 1
}

/// `; did you mean "x"?` where one of the known names is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let close = known
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(&word.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(similarity, _)| *similarity > 0.6)
        .max_by(|one, two| one.0.total_cmp(&two.0).then(two.1.cmp(one.1)));
    close.map_or(String::new(), |(_, name)| format!("; did you mean \"{name}\"?"))
}

fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().collect();
    if names.len() > 25 {
        format!("{} and {} more", names[..20].join(", "), names.len() - 20)
    } else {
        names.join(", ")
    }
}

/// A term's range of values within its group, and its name.
type Level = (Micro, Micro, String);

struct Checker<'a> {
    file: &'a str,
    text: &'a str,
    library: &'a Library,
    streams: &'a Streams,
    problems: Vec<Problem>,
    anchors: Vec<Anchor>,
    values: Vec<NamedValue>,
    isotonic: Vec<(Nano, Nano)>,
}

impl<'a> Checker<'a> {
    fn model(&mut self, spec: ModelFile) -> Model {
        self.header(&spec);
        for anchor in &spec.anchors {
            self.anchor(anchor);
        }
        for value in &spec.values {
            self.named_value(value);
        }
        let outcome_rule = spec.outcome.as_ref().map(|outcome| self.outcome_rule(outcome, &spec));
        let population = spec.population.as_ref().map(|population| self.population(population)).unwrap_or_default();
        let terms = self.terms(&spec);
        let hierarchies = self.hierarchies(&spec, &terms);
        self.isotonic(&spec);
        let bands = self.bands(&spec, terms.len());
        let intercept = self.intercept(&spec);
        let floor = self.floor(&spec);
        let examples = self.examples(&spec, &terms, &bands);
        Model {
            id: spec.model.id,
            version: spec.model.version,
            title: spec.model.title,
            kind: spec.model.kind,
            outcome: spec.model.outcome,
            horizon_days: spec.model.horizon_days,
            source: spec.source,
            outcome_rule,
            population,
            intercept,
            floor,
            anchors: std::mem::take(&mut self.anchors),
            values: std::mem::take(&mut self.values),
            terms,
            hierarchies,
            bands,
            examples,
            isotonic: std::mem::take(&mut self.isotonic),
            estimated: spec.estimated,
        }
    }

    fn problem(&mut self, offset: Option<usize>, what: String) {
        let line = offset.map_or(0, |offset| line_at(self.text, offset));
        self.problems.push(Problem { file: self.file.to_owned(), line, what });
    }

    /// The first place of a piece of text that the mirror keeps without its span.
    fn place_of(&self, needle: &str) -> Option<usize> {
        self.text.find(needle)
    }

    fn header(&mut self, spec: &ModelFile) {
        let place = self.place_of("format");
        if spec.format != 1 {
            self.problem(place, format!("format {} is not known; this version reads format 1", spec.format));
        }
        let place = self.place_of("[model]");
        let id = &spec.model.id;
        if id.is_empty()
            || !id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'@' | b'-'))
        {
            self.problem(place, format!("model id \"{id}\" may hold small letters, digits, `_`, `-` and `@` only"));
        }
        if spec.model.version.trim().is_empty() {
            self.problem(place, "version is empty".to_owned());
        }
        let place = self.place_of("[source]");
        if spec.source.citation.trim().is_empty() || spec.source.location.trim().is_empty() {
            self.problem(
                place,
                "citation and location say where the numbers were read; neither may be empty".to_owned(),
            );
        }
        if spec.terms.is_empty() {
            self.problem(None, "no [[term]]: a model has at least one".to_owned());
        }
    }

    fn intercept(&mut self, spec: &ModelFile) -> Nano {
        let intercept = spec.baseline.as_ref().and_then(|baseline| baseline.intercept.as_ref());
        match (intercept, spec.model.kind) {
            (Some(number), Kind::Logistic | Kind::Points) => {
                self.nano(*number.get_ref(), number.span().start, "intercept")
            }
            (Some(number), _) => {
                self.problem(Some(number.span().start), "only logistic and points models have an intercept".to_owned());
                Nano::ZERO
            }
            (None, Kind::Logistic) => {
                self.problem(None, "no intercept under [baseline]: a logistic model has one".to_owned());
                Nano::ZERO
            }
            (None, _) => Nano::ZERO,
        }
    }

    fn floor(&mut self, spec: &ModelFile) -> Option<Nano> {
        let floor = spec.baseline.as_ref()?.floor.as_ref()?;
        if !matches!(spec.model.kind, Kind::Points | Kind::Conditions) {
            self.problem(Some(floor.span().start), "only points and conditions models have a floor".to_owned());
        }
        Some(self.nano(*floor.get_ref(), floor.span().start, "floor"))
    }

    fn isotonic(&mut self, spec: &ModelFile) {
        let Some(levels) = spec.isotonic.as_ref().map(|isotonic| &isotonic.levels) else { return };
        let place = levels.span().start;
        if spec.model.kind != Kind::Logistic {
            self.problem(Some(place), "only logistic models have an isotonic map".to_owned());
        }
        if levels.get_ref().is_empty() {
            self.problem(Some(place), "isotonic: an empty list of levels".to_owned());
        }
        for (from, probability) in levels.get_ref() {
            let level = (self.nano(*from, place, "isotonic"), self.nano(*probability, place, "isotonic"));
            let is_rising = self.isotonic.last().is_none_or(|last| last.0 < level.0 && last.1 < level.1);
            if !is_rising || !(0.0..=1.0).contains(probability) {
                let what =
                    "isotonic: levels are [linear predictor, probability], both rising, probabilities from 0 to 1";
                self.problem(Some(place), what.to_owned());
                return;
            }
            self.isotonic.push(level);
        }
    }

    fn nano(&mut self, number: f64, place: usize, what: &str) -> Nano {
        Nano::exact(number).unwrap_or_else(|| {
            self.problem(Some(place), inexact(number, what, "nine"));
            Nano::ZERO
        })
    }

    fn micro(&mut self, number: f64, place: usize, what: &str) -> Micro {
        Micro::exact(number).unwrap_or_else(|| {
            self.problem(Some(place), inexact(number, what, "six"));
            Micro::ZERO
        })
    }

    fn anchor(&mut self, spec: &spec::Anchor) {
        let place = spec.name.span().start;
        let name = spec.name.get_ref().clone();
        if self.anchors.iter().any(|anchor| anchor.name == name) {
            self.problem(Some(place), format!("two anchors named \"{name}\""));
        }
        let events = self.predicate(&spec.last, &spec.conditions, place);
        let ended = match spec.ended_days {
            Days::Between(..) => self.window(spec.ended_days, None, place),
            _ => {
                self.problem(Some(place), "ended_days is [after, up_to]".to_owned());
                Window::EVER
            }
        };
        self.anchors.push(Anchor { name, label: spec.label.clone(), events, ended });
    }

    fn named_value(&mut self, spec: &spec::NamedValue) {
        let place = spec.name.span().start;
        let name = spec.name.get_ref().clone();
        if self.values.iter().any(|value| value.name == name) {
            self.problem(Some(place), format!("two values named \"{name}\""));
        }
        let expression = self.expression(&spec.value, &spec.steps);
        self.values.push(NamedValue { name, label: spec.label.clone(), expression });
    }

    fn outcome_rule(&mut self, outcome: &spec::OutcomeRule, spec: &ModelFile) -> OutcomeRule {
        let place = self.place_of("\n[outcome]").map(|before| before + 1);
        let (days, died) = (*outcome.days.get_ref(), *outcome.died.get_ref());
        if spec.model.kind == Kind::Facts {
            self.problem(place, "facts predict nothing, so they have no [outcome]".to_owned());
        }
        if !(1..=3_660).contains(&days) {
            let what = format!("outcome: days is {days}; it may be 1 to 3660");
            self.problem(Some(outcome.days.span().start), what);
        }
        if let Some(horizon) = spec.model.horizon_days.filter(|horizon| *horizon != days) {
            let what = format!("outcome: days is {days}, but horizon_days under [model] is {horizon}");
            self.problem(Some(outcome.days.span().start), what);
        }
        if outcome.events.is_none() && died != WhenLost::Event {
            self.problem(place, "outcome: give events, or died = \"event\"; as it stands nobody has it".to_owned());
        }
        if *outcome.deregistered.get_ref() == WhenLost::Event {
            let what = "outcome: deregistered is \"no_event\" or \"left_out\"; to move away is no outcome".to_owned();
            self.problem(Some(outcome.deregistered.span().start), what);
        }
        let after = outcome.after.as_ref().and_then(|name| self.before(Some(name.get_ref()), name.span().start));
        let events = outcome
            .events
            .as_ref()
            .map(|events| self.predicate(&events.get_ref().of, &events.get_ref().conditions, events.span().start));
        OutcomeRule { events, days, after, died, deregistered: *outcome.deregistered.get_ref() }
    }

    fn population(&mut self, spec: &spec::Population) -> Population {
        let place = self.place_of("[population]");
        let mut bounds = |range: &Option<spec::Range>, what| {
            range.as_ref().map(|range| self.bounds(range, place.unwrap_or(0), what, Micro(1)))
        };
        let age_years = bounds(&spec.age_years, "age_years");
        let registered_days = bounds(&spec.registered_days, "registered_days");
        let requires = spec.requires.iter().map(|requirement| {
            if requirement.reason.trim().is_empty() {
                self.problem(
                    Some(requirement.value.span().start),
                    "a requirement gives the reason to publish".to_owned(),
                );
            }
            Requirement {
                expression: self.expression(&requirement.value, &requirement.steps),
                reason: requirement.reason.clone(),
            }
        });
        Population { age_years, registered_days, requires: requires.collect() }
    }

    /// An inclusive range; open ends move in by the smallest step that a value can take.
    fn bounds(&mut self, range: &spec::Range, place: usize, what: &str, smallest: Micro) -> Bounds {
        let mut end = |number: Option<f64>| number.map(|number| self.micro(number, place, what));
        let (at_least, above, at_most, below) =
            (end(range.at_least), end(range.above), end(range.at_most), end(range.below));
        let min = at_least.or(above.map(|above| above.plus(smallest))).unwrap_or(Micro(i64::MIN + 1));
        let max = at_most.or(below.map(|below| below.minus(smallest))).unwrap_or(Micro(i64::MAX));
        if (at_least.is_some() && above.is_some()) || (at_most.is_some() && below.is_some()) {
            self.problem(Some(place), format!("{what}: one lower and one upper limit at the most"));
        }
        if at_least.or(above).or(at_most).or(below).is_none() {
            self.problem(Some(place), format!("{what}: give at_least, above, at_most or below"));
        }
        if min > max {
            self.problem(Some(place), format!("{what}: no number lies in this range"));
        }
        Bounds { min, max }
    }

    fn terms(&mut self, spec: &ModelFile) -> Vec<Term> {
        let mut names = BTreeSet::new();
        let mut levels: BTreeMap<(String, String), Vec<Level>> = BTreeMap::new();
        let mut terms = Vec::new();
        for term in &spec.terms {
            let place = term.name.span().start;
            let name = term.name.get_ref().clone();
            if !names.insert(name.clone()) {
                self.problem(Some(place), format!("two terms named \"{name}\""));
            }
            if term.label.trim().is_empty() {
                self.problem(Some(place), format!("term \"{name}\": label is empty"));
            }
            let coefficient = self.coefficient(term, spec.model.kind, &name);
            let raw = self.expression(&term.value, &[]);
            let steps = self.steps(&term.steps, term.value.span().start);
            if let (Some(group), Some(Step::Within(min, max))) = (&term.group, steps.last()) {
                let value = format!("{raw:?}{:?}", &steps[..steps.len() - 1]);
                self.level(levels.entry((group.clone(), value)).or_default(), (*min, *max, name.clone()), group, place);
            } else if let Some(group) = &term.group {
                self.problem(
                    Some(place),
                    format!("term \"{name}\" is a level of \"{group}\" but its last step gives no range"),
                );
            }
            let expression = with_steps(raw.clone(), steps);
            terms.push(Term {
                name,
                label: term.label.clone(),
                reason: term.reason.clone(),
                raw,
                expression,
                when_missing: term.when_missing,
                coefficient,
            });
        }
        terms
    }

    fn level(&mut self, levels: &mut Vec<Level>, level: Level, group: &str, place: usize) {
        if let Some((_, _, other)) = levels.iter().find(|(min, max, _)| *min <= level.1 && level.0 <= *max) {
            self.problem(Some(place), format!("terms \"{other}\" and \"{}\" of group \"{group}\" overlap", level.2));
        }
        levels.push(level);
    }

    fn coefficient(&mut self, term: &spec::Term, kind: Kind, name: &str) -> Nano {
        match (&term.coefficient, kind) {
            (None, Kind::Facts) => Nano::ZERO,
            (Some(number), Kind::Facts) => {
                self.problem(Some(number.span().start), format!("term \"{name}\": a fact has no coefficient"));
                Nano::ZERO
            }
            (None, _) => {
                self.problem(Some(term.name.span().start), format!("term \"{name}\": no coefficient"));
                Nano::ZERO
            }
            (Some(number), _) => {
                self.nano(*number.get_ref(), number.span().start, &format!("term \"{name}\": coefficient"))
            }
        }
    }

    fn expression(&mut self, value: &Spanned<spec::Value>, steps: &[spec::Step]) -> Expression {
        let place = value.span().start;
        let expression = self.value(value.get_ref(), place);
        let steps = self.steps(steps, place);
        with_steps(expression, steps)
    }

    fn value(&mut self, value: &spec::Value, place: usize) -> Expression {
        use spec::Value;
        match value {
            Value::AgeYears(_) => Expression::AgeYears,
            Value::Sex(word) => Expression::Sex(self.sex(word, place)),
            Value::Attribute(name) => {
                self.known(name, "attribute", &self.streams.numbers, place);
                Expression::Number(name.clone())
            }
            Value::AttributeIs(is) => {
                self.known(&is.attribute, "attribute", &self.streams.words, place);
                Expression::WordIn(is.attribute.clone(), is.any_of.clone())
            }
            Value::Named(name) => Expression::Named(self.named(name, place)),
            Value::Product(names) => Expression::Product(self.all_named(names, place)),
            Value::SumOf(names) => Expression::SumOf(self.all_named(names, place)),
            Value::CountTrue(names) => Expression::CountTrue(self.all_named(names, place)),
            Value::AnyTrue(names) => Expression::AnyTrue(self.all_named(names, place)),
            Value::AllTrue(names) => Expression::AllTrue(self.all_named(names, place)),
            Value::Not(name) => Expression::Not(self.named(name, place)),
            Value::Ratio(ratio) => Expression::Ratio(self.named(&ratio.of, place), self.named(&ratio.over, place)),
            measure => Expression::Measure(Box::new(self.measure(measure, place))),
        }
    }

    fn sex(&mut self, word: &str, place: usize) -> Sex {
        match word {
            "male" => Sex::Male,
            "female" => Sex::Female,
            other => {
                self.problem(Some(place), format!("sex \"{other}\" is not known; known are male, female"));
                Sex::Female
            }
        }
    }

    fn known(&mut self, name: &str, what: &str, known: &[String], place: usize) {
        if !known.iter().any(|known| known == name) {
            let names = || known.iter().map(String::as_str);
            self.problem(
                Some(place),
                format!("no {what} \"{name}\"{}; known are {}", nearest(name, names()), listed(names())),
            );
        }
    }

    fn named(&mut self, name: &str, place: usize) -> usize {
        self.values.iter().position(|value| value.name == name).unwrap_or_else(|| {
            let names: Vec<_> = self.values.iter().map(|value| value.name.clone()).collect();
            let near = nearest(name, names.iter().map(String::as_str));
            self.problem(Some(place), format!("no [[value]] named \"{name}\" stands above this place{near}"));
            0
        })
    }

    fn all_named(&mut self, names: &[String], place: usize) -> Vec<usize> {
        if names.is_empty() {
            self.problem(Some(place), "an empty list of values".to_owned());
        }
        names.iter().map(|name| self.named(name, place)).collect()
    }

    fn measure(&mut self, value: &spec::Value, place: usize) -> Measure {
        use spec::Value;
        match value {
            Value::Count(events) => self.plain(events, Take::Count, place),
            Value::Any(events) => self.plain(events, Take::Any, place),
            Value::Days(events) => self.plain(events, Take::Days, place),
            Value::Cost(events) => self.cost(events, place),
            Value::Sum(events) => self.with_amount(events, Take::Sum, place),
            Value::Mean(events) => self.with_amount(events, Take::Mean, place),
            Value::Latest(events) => self.with_amount(events, Take::Latest, place),
            Value::HighestOfLastTwo(events) => self.with_amount(events, Take::HighestOfLastTwo, place),
            Value::SinceLast(events) => self.plain(events, Take::SinceLast, place),
            Value::DistinctDays(events) => self.plain(events, Take::DistinctDays, place),
            Value::Distinct(coded) => {
                let (field, characters) = self.coded_field(coded, place);
                self.coded(coded, Take::Distinct { field, characters }, place)
            }
            Value::MaxPerMonthOfDistinct(coded) => {
                let (field, characters) = self.coded_field(coded, place);
                self.coded(coded, Take::MaxPerMonthOfDistinct { field, characters }, place)
            }
            Value::WeightsOnce(weights) => self.weights_once(weights, place),
            Value::LookUp(look_up) => self.look_up(look_up, place),
            Value::Unresolved(unresolved) => self.unresolved(unresolved, place),
            Value::LastIs(last) => self.last_is(last, place),
            Value::Open(open) => {
                let events = self.predicate(&open.of, &open.conditions, place);
                if self.streams.streams.get(&open.of).is_some_and(|stream| !stream.is_interval) {
                    self.problem(Some(place), format!("stream \"{}\" has no intervals, so none is open", open.of));
                }
                Measure { events, window: Window::EVER, before: None, amount: None, take: Take::Open }
            }
            other => unreachable!("{other:?} is not a measure"),
        }
    }

    fn plain(&mut self, spec: &spec::Events, take: Take, place: usize) -> Measure {
        let events = self.predicate(&spec.of, &spec.conditions, place);
        let before = self.before(spec.before.as_deref(), place);
        let window = self.window(spec.days, before.as_ref(), place);
        let kind = self.streams.streams.get(&spec.of).map_or(AmountKind::None, |stream| stream.amount);
        let amount = spec.amount.as_ref().map(|range| self.amount_range(range, kind, place));
        Measure { events, window, before, amount, take }
    }

    fn cost(&mut self, spec: &spec::Events, place: usize) -> Measure {
        let kind = self.streams.streams.get(&spec.of).map(|stream| stream.amount);
        if kind.is_some_and(|kind| kind != AmountKind::PencePerWeek) {
            self.problem(Some(place), format!("stream \"{}\" has no cost a week; take the sum of amounts", spec.of));
        }
        self.plain(spec, Take::Cost, place)
    }

    fn with_amount(&mut self, spec: &spec::Events, take: Take, place: usize) -> Measure {
        if self.streams.streams.get(&spec.of).is_some_and(|stream| stream.amount == AmountKind::None) {
            self.problem(Some(place), format!("stream \"{}\" has no amount", spec.of));
        }
        if self.streams.streams.get(&spec.of).is_some_and(|stream| stream.amount == AmountKind::PencePerWeek) {
            self.problem(Some(place), format!("stream \"{}\" has a cost a week; take the cost", spec.of));
        }
        self.plain(spec, take, place)
    }

    fn amount_range(&mut self, range: &spec::Range, kind: AmountKind, place: usize) -> (i32, i32) {
        let unit = if kind == AmountKind::Pence { 1_000_000 } else { 1_000 };
        let bounds = self.bounds(range, place, "amount", Micro(unit));
        let clamp = |micro: Micro| (micro.0 / unit).clamp(i64::from(i32::MIN + 1), i64::from(i32::MAX)) as i32;
        (clamp(bounds.min), clamp(bounds.max))
    }

    fn coded(&mut self, spec: &spec::CodedEvents, take: Take, place: usize) -> Measure {
        let events = self.predicate(&spec.of, &spec.conditions, place);
        let before = self.before(spec.before.as_deref(), place);
        let window = self.window(spec.days, before.as_ref(), place);
        Measure { events, window, before, amount: None, take }
    }

    fn coded_field(&mut self, spec: &spec::CodedEvents, place: usize) -> (String, usize) {
        self.told_apart(&spec.of, &spec.field, place);
        if spec.characters == Some(0) {
            self.problem(Some(place), "characters is at least 1".to_owned());
        }
        (spec.field.clone(), spec.characters.unwrap_or(ALL_CHARACTERS))
    }

    fn weights_once(&mut self, spec: &spec::WeightsOnce, place: usize) -> Measure {
        let events = self.predicate(&spec.of, &spec.conditions, place);
        let before = self.before(spec.before.as_deref(), place);
        let window = self.window(spec.days, before.as_ref(), place);
        let kind = self.told_apart(&spec.of, &spec.field, place);
        if let (Some(list), Some(kind)) = (self.code_list(&spec.list, place), kind) {
            self.systems_meet(list, &kind, &spec.field, place);
            if let Some(category) = list.categories.iter().find(|category| category.weight.is_none()) {
                self.problem(
                    Some(place),
                    format!("category \"{}\" of code list \"{}\" has no weight", category.name, list.id),
                );
            }
        }
        let take = Take::WeightsOnce { field: spec.field.clone(), list: spec.list.clone() };
        Measure { events, window, before, amount: None, take }
    }

    fn look_up(&mut self, spec: &spec::LookUp, place: usize) -> Measure {
        let events = self.predicate(&spec.of, &spec.conditions, place);
        let before = self.before(spec.before.as_deref(), place);
        let window = self.window(spec.days, before.as_ref(), place);
        self.told_apart(&spec.of, &spec.field, place);
        if self.library.table(&spec.table).is_none() {
            let known: Vec<_> =
                self.library.tables.keys().cloned().chain([Table::REHOSPITALISATION.to_owned()]).collect();
            self.known(&spec.table, "table", &known, place);
        }
        let otherwise = self.micro(spec.otherwise, place, "otherwise");
        let take = Take::LookUp { field: spec.field.clone(), table: spec.table.clone(), otherwise };
        Measure { events, window, before, amount: None, take }
    }

    fn unresolved(&mut self, spec: &spec::Unresolved, place: usize) -> Measure {
        let mut in_lists = |lists: &[String]| {
            let conditions = BTreeMap::from([(spec.field.clone(), Condition::In(lists.to_vec()))]);
            self.predicate(&spec.of, &conditions, place)
        };
        let (events, resolved) = (in_lists(&spec.diagnosis), in_lists(&spec.resolved));
        let window = self.window(spec.days, None, place);
        Measure { events, window, before: None, amount: None, take: Take::Unresolved { resolved } }
    }

    fn last_is(&mut self, spec: &spec::LastIs, place: usize) -> Measure {
        let events = self.predicate(&spec.of, &spec.among, place);
        let also = self.predicate(&spec.of, &spec.conditions, place);
        let before = self.before(spec.before.as_deref(), place);
        let window = self.window(spec.days, before.as_ref(), place);
        Measure { events, window, before, amount: None, take: Take::LastIs { also } }
    }

    fn before(&mut self, name: Option<&str>, place: usize) -> Option<Anchor> {
        let name = name?;
        let anchor = self.anchors.iter().find(|anchor| anchor.name == name).cloned();
        if anchor.is_none() {
            let names: Vec<_> = self.anchors.iter().map(|anchor| anchor.name.clone()).collect();
            self.known(name, "[[anchor]]", &names, place);
        }
        anchor
    }

    fn window(&mut self, days: Days, before: Option<&Anchor>, place: usize) -> Window {
        match days {
            Days::Ever => Window::EVER,
            Days::SameDay if before.is_some() => Window { after_days: -1, up_to_days: 0 },
            Days::SameDay => {
                self.problem(
                    Some(place),
                    "\"same_day\" needs an anchor: the as-of day itself is not yet known".to_owned(),
                );
                Window::EVER
            }
            Days::Between(after, up_to) => {
                if after < 0 || up_to <= after || up_to > 100_000 {
                    let what = format!(
                        "window [{after}, {up_to}] ends before it starts; write [after, up_to] with 0 <= after < up_to <= 100000"
                    );
                    self.problem(Some(place), what);
                }
                Window { after_days: after as i32, up_to_days: up_to as i32 }
            }
        }
    }

    fn predicate(&mut self, stream: &str, conditions: &BTreeMap<String, Condition>, place: usize) -> Predicate {
        if self.stream(stream, place).is_some() {
            for (field, condition) in conditions {
                if let Some(kind) = self.field(stream, field, place) {
                    self.condition(field, &kind, condition, place);
                }
            }
        }
        Predicate { stream: stream.to_owned(), conditions: conditions.clone() }
    }

    fn stream(&mut self, name: &str, place: usize) -> Option<Stream> {
        let stream = self.streams.streams.get(name).cloned();
        if stream.is_none() {
            let names: Vec<_> = self.streams.streams.keys().cloned().collect();
            self.known(name, "stream", &names, place);
        }
        stream
    }

    fn field(&mut self, stream: &str, field: &str, place: usize) -> Option<FieldKind> {
        let known = self.streams.streams.get(stream)?;
        let kind = known.fields.get(field).cloned();
        if kind.is_none() {
            let names: Vec<_> = known.fields.keys().cloned().collect();
            self.known(field, &format!("field of stream \"{stream}\" named"), &names, place);
        }
        kind
    }

    /// A field whose codes a measure tells apart: an event has to have one code of it.
    fn told_apart(&mut self, stream: &str, field: &str, place: usize) -> Option<FieldKind> {
        if self.streams.streams.get(stream).is_some_and(|stream| stream.several.contains(field)) {
            let what = format!(
                "field \"{field}\" of stream \"{stream}\" may hold several codes in one event, so they cannot be told apart; use a stream with one code an event, such as diagnosis"
            );
            self.problem(Some(place), what);
        }
        self.field(stream, field, place)
    }

    fn condition(&mut self, field: &str, kind: &FieldKind, condition: &Condition, place: usize) {
        match condition {
            Condition::Words(words) => {
                if words.is_empty() {
                    self.problem(Some(place), format!("field \"{field}\": an empty list of words"));
                }
                if let FieldKind::Words(known) = kind {
                    for word in words {
                        self.known(word, &format!("value of field \"{field}\""), known, place);
                    }
                }
            }
            Condition::In(references) => {
                if references.is_empty() {
                    self.problem(Some(place), format!("field \"{field}\": an empty list of code lists"));
                }
                for reference in references {
                    self.list_reference(reference, field, kind, place);
                }
            }
            Condition::Prefix(prefixes) => {
                if prefixes.iter().any(String::is_empty) || prefixes.is_empty() {
                    self.problem(Some(place), format!("field \"{field}\": an empty prefix would hold everything"));
                }
                if let FieldKind::Words(_) = kind {
                    self.problem(Some(place), format!("field \"{field}\" holds words; a prefix is for codes and text"));
                }
            }
            Condition::Not(inner) => self.condition(field, kind, inner, place),
        }
    }

    fn list_reference(&mut self, reference: &str, field: &str, kind: &FieldKind, place: usize) {
        let (list, category) = split_reference(reference);
        let Some(list) = self.code_list(list, place) else { return };
        if let Some(category) = category
            && list.category(category).is_none()
        {
            let names: Vec<_> = list.categories.iter().map(|category| category.name.clone()).collect();
            self.known(category, &format!("category of code list \"{}\"", list.id), &names, place);
        }
        self.systems_meet(list, kind, field, place);
    }

    fn code_list(&mut self, id: &str, place: usize) -> Option<&'a CodeList> {
        let library: &'a Library = self.library;
        let list = library.code_lists.get(id);
        if list.is_none() {
            let names: Vec<_> = self.library.code_lists.keys().cloned().collect();
            self.known(id, "code list", &names, place);
        }
        list
    }

    fn systems_meet(&mut self, list: &CodeList, kind: &FieldKind, field: &str, place: usize) {
        let systems = list.systems();
        if !kind.systems().iter().any(|system| systems.contains(system)) {
            let has = systems.iter().map(|system| system.name()).collect::<Vec<_>>().join(", ");
            let holds = match kind {
                FieldKind::Words(_) => "words".to_owned(),
                FieldKind::Text => "text".to_owned(),
                _ => kind.systems().iter().map(|system| system.name()).collect::<Vec<_>>().join(", "),
            };
            self.problem(
                Some(place),
                format!("code list \"{}\" has {has} codes, but field \"{field}\" holds {holds}", list.id),
            );
        }
    }

    fn steps(&mut self, steps: &[spec::Step], place: usize) -> Vec<Step> {
        steps.iter().map(|step| self.step(*step, place)).collect()
    }

    fn step(&mut self, step: spec::Step, place: usize) -> Step {
        const LOWEST: Micro = Micro(i64::MIN + 1);
        const HIGHEST: Micro = Micro(i64::MAX);
        let mut number = |number| self.micro(number, place, "step");
        let checked = match step {
            spec::Step::Subtract(by) => Step::Subtract(number(by)),
            spec::Step::MultiplyBy(by) => Step::MultiplyBy(number(by)),
            spec::Step::DivideBy(by) => Step::DivideBy(number(by)),
            spec::Step::CapAt(cap) => Step::CapAt(number(cap)),
            spec::Step::FloorAt(floor) => Step::FloorAt(number(floor)),
            spec::Step::Square(_) => Step::Square,
            spec::Step::Equals(at) => Step::Within(number(at), number(at)),
            spec::Step::AtLeast(min) => Step::Within(number(min), HIGHEST),
            spec::Step::Below(limit) => Step::Within(LOWEST, Micro(number(limit).0 - 1)),
            spec::Step::Between(min, max) => Step::Within(number(min), number(max)),
            spec::Step::Over(over, max) => Step::Within(Micro(number(over).0 + 1), number(max)),
        };
        match (step, checked) {
            (spec::Step::Square(false), _) => {
                self.problem(Some(place), "square = false does nothing; leave the step out".to_owned())
            }
            (_, Step::DivideBy(Micro::ZERO)) => self.problem(Some(place), "step divides by zero".to_owned()),
            (_, Step::Within(min, max)) if min > max => {
                self.problem(Some(place), "step: no number lies in this range".to_owned());
            }
            _ => {}
        }
        checked
    }

    fn hierarchies(&mut self, spec: &ModelFile, terms: &[Term]) -> Vec<Hierarchy> {
        let mut term = |name: &Spanned<String>| {
            terms.iter().position(|term| &term.name == name.get_ref()).unwrap_or_else(|| {
                let names: Vec<_> = terms.iter().map(|term| term.name.clone()).collect();
                self.known(name.get_ref(), "[[term]]", &names, name.span().start);
                0
            })
        };
        let hierarchies: Vec<_> = spec
            .hierarchies
            .iter()
            .map(|spec| Hierarchy {
                if_present: term(&spec.if_present),
                then_zero: spec.then_zero.iter().map(&mut term).collect(),
            })
            .collect();
        for (hierarchy, spec) in hierarchies.iter().zip(&spec.hierarchies) {
            if hierarchy.then_zero.contains(&hierarchy.if_present) && self.problems.is_empty() {
                self.problem(Some(spec.if_present.span().start), "a term cannot set itself to zero".to_owned());
            }
        }
        hierarchies
    }

    fn bands(&mut self, spec: &ModelFile, terms: usize) -> Bands {
        let mut names = BTreeSet::new();
        for band in &spec.bands {
            if !names.insert(band.name.get_ref().as_str()) {
                self.problem(Some(band.name.span().start), format!("two bands named \"{}\"", band.name.get_ref()));
            }
            let limits = [band.top_share.is_some(), band.at_least.is_some(), band.above.is_some(), band.rest.is_some()];
            if limits.iter().filter(|given| **given).count() != 1 || band.rest == Some(false) {
                let what =
                    format!("band \"{}\" has one of top_share, at_least, above and rest = true", band.name.get_ref());
                self.problem(Some(band.name.span().start), what);
            }
        }
        let Some(last) = spec.bands.last() else { return Bands::None };
        if last.rest != Some(true) || spec.bands.iter().rev().skip(1).any(|band| band.rest.is_some()) {
            self.problem(
                Some(last.name.span().start),
                "the last band, and only it, has rest = true, so that nobody is left over".to_owned(),
            );
        }
        if spec.model.kind == Kind::Facts {
            self.problem(Some(last.name.span().start), "facts have no bands".to_owned());
        }
        if spec.bands.iter().any(|band| band.top_share.is_some()) {
            self.share_bands(&spec.bands)
        } else {
            self.threshold_bands(spec, terms)
        }
    }

    fn share_bands(&mut self, bands: &[spec::Band]) -> Bands {
        let mut shares = Vec::new();
        let mut before = Micro::ZERO;
        for band in bands {
            let place = band.name.span().start;
            let share = self.micro(band.top_share.unwrap_or(1.0), place, "top_share");
            if share <= before || share > Micro::ONE || band.at_least.or(band.above).is_some() {
                self.problem(Some(place), "top_share runs from the highest risk down, each larger than the one before, up to 1, with no other kind of limit".to_owned());
            }
            before = share;
            shares.push((band.name.get_ref().clone(), share.0 as u32));
        }
        Bands::TopShare(shares)
    }

    fn threshold_bands(&mut self, spec: &ModelFile, terms: usize) -> Bands {
        let mut thresholds: Vec<ThresholdBand> = Vec::new();
        for band in &spec.bands {
            let place = band.name.span().start;
            let limit = band.at_least.or(band.above).map(|limit| self.nano(limit, place, "band limit"));
            let lowest = match limit {
                None => Nano(i64::MIN),
                Some(limit) => self.band_floor(limit, band.above.is_some(), spec.model.kind, terms),
            };
            if thresholds.last().is_some_and(|above| above.lowest <= lowest) {
                self.problem(
                    Some(place),
                    "bands run from the highest risk down, each limit lower than the one before".to_owned(),
                );
            }
            thresholds.push(ThresholdBand { name: band.name.get_ref().clone(), lowest });
        }
        Bands::Threshold(thresholds)
    }

    /// The lowest linear predictor in a band, from its limit on the published scale.
    fn band_floor(&mut self, limit: Nano, is_above: bool, kind: Kind, terms: usize) -> Nano {
        if kind == Kind::Logistic && !self.isotonic.is_empty() && (0.0..=1.0).contains(&limit.to_f64()) {
            let is_in =
                |(_, probability): &&(Nano, Nano)| if is_above { *probability > limit } else { *probability >= limit };
            let first = self.isotonic.iter().find(is_in);
            let is_all = self.isotonic.first().as_ref().is_some_and(is_in);
            return if is_all { Nano(i64::MIN + 1) } else { first.map_or(Nano(i64::MAX), |(from, _)| *from) };
        }
        let floor = match kind {
            Kind::Logistic if (0.0..=1.0).contains(&limit.to_f64()) => smallest_with_probability(limit.to_f64()),
            Kind::Logistic => limit,
            Kind::Fraction => Nano(limit.0.saturating_mul(terms as i64)),
            _ => limit,
        };
        if is_above { Nano(floor.0 + 1) } else { floor }
    }

    fn examples(&mut self, spec: &ModelFile, terms: &[Term], bands: &Bands) -> Vec<Example> {
        spec.examples.iter().map(|example| self.example(example, terms, bands)).collect()
    }

    fn example(&mut self, spec: &spec::Example, terms: &[Term], bands: &Bands) -> Example {
        let place = spec.who.span().start;
        for (name, given) in &spec.given {
            let known = terms.iter().any(|term| &term.name == name)
                || self.values.iter().any(|value| &value.name == name)
                || self.anchors.iter().any(|anchor| &anchor.name == name);
            if !known {
                let names: Vec<_> = terms
                    .iter()
                    .map(|term| term.name.clone())
                    .chain(self.values.iter().map(|value| value.name.clone()))
                    .collect();
                let near = nearest(name, names.iter().map(String::as_str));
                self.problem(
                    Some(given.span().start),
                    format!("example gives \"{name}\", which is neither a term nor a value{near}"),
                );
            }
        }
        if spec.linear_predictor.is_none() && spec.probability.is_none() && spec.score.is_none() && spec.band.is_none()
        {
            self.problem(Some(place), "an example expects a linear_predictor, probability, score or band".to_owned());
        }
        if let Some(band) = &spec.band {
            self.known(band, "band", &bands.names().iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), place);
        }
        Example {
            line: line_at(self.text, place),
            who: spec.who.get_ref().clone(),
            given: spec.given.iter().map(|(name, given)| (name.clone(), given.get_ref().clone())).collect(),
            linear_predictor: spec.linear_predictor.map(|number| self.nano(number, place, "linear_predictor")),
            probability: spec.probability,
            score: spec.score,
            band: spec.band.clone(),
            decimals: spec.decimals,
        }
    }
}

fn inexact(number: f64, what: &str, decimals: &str) -> String {
    match number.is_finite() {
        false => format!("{what} is not finite"),
        true => format!("{what} {number} has more than {decimals} decimals or is too large"),
    }
}

fn with_steps(expression: Expression, steps: Vec<Step>) -> Expression {
    if steps.is_empty() { expression } else { Expression::Stepped(Box::new(expression), steps) }
}

/// `list/category` taken apart.
pub fn split_reference(reference: &str) -> (&str, Option<&str>) {
    reference.split_once('/').map_or((reference, None), |(list, category)| (list, Some(category)))
}

/// The lowest linear predictor whose probability is at least this.
fn smallest_with_probability(probability: f64) -> Nano {
    let (mut low, mut high) = (-40_000_000_000i64, 40_000_000_000i64);
    while low < high {
        let middle = low + (high - low) / 2;
        if Nano(middle).probability() >= probability { high = middle } else { low = middle + 1 }
    }
    Nano(low)
}
