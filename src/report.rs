//! The table at the end of a run, and a hand-typed score, in words.

use std::fmt::Write;

use riskstrat::code::CodeList;
use riskstrat::cohort::Cohort;
use riskstrat::explain::{Answer, ConditionHeld, Explanation};
use riskstrat::model::Model;
use riskstrat::model::import::{Imported, changes};
use riskstrat::output::disclosure;
use riskstrat::output::manifest::CohortLine;
use riskstrat::run::{DateReport, Report, Trial, YieldLine};
use riskstrat::score::given::GivenScore;

/// A number with a comma every three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The table at the end of a run; the first lines of a list only where all people are invented.
pub fn in_words(report: &Report, shows_people: bool) -> String {
    let mut text = String::new();
    let out = &mut text;
    report.recovered.iter().for_each(|what| line(out, format!("note: {what}")));
    line(
        out,
        format!(
            "{} people on the register, {} more left out because they opted out{}\n",
            grouped(report.people),
            grouped(report.opted_out + report.opted_out_by_code),
            match report.opted_out_by_code {
                0 => String::new(),
                people => format!(", {} of them by a code in a GP record", grouped(people)),
            }
        ),
    );
    line(
        out,
        format!(
            "{:<16} {:>12} {:>12} {:>12} {:>10}  dropped, by rule",
            "source", "rows read", "used", "dropped", "rejected"
        ),
    );
    for source in &report.sources {
        let dropped: u64 = source.dropped.values().map(|dropped| dropped.rows).sum();
        let rules: Vec<String> =
            source.dropped.iter().map(|(rule, dropped)| format!("{rule} {}", grouped(dropped.rows))).collect();
        line(
            out,
            format!(
                "{:<16} {:>12} {:>12} {:>12} {:>10}  {}",
                source.source,
                grouped(source.rows),
                grouped(source.used),
                grouped(dropped),
                grouped(source.rejected),
                rules.join(", ")
            ),
        );
    }
    for date in &report.dates {
        date_in_words(out, date, shows_people);
    }
    for breach in &report.let_through {
        line(out, format!("\nlet through: {breach}"));
    }
    for allowance in &report.not_needed {
        line(
            out,
            format!(
                "\nnot needed: --allow {allowance}: no such gate was breached; take it out where it stands in a job"
            ),
        );
    }
    for ended in &report.ended {
        line(
            out,
            format!("\nended: {ended}; take it out of the settings, or look at the feed and say how long it goes on"),
        );
    }
    let total: f64 = report.timings.iter().map(|(_, time)| time.as_secs_f64()).sum();
    line(out, format!("\n{} rows in {total:.1} s", grouped(report.rows)));
    for folder in &report.published {
        line(out, format!("published: {}", folder.display()));
    }
    text
}

fn date_in_words(out: &mut String, date: &DateReport, shows_people: bool) {
    line(out, format!("\nas of {}", date.as_of));
    for model in &date.models {
        let not_scored: u64 = model.not_scored.values().sum();
        let bands: Vec<String> =
            model.bands.iter().map(|(name, people)| format!("{name} {}", grouped(*people))).collect();
        line(
            out,
            format!(
                "  {:<18} {:>9} scored, {:>9} not  {}",
                model.id,
                grouped(model.scored),
                grouped(not_scored),
                bands.join(", ")
            ),
        );
    }
    for cohort in &date.cohorts {
        line(out, format!("  {:<18} {}", cohort.id, cohort_in_words(cohort)));
    }
    if let Some(list) = date.first_list.as_ref().filter(|_| shows_people) {
        line(out, format!("\n  the first lines of the list for practice {}:", list.practice));
        line(out, format!("  {}", list.header.join(" | ")));
        for row in list.rows.iter().take(5) {
            let cells: Vec<String> =
                row.iter()
                    .map(|cell| {
                        if cell.len() > 40 && !cell.contains(' ') {
                            format!("{}...", &cell[..12])
                        } else {
                            cell.clone()
                        }
                    })
                    .collect();
            line(out, format!("  {}", cells.join(" | ")));
        }
    }
}

fn cohort_in_words(cohort: &CohortLine) -> String {
    let mut words = format!("{:>9} people on {} lists", grouped(cohort.on_list), cohort.lists);
    let excluded: u64 = cohort.excluded.values().sum();
    for (people, what) in
        [(excluded, "excluded"), (cohort.decided_out, "decided out"), (cohort.below_capacity, "below capacity")]
    {
        if people > 0 {
            words.push_str(&format!(", {} {what}", grouped(people)));
        }
    }
    words
}

