//! A model in plain words, for whoever has to answer for a name on a list.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::library::Library;
use super::spec::Condition;
use super::{
    Anchor, Bands, Bounds, Expression, Kind, Measure, Model, OutcomeRule, Predicate, Sex, Step, Take, WhenLost,
    WhenMissing,
};
use crate::number::Micro;

/// The whole model as text.
pub fn describe(model: &Model, library: &Library) -> String {
    let mut text = String::new();
    let out = &mut text;
    line(out, &format!("{} {}  {}", model.id, model.version, model.title));
    line(out, &format!("kind: {}", kind(model.kind)));
    if let Some(outcome) = &model.outcome {
        let horizon = model.horizon_days.map(|days| format!(" within {days} days")).unwrap_or_default();
        line(out, &format!("predicts: {outcome}{horizon}"));
    }
    outcome_rule(out, model);
    estimated(out, model);
    line(out, &format!("source: {}", model.source.citation));
    line(out, &format!("        {}", model.source.location));
    listed(out, "derived (not printed in the source)", &model.source.derived);
    listed(out, "assumed (our reading)", &model.source.assumed);
    population(out, model);
    if model.is_scored() {
        line(out, &format!("\nintercept: {}", model.intercept));
    }
    line(out, "\nterms:");
    for term in &model.terms {
        let value = in_words(&term.expression, model);
        let coefficient =
            if model.is_scored() { format!("{:>14}  ", term.coefficient.to_string()) } else { "  ".to_owned() };
        line(out, &format!("{coefficient}{}\n{:16}{}: {value}", term.label, "", term.name));
        if term.when_missing == WhenMissing::NotScored {
            line(out, &format!("{:16}where this is missing, the person is not scored", ""));
        }
    }
    named_values(out, model);
    hierarchies(out, model);
    bands(out, model);
    code_lists(out, model, library);
    text
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("writing to a string");
}

fn listed(out: &mut String, title: &str, items: &[String]) {
    if !items.is_empty() {
        line(out, &format!("\n{title}:"));
        items.iter().for_each(|item| line(out, &format!("  - {item}")));
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Logistic => "logistic: probability = 1 / (1 + exp(-(intercept + sum of coefficient x value)))",
        Kind::Points => "points: the sum of points",
        Kind::Fraction => "fraction: deficits present over all deficits",
        Kind::Conditions => "conditions: the sum of weights of the conditions present",
        Kind::Facts => "facts: values published beside the scores; nothing is predicted",
    }
}

fn outcome_rule(out: &mut String, model: &Model) {
    let Some(rule) = &model.outcome_rule else { return };
    line(out, &format!("held against what came: {}", outcome_in_words(rule)));
}

fn estimated(out: &mut String, model: &Model) {
    if !model.isotonic.is_empty() {
        let levels = model.isotonic.len();
        line(out, &format!("probability: by an isotonic map of {levels} levels, in place of the curve"));
    }
    let Some(of) = &model.estimated else { return };
    line(out, &format!("estimated on local data, from {}: {}", of.from, of.method));
    line(
        out,
        &format!(
            "  as of {}, {} days, followed until {}; {} people ({} with the outcome), tested with {} ({})",
            of.as_of.join(", "),
            of.horizon_days,
            of.followed_until,
            of.people,
            of.with_outcome,
            of.test_people,
            of.test_with_outcome
        ),
    );
    of.remarks.iter().for_each(|remark| line(out, &format!("  - {remark}")));
    let number = |number: Option<f64>| number.map_or("none".to_owned(), |number| number.to_string());
    for figure in &of.figures {
        line(out, &format!("  {}: before {}, after {}", figure.name, number(figure.before), number(figure.after)));
    }
}

/// What counts as the outcome, in which days, and what becomes of whoever was lost.
pub fn outcome_in_words(rule: &OutcomeRule) -> String {
    let events = rule.events.as_ref().map(|events| format!("any {}", predicate_in_words(events)));
    let death = (rule.died == WhenLost::Event).then(|| "death".to_owned());
    let what: Vec<String> = events.into_iter().chain(death).collect();
    let from = match &rule.after {
        None => "from the as-of date on".to_owned(),
        Some(anchor) => format!("after the end of: {}", anchor.label),
    };
    let lost = |when: WhenLost| match when {
        WhenLost::NoEvent => "counts as no event",
        WhenLost::LeftOut => "is left out",
        WhenLost::Event => "is the outcome",
    };
    let (died, deregistered) = (lost(rule.died), lost(rule.deregistered));
    let what = what.join(" or ");
    format!(
        "{what} in the {} days {from}; who died before the end without one {died}; who was registered nowhere at the end {deregistered}",
        rule.days
    )
}