pub fn given_in_words(model: &Model, scored: &GivenScore) -> String {
    let mut text = String::new();
    let out = &mut text;
    line(out, format!("{:>16}  intercept", model.intercept.to_string()));
    for ((term, value), part) in model.terms.iter().zip(&scored.values).zip(&scored.sum.contributions) {
        if part.0 != 0 {
            line(out, format!("{:>16}  {} ({} x {value})", part.to_string(), term.label, term.coefficient));
        }
    }
    line(out, format!("{:>16}  linear predictor", scored.sum.linear_predictor.to_string()));
    line(
        out,
        format!(
            "{:>16.9}  score{}",
            scored.score,
            scored.band.as_ref().map(|band| format!(", band {band}")).unwrap_or_default()
        ),
    );
    text
}

pub fn explanation_in_words(answer: &Answer, all: bool) -> String {
    let mut text = String::new();
    match answer {
        Answer::NotScored(reasons) => {
            reasons.iter().for_each(|(model, reason)| line(&mut text, format!("{model}: not scored: {reason}")));
        }
        Answer::Scored(explanations) => {
            explanations.iter().for_each(|explanation| explained(&mut text, explanation, all));
        }
    }
    text
}

fn explained(out: &mut String, explanation: &Explanation, all: bool) {
    line(out, format!("{}: {}", explanation.model, explanation.title));
    line(out, format!("{:>16}  intercept", explanation.intercept.to_string()));
    for term in explanation.terms.iter().filter(|term| all || term.points.0 != 0) {
        line(out, format!("{:>16}  {}", term.points.to_string(), term.label));
        line(out, format!("{:18}{} x {}: {}", "", term.coefficient, term.value, term.how));
        let listed = 12;
        for event in term.events.iter().rev().take(listed) {
            line(out, format!("{:20}{}  {}: {}", "", event.day, event.stream, event.what));
        }
        if term.events.len() > listed {
            line(out, format!("{:20}and {} earlier", "", term.events.len() - listed));
        }
    }
    if explanation.raised_to_floor.0 != 0 {
        line(out, format!("{:>16}  raised to the model's floor", explanation.raised_to_floor.to_string()));
    }
    line(out, format!("{:>16}  linear predictor, as published", explanation.linear_predictor.to_string()));
    let band = explanation.band.as_ref().map(|band| format!(", band {band}")).unwrap_or_default();
    let fidelity = explanation.fidelity.as_ref().map(|grade| format!(", fidelity {grade}")).unwrap_or_default();
    let rank = explanation.rank.map(|rank| format!(", rank {rank} of {}", explanation.ranked)).unwrap_or_default();
    line(out, format!("{:>16.6}  score{rank}{band}{fidelity}", explanation.score));
    for change in &explanation.moves {
        let how = change.change.as_deref().unwrap_or("no single term does it");
        line(out, format!("{:18}band {} is {} away: {how}", "", change.to_band, change.distance));
    }
    line(out, String::new());
}

pub fn why_not_in_words(cohort: &str, held: &[ConditionHeld]) -> String {
    let mut text = String::new();
    let failed = held.iter().filter(|condition| !condition.holds).count();
    line(&mut text, format!("cohort {cohort}: {failed} of {} conditions do not hold", held.len()));
    for condition in held {
        let values: Vec<String> = condition
            .values
            .iter()
            .map(|(name, value)| format!("{name} = {}", if value.is_empty() { "nothing" } else { value }))
            .collect();
        let mark = if condition.holds { "holds" } else { "FAILS" };
        line(&mut text, format!("  {mark}  {}   [{}]", condition.condition, values.join(", ")));
    }
    text
}

/// A cohort in plain words.
pub fn cohort_said(cohort: &Cohort) -> String {
    let mut text = String::new();
    let out = &mut text;
    line(out, format!("{}: {}", cohort.id, cohort.title));
    line(out, format!("  what for     {}", cohort.purpose));
    line(out, format!("  rule from    {}", cohort.source));
    line(out, format!("  who          {}", cohort.condition));
    cohort.stay.iter().for_each(|stay| line(out, format!("  who stays    {stay}")));
    for exclusion in &cohort.exclusions {
        line(out, format!("  left out     {}: {}", exclusion.reason, exclusion.condition));
    }
    line(out, format!("  order        {}", cohort.order_by.join(", ")));
    cohort.capacity.iter().for_each(|capacity| line(out, format!("  room         {}", capacity.in_words())));
    if let Some(history) = &cohort.history {
        line(out, format!("  looks back   {} months of {}", history.back, history.model));
    }
    line(out, format!("  score        {}", cohort.model));
    line(out, format!("  shows        {}", cohort.columns.join(", ")));
    cohort.derive.iter().for_each(|(name, sql)| line(out, format!("  {name} is {sql}")));
    cohort.assumed.iter().for_each(|assumed| line(out, format!("  assumed      {assumed}")));
    text
}