fn population(out: &mut String, model: &Model) {
    line(out, "\npopulation (others are listed with the reason, never given 0):");
    line(out, "  registered on the as-of date");
    let mut bounds = |bounds: &Option<Bounds>, what: &str| {
        if let Some(bounds) = bounds {
            line(out, &format!("  {what} {}", range(bounds.min, bounds.max)));
        }
    };
    bounds(&model.population.age_years, "age in years");
    bounds(&model.population.registered_days, "days registered");
    for require in &model.population.requires {
        line(out, &format!("  {} (else: {})", in_words(&require.expression, model), require.reason));
    }
}

fn named_values(out: &mut String, model: &Model) {
    if model.values.is_empty() {
        return;
    }
    line(out, "\nvalues that terms share:");
    for value in &model.values {
        line(out, &format!("  {}: {}", value.name, in_words(&value.expression, model)));
    }
}

fn hierarchies(out: &mut String, model: &Model) {
    for hierarchy in &model.hierarchies {
        let zero: Vec<&str> = hierarchy.then_zero.iter().map(|&place| model.terms[place].label.as_str()).collect();
        line(
            out,
            &format!("where {} is present, not counted: {}", model.terms[hierarchy.if_present].label, zero.join(", ")),
        );
    }
}

fn bands(out: &mut String, model: &Model) {
    match &model.bands {
        Bands::None => {}
        Bands::TopShare(shares) => {
            line(out, "\nbands, by share of the whole ranked population from the highest risk down:");
            for (name, share) in shares {
                line(out, &format!("  {name}: up to {} %", f64::from(*share) / 10_000.0));
            }
        }
        Bands::Threshold(bands) => {
            line(out, "\nbands, by score:");
            for band in bands {
                let from = if band.lowest.0 == i64::MIN {
                    "everyone else".to_owned()
                } else {
                    format!("linear predictor of {} or more", band.lowest)
                };
                line(out, &format!("  {}: {from}", band.name));
            }
        }
    }
}

fn code_lists(out: &mut String, model: &Model, library: &Library) {
    let mut used: BTreeMap<&str, &str> = BTreeMap::new();
    let values = model.values.iter().map(|value| &value.expression);
    for measure in values.chain(model.terms.iter().map(|term| &term.expression)).filter_map(Expression::measure) {
        collect_lists(measure, &mut used);
    }
    if used.is_empty() {
        return;
    }
    line(out, "\ncode lists and tables:");
    for (id, kind) in used {
        match (library.code_lists.get(id), library.table(id)) {
            (Some(list), _) => line(
                out,
                &format!("  {id}: {} codes in {} categories; {}", list.codes, list.categories.len(), list.source),
            ),
            (None, Some(table)) => line(out, &format!("  {id}: {} lines; {}", table.values.len(), table.source)),
            (None, None) => line(out, &format!("  {id}: {kind} that the run works out from its own data")),
        }
    }
}

fn collect_lists<'a>(measure: &'a Measure, used: &mut BTreeMap<&'a str, &'a str>) {
    fn of_condition<'a>(condition: &'a Condition, used: &mut BTreeMap<&'a str, &'a str>) {
        match condition {
            Condition::In(references) => {
                used.extend(references.iter().map(|reference| (super::check::split_reference(reference).0, "a list")));
            }
            Condition::Not(inner) => of_condition(inner, used),
            _ => {}
        }
    }
    let second = match &measure.take {
        Take::Unresolved { resolved: second } | Take::LastIs { also: second } => Some(second),
        Take::WeightsOnce { list, .. } => {
            used.insert(list, "a list");
            None
        }
        Take::LookUp { table, .. } => {
            used.insert(table, "a table");
            None
        }
        _ => None,
    };
    for predicate in std::iter::once(&measure.events).chain(second) {
        predicate.conditions.values().for_each(|condition| of_condition(condition, used));
    }
}

/// A value in words.
pub fn in_words(expression: &Expression, model: &Model) -> String {
    let name = |place: &usize| model.values[*place].name.as_str();
    let names = |places: &[usize]| places.iter().map(name).collect::<Vec<_>>().join(", ");
    match expression {
        Expression::AgeYears => "age in years on the as-of date".to_owned(),
        Expression::Sex(Sex::Male) => "1 where male".to_owned(),
        Expression::Sex(Sex::Female) => "1 where female".to_owned(),
        Expression::Number(name) => format!("{name} of the register"),
        Expression::WordIn(name, words) => format!("1 where {name} is {}", words.join(" or ")),
        Expression::Measure(measure) => measure_in_words(measure),
        Expression::Named(place) => name(place).to_owned(),
        Expression::Product(of) => format!("product of {}", names(of)),
        Expression::SumOf(of) => format!("sum of {}", names(of)),
        Expression::Ratio(of, over) => format!("{} over {}", name(of), name(over)),
        Expression::CountTrue(of) => format!("how many hold of: {}", names(of)),
        Expression::AnyTrue(of) => format!("1 where any holds of: {}", names(of)),
        Expression::AllTrue(of) => format!("1 where all hold of: {}", names(of)),
        Expression::Not(of) => format!("1 where {} does not hold", name(of)),
        Expression::Stepped(inner, steps) => {
            let steps: Vec<String> = steps.iter().map(|step| step_in_words(*step)).collect();
            format!("{}, {}", in_words(inner, model), steps.join(", "))
        }
    }
}

fn step_in_words(step: Step) -> String {
    match step {
        Step::Subtract(number) => format!("less {number}"),
        Step::MultiplyBy(number) => format!("times {number}"),
        Step::DivideBy(number) => format!("divided by {number}"),
        Step::CapAt(number) => format!("at most {number}"),
        Step::FloorAt(number) => format!("at least {number}"),
        Step::Square => "squared".to_owned(),
        Step::Within(min, max) => format!("1 where {}", range(min, max)),
    }
}

fn range(min: Micro, max: Micro) -> String {
    let (open_below, open_above) = (min.0 == i64::MIN + 1, max.0 == i64::MAX);
    match (open_below, open_above) {
        _ if min == max => format!("exactly {min}"),
        (true, _) => format!("up to {max}"),
        (_, true) => format!("{min} or more"),
        _ => format!("{min} to {max}"),
    }
}

/// A measure in words: what is taken, of which events, in which window.
pub fn measure_in_words(measure: &Measure) -> String {
    let what = predicate_in_words(&measure.events);
    let when = match &measure.before {
        None => format!("{} the as-of date", measure.window),
        Some(_) if measure.window.after_days == -1 => "on its first day".to_owned(),
        Some(Anchor { label, .. }) => format!("{} {label}", measure.window),
    };
    let amount = measure.amount.map(|(min, max)| amount_in_words(min, max)).unwrap_or_default();
    let each = |characters: &usize| {
        if *characters == usize::MAX { String::new() } else { format!(" (first {characters} characters)") }
    };
    match &measure.take {
        Take::Count => format!("number of {what}{amount}, {when}"),
        Take::Any => format!("1 where there is any {what}{amount}, {when}"),
        Take::Days => format!("days of {what}, {when}"),
        Take::Cost => format!("cost in pence of {what}, by the days of it that lie in the window, {when}"),
        Take::Sum => format!("sum of amounts of {what}{amount}, {when}"),
        Take::Mean => format!("mean amount of {what}{amount}, {when}"),
        Take::Latest => format!("latest amount of {what}{amount}, {when}"),
        Take::HighestOfLastTwo => format!("the higher of the amounts of the last two days with {what}{amount}, {when}"),
        Take::SinceLast => format!("days since the last {what}, {when}"),
        Take::DistinctDays => format!("days with {what}, {when}"),
        Take::Distinct { field, characters } => format!("distinct {field}{} of {what}, {when}", each(characters)),
        Take::MaxPerMonthOfDistinct { field, characters } => {
            format!("largest number of distinct {field}{} of {what} in any calendar month, {when}", each(characters))
        }
        Take::WeightsOnce { field, list } => {
            format!("weights of the {list} categories of {field} of {what}, each once, {when}")
        }
        Take::LookUp { field, table, otherwise } => {
            format!("{table} of the {field} of the last {what}, {when}; {otherwise} where the table lacks it")
        }
        Take::Unresolved { .. } => format!("1 where there is {what}, {when}, and no resolving code on a later day"),
        Take::LastIs { also } => format!("1 where the last {what}, {when}, is {}", conditions_in_words(also)),
        Take::Open => format!("1 where {what} is in place on the as-of date"),
    }
}

fn amount_in_words(min: i32, max: i32) -> String {
    let number = |thousandths: i32| Micro::thousandths(thousandths.into());
    match (min == i32::MIN + 1, max == i32::MAX) {
        (true, _) => format!(" with an amount of at most {}", number(max)),
        (_, true) => format!(" with an amount of at least {}", number(min)),
        _ => format!(" with an amount of {} to {}", number(min), number(max)),
    }
}

fn predicate_in_words(predicate: &Predicate) -> String {
    match predicate.conditions.is_empty() {
        true => format!("{} events", predicate.stream),
        false => format!("{} events with {}", predicate.stream, conditions_in_words(predicate)),
    }
}

fn conditions_in_words(predicate: &Predicate) -> String {
    let words =
        predicate.conditions.iter().map(|(field, condition)| format!("{field} {}", condition_in_words(condition)));
    words.collect::<Vec<_>>().join(" and ")
}

fn condition_in_words(condition: &Condition) -> String {
    match condition {
        Condition::Words(words) => words.join(" or "),
        Condition::In(references) => format!("in {}", references.join(" or ")),
        Condition::Prefix(prefixes) => format!("beginning {}", prefixes.join(" or ")),
        Condition::Not(inner) => format!("not {}", condition_in_words(inner)),
    }
}