/// What a rule comes to; small numbers are hidden and others are to the nearest 5.
pub fn trial_in_words(trial: &Trial) -> String {
    let mut text = String::new();
    let out = &mut text;
    let shown = |people: u64| disclosure::count(people).to_string();
    line(out, format!("{} as of {}: {} people registered", trial.cohort.id, trial.as_of, shown(trial.registered)));
    line(out, format!("{:>12} {:>12}  condition", "left", "it alone"));
    for step in &trial.steps {
        line(out, format!("{:>12} {:>12}  {}", shown(step.left), shown(step.alone), step.condition));
    }
    for (reason, people) in &trial.excluded {
        line(out, format!("{:>12} {:>12}  left out: {reason}", "", shown(*people)));
    }
    if trial.cohort.capacity.is_some() {
        line(out, format!("{:>12} {:>12}  below capacity", "", shown(trial.below_capacity)));
    }
    line(out, format!("{:>12} {:>12}  on the list", shown(trial.on_list), ""));
    for group in &trial.groups {
        line(
            out,
            format!("\n{:<24} {:>12} {:>12} {:>15}", group.column, "registered", "on the list", "below capacity"),
        );
        for of in &group.lines {
            let word = if of.word.is_empty() { "not known" } else { &of.word };
            let (registered, on_list, below) = (shown(of.registered), shown(of.on_list), shown(of.below_capacity));
            line(out, format!("{word:<24} {registered:>12} {on_list:>12} {below:>15}"));
        }
    }
    line(out, "\n1 to 7 people are shown as *, other numbers to the nearest 5".to_owned());
    text
}

/// What came of the people on each list.
pub fn yields_in_words(lines: &[YieldLine]) -> String {
    let mut text = String::new();
    let out = &mut text;
    line(out, format!("{:<28} {:>12} {:>12} {:>12} {:>8}", "list", "people", "followed", "outcome", "share"));
    for of in lines {
        let name = if of.cohort.is_empty() { "everybody registered" } else { &of.cohort };
        let share = match disclosure::rate(of.events, of.followed) {
            Some((part, whole)) if whole > 0 => format!("{:.1} %", part as f64 * 100.0 / whole as f64),
            _ => disclosure::HIDDEN.to_owned(),
        };
        let (people, followed) = (disclosure::count(of.people), disclosure::count(of.followed));
        let events = disclosure::count(of.events);
        line(out, format!("{name:<28} {people:>12} {followed:>12} {events:>12} {share:>8}"));
    }
    line(out, "\n1 to 7 people are shown as *, other numbers to the nearest 5".to_owned());
    text
}

pub fn imported_in_words(imported: &Imported) -> String {
    let mut text = String::new();
    line(
        &mut text,
        format!("{} codes; {} repeated, {} no longer active", imported.codes, imported.repeated, imported.inactive),
    );
    if !imported.malformed.is_empty() {
        let lines: Vec<String> = imported.malformed.iter().take(20).map(usize::to_string).collect();
        line(&mut text, format!("left out, not in the form of the system: lines {}", lines.join(", ")));
    }
    text
}

/// What a list holds, and what putting it in the place of another of its name would change.
pub fn changes_in_words(list: &CodeList, then: Option<&CodeList>) -> String {
    let mut text = String::new();
    line(
        &mut text,
        format!("{}: {} codes in {} categories; {}", list.id, list.codes, list.categories.len(), list.source),
    );
    if then.is_none() {
        line(
            &mut text,
            format!(
                "no list \"{}\" is in use; a model can name this one once it lies in codelists/ under --models",
                list.id
            ),
        );
        return text;
    }
    let changed = changes(list, then);
    if changed.is_empty() {
        line(&mut text, format!("the same codes as the \"{}\" in use", list.id));
    }
    for change in changed {
        let some = |codes: &[String]| match codes.len() {
            0 => "none".to_owned(),
            1..=8 => format!("{}: {}", codes.len(), codes.join(", ")),
            many => format!("{many}: {} ...", codes[..8].join(", ")),
        };
        line(
            &mut text,
            format!("  {}: adds {}; removes {}", change.category, some(&change.added), some(&change.removed)),
        );
    }
    text
}

fn line(out: &mut String, text: String) {
    writeln!(out, "{text}").expect("writing to a string");
}
