//! The gates of a run: figures taken from what was read and scored, each held against its limit.
//!
//! Every gate is judged, and every judgement published in `quality.json`, so that an analyst sees how near each is. A
//! breach that nobody let through stops the run, with all others at once.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use rayon::prelude::*;

use super::read::{counted, source_quality};
use super::{Loaded, Prepared, Scored};
use crate::day::{Day, Month};
use crate::gate::{Allowance, Gate, Judged, Outcome};
use crate::ingest::Input;
use crate::ingest::counts::{Counts, Reject, Rule};
use crate::ingest::coverage::streams_of;
use crate::ingest::layout::{Builds, Covers};
use crate::ingest::months::{Fall, MONTHS, RECENT_DAYS, SentRows, falls};
use crate::model::{Condition, Model, Take};
use crate::output::last::{Counted, LastRun};
use crate::output::manifest::{InputLine, SourceQuality, share};
use crate::score::people::ModelScores;
use crate::settings::Purpose;

/// What this run counts of itself, for its own gates and those of the next.
pub(super) fn count(prepared: &Prepared, loaded: &Loaded, sources: &[SourceQuality]) -> Result<Counted> {
    let mut models: Vec<String> = prepared.models.iter().map(|model| model.id.clone()).collect();
    models.sort();
    let rows = sources.iter().map(|source| (source.source.clone(), (source.rows, source.asked)));
    let with_rows = |(list, hits): (String, u64)| {
        let stream = list.split_once('/').map_or("", |(stream, _)| stream);
        let rows = rows_of_stream(prepared, loaded, stream);
        (list, (hits, rows))
    };
    let events = count_events(loaded)?;
    Ok(Counted {
        people: loaded.people.spine.people() as u64,
        models,
        rows: rows.collect(),
        list_hits: list_hits(loaded, &events).into_iter().map(with_rows).collect(),
        repeats: repeats(loaded, &events),
    })
}

/// Rows of the sources that a stream is made of.
fn rows_of_stream(prepared: &Prepared, loaded: &Loaded, stream: &str) -> u64 {
    let sources = prepared.sources.iter().zip(&loaded.linked.counts);
    sources.filter(|(input, _)| streams_of(&input.layout).contains(&stream)).map(|(_, counts)| counts.rows).sum()
}

/// By concept: its events, and those of them that are equal to another of their person. Equal events stand side by side,
/// so a look at the one before is enough.
fn count_events(loaded: &Loaded) -> Result<Vec<[u64; 2]>> {
    let linked = &loaded.linked;
    let none = || vec![[0u64; 2]; linked.concepts.len()];
    let add = |mut one: Vec<[u64; 2]>, two: Vec<[u64; 2]>| {
        one.iter_mut().zip(two).for_each(|(one, two)| *one = [one[0] + two[0], one[1] + two[1]]);
        one
    };
    let mut events = none();
    linked.each_timelines(&mut |timelines| {
        let count = |mut events: Vec<[u64; 2]>, person: u32| {
            let mut before = None;
            for event in timelines.of(person) {
                let counted = &mut events[event.concept as usize];
                *counted = [counted[0] + 1, counted[1] + u64::from(before == Some(event))];
                before = Some(event);
            }
            events
        };
        let counted = timelines.numbers().into_par_iter().with_min_len(1 << 14).fold(none, count).reduce(none, add);
        events = add(std::mem::take(&mut events), counted);
        Ok(())
    })?;
    Ok(events)
}

/// Events of each stream that repeat another, and all of them.
fn repeats(loaded: &Loaded, events: &[[u64; 2]]) -> BTreeMap<String, (u64, u64)> {
    let mut repeats: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (concept, [all, repeated]) in loaded.linked.concepts.iter().zip(events) {
        let of_stream = repeats.entry(loaded.plan.streams[concept.stream as usize].name.clone()).or_default();
        *of_stream = (of_stream.0 + repeated, of_stream.1 + all);
    }
    repeats
}

/// Events that meet a predicate which names a code list, by stream and list.
fn list_hits(loaded: &Loaded, events: &[[u64; 2]]) -> BTreeMap<String, u64> {
    let Loaded { plan, linked, .. } = loaded;
    let mut hits: BTreeMap<String, u64> = BTreeMap::new();
    for stream in &plan.streams {
        for list in stream.predicates.iter().flat_map(|predicate| lists_of(&predicate.conditions)) {
            hits.entry(format!("{}/{list}", stream.name)).or_default();
        }
    }
    for ((concept, [events, _]), passed_over) in linked.concepts.iter().zip(events).zip(&linked.passed_over) {
        let stream = &plan.streams[concept.stream as usize];
        let met = crate::ingest::classify::predicates_met(concept, stream);
        let mut lists: Vec<&str> = met.flat_map(|predicate| lists_of(&predicate.conditions)).collect();
        lists.sort_unstable();
        lists.dedup();
        for list in lists {
            *hits.entry(format!("{}/{list}", stream.name)).or_default() += events + passed_over;
        }
    }
    hits
}

/// The code lists that a row has to be in to meet some conditions.
fn lists_of(conditions: &BTreeMap<String, Condition>) -> impl Iterator<Item = &str> {
    let lists = conditions.values().filter_map(|condition| match condition {
        Condition::In(lists) => Some(lists),
        _ => None,
    });
    lists.flatten().map(String::as_str)
}

/// Judges gates of one run.
pub(super) struct Gatekeeper<'a> {
    pub prepared: &'a Prepared,
    pub loaded: &'a Loaded,
    pub sources: &'a [SourceQuality],
    pub counted: &'a Counted,
    /// The files that were read, with their hashes.
    pub files: &'a [InputLine],
}

/// How many months before the last as-of day are judged: longer ago, models ask about little.
const JUDGED_MONTHS: i32 = 24;
/// Files smaller than this may hold no more than a header, which many have.
const SAME_FILES_FROM_BYTES: u64 = 16 << 10;
/// What stands for the sender where the feed as a whole is meant.
const ALL_SENDERS: &str = "all";

/// Why a comparison was not made.
const NOTHING_TO_COMPARE: &str = "no earlier run to compare with";
const FEW_ROWS: &str = "too few rows to judge by";
const OTHER_MODELS: &str = "the earlier run had other models";

impl Gatekeeper<'_> {
    /// Gates of what was read, the same for all as-of days.
    pub fn of_reading(&self, last: Option<&LastRun>) -> Vec<Judged> {
        let mut judged = Vec::new();
        for (source, (input, counts)) in self.sources.iter().zip(counted(self.prepared, self.loaded)) {
            self.rows(source, input, counts, &mut judged);
            self.rows_against(source, last, &mut judged);
        }
        for (input, sent) in self.prepared.sources.iter().zip(&self.loaded.linked.sent) {
            self.same_files(input, &mut judged);
            self.newest(input, sent, &mut judged);
            self.months(input, sent, &mut judged);
        }
        self.people(last, &mut judged);
        self.births(&mut judged);
        self.repeats(last, &mut judged);
        self.lists(last, &mut judged);
        judged
    }

    /// Gates of what one as-of day's scores show.
    pub fn of_date(&self, scored: &Scored, last: Option<&LastRun>) -> Vec<Judged> {
        let mut judged = Vec::new();
        let models = self.prepared.models.iter().zip(&scored.scores.models).zip(&scored.strata);
        for ((model, of), strata) in models.filter(|((model, _), _)| model.is_scored()) {
            self.terms(model, of, &mut judged);
            self.scored(model, strata.scored.len() as u64, last, &mut judged);
        }
        self.look_ups(scored, &mut judged);
        judged
    }

    fn limit(&self, gate: Gate, input: Option<&Input>) -> f64 {
        let usual = input.and_then(|input| match gate {
            Gate::DuplicatesShare => input.layout.usual.duplicates_share,
            Gate::NewestEventDays => input.layout.usual.newest_event_days.map(f64::from),
            _ => None,
        });
        let stated = self.prepared.settings.limit(gate, input.map(|input| input.name.as_str()));
        stated.or(usual).unwrap_or(gate.usual_limit())
    }

    /// What a source's rows are like.
    fn rows(&self, source: &SourceQuality, input: &Input, counts: &Counts, judged: &mut Vec<Judged>) {
        let name = &source.source;
        let mut judge = |gate, scope: &str, figure, words| {
            judged.push(Judged::new(gate, scope, figure, self.limit(gate, Some(input)), words));
        };
        let rows = source.rows;
        judge(Gate::RowsAtLeast, name, rows as f64, format!("source \"{name}\": {} rows", some(rows)));
        let broken = Rule::ALL.into_iter().filter(|rule| rule.is_reject() && counts.of(*rule) > 0);
        let rules: Vec<String> = broken.map(|rule| format!("{} {}", rule.name(), counts.of(rule))).collect();
        let rules = if rules.is_empty() { String::new() } else { format!(" ({})", rules.join(", ")) };
        let (rejected, asked, of_asked) = (source.rejected, source.asked, source.rejected_share);
        let places = if of_asked > self.limit(Gate::RejectsShare, Some(input)) {
            first_rejects(input, counts)
        } else {
            String::new()
        };
        let words = format!(
            "source \"{name}\": {rejected} of {asked} rows break a rule{rules}, a share of {of_asked:.4}{places}"
        );
        judge(Gate::RejectsShare, name, of_asked, words);
        for (field, malformed) in &source.malformed_codes {
            let malformed = share(*malformed, rows);
            let words = format!(
                "source \"{name}\": a share of {malformed:.4} of rows has a {field} that is not in the form of its coding system"
            );
            judge(Gate::MalformedCodesShare, &format!("{name}/{field}"), malformed, words);
        }
        for (field, lacking) in &source.codes_not_in_dictionary {
            let lacking = share(*lacking, rows);
            let words =
                format!("source \"{name}\": a share of {lacking:.4} of rows has a {field} that its dictionary lacks");
            judge(Gate::CodesNotInDictionaryShare, &format!("{name}/{field}"), lacking, words);
        }
        self.rows_of_many(source, input, counts, judged);
        if !self.prepared.sources.iter().any(|of| of.name == *name) {
            return;
        }
        let mut judge = |gate, figure, words| {
            judged.push(Judged::new(gate, name, figure, self.limit(gate, Some(input)), words));
        };
        let strangers = share(counts.of(Rule::NotOnRegister), asked - counts.of(Rule::NotOfThisKind));
        let words = format!(
            "source \"{name}\": a share of {strangers:.4} of rows belongs to people who are not on the register"
        );
        judge(Gate::NotOnRegisterShare, strangers, words);
        let (gate, of_rows) = (Gate::AskedShare, share(asked, rows));
        if let Some(why) = self.why_not_judged(input) {
            judged.push(Judged::not(gate, name, self.limit(gate, Some(input)), why));
        } else {
            judge(
                gate,
                of_rows,
                format!("source \"{name}\": models ask about {asked} of {rows} rows, a share of {of_rows:.6}"),
            );
        }
    }

    /// Shares of which nothing follows where there are few rows.
    fn rows_of_many(&self, source: &SourceQuality, input: &Input, counts: &Counts, judged: &mut Vec<Judged>) {
        let (name, rows) = (&source.source, source.rows);
        let copies = counts.of(Rule::Duplicate);
        // Amounts are looked at of rows that are asked about.
        let (of_used, bad_amounts) = (share(copies, source.used + copies), share(source.bad_amounts, source.asked));
        for (gate, figure, what) in [
            (Gate::DuplicatesShare, of_used, "are copies of another"),
            (Gate::BadAmountsShare, bad_amounts, "that models ask about have an amount that is not a number"),
        ] {
            let limit = self.limit(gate, Some(input));
            if rows < self.prepared.settings.judged_from_rows(name) {
                judged.push(Judged::not(gate, name, limit, FEW_ROWS));
                continue;
            }
            let words = format!("source \"{name}\": a share of {figure:.4} of rows {what}");
            judged.push(Judged::new(gate, name, figure, limit, words));
        }
    }

    /// Whether any model asks about a source's streams.
    fn is_asked(&self, input: &Input) -> bool {
        streams_of(&input.layout).into_iter().any(|stream| self.loaded.plan.stream(stream).is_some())
    }

    /// How old the newest rows of a source are.
    fn newest(&self, input: &Input, sent: &SentRows, judged: &mut Vec<Judged>) {
        let (name, gate) = (&input.name, Gate::NewestEventDays);
        let limit = self.limit(gate, Some(input));
        if let Some(why) = self.why_not_judged(input) {
            return judged.push(Judged::not(gate, name, limit, why));
        }
        let horizon = self.prepared.settings.horizon();
        let (days, words) = match sent.newest_days() {
            Some(days) => {
                (days as usize, format!("source \"{name}\": the newest rows are {days} days older than {horizon}"))
            }
            None => (RECENT_DAYS + 1, format!("source \"{name}\": no rows of the {RECENT_DAYS} days before {horizon}")),
        };
        judged.push(Judged::new(gate, name, days as f64, limit, words));
    }

    fn why_not_judged(&self, input: &Input) -> Option<&'static str> {
        let source = self.sources.iter().find(|source| source.source == input.name);
        let rows = source.map_or(0, |source| source.rows);
        if self.prepared.settings.purpose(&input.name) == Purpose::Aggregates {
            return Some("the feed is for aggregates alone");
        }
        match (self.is_asked(input), rows < self.prepared.settings.judged_from_rows(&input.name)) {
            (false, _) => Some("no model asks about the feed"),
            (true, true) => Some(FEW_ROWS),
            (true, false) => None,
        }
    }

    /// Months of which far fewer rows came than is usual: of the feed as a whole, else of one who sends it.
    fn months(&self, input: &Input, sent: &SentRows, judged: &mut Vec<Judged>) {
        let (name, gate) = (&input.name, Gate::MonthRowsShare);
        let limit = self.limit(gate, Some(input));
        if let Some(why) = self.why_not_judged(input) {
            return judged.push(Judged::not(gate, name, limit, why));
        }
        let settings = &self.prepared.settings;
        let horizon = settings.horizon();
        // The month of the newest rows is still to be filled.
        let newest = Day(horizon.0 - sent.newest_days().unwrap_or(RECENT_DAYS as u32) as i32);
        let last_whole = Month(Day(newest.0 + 1).month().0 - 1);
        let judged_from = Month(horizon.month().0 - JUDGED_MONTHS);
        let judge = |months: &[u64]| {
            let last = Day(horizon.0 - 1).month();
            let months = months.iter().enumerate().rev().map(|(back, rows)| (Month(last.0 - back as i32), *rows));
            let months: Vec<(Month, u64)> = months.filter(|(month, _)| *month <= last_whole).collect();
            falls(&months, judged_from, limit, settings.month_rows_from(name))
        };
        let by_sender: Vec<(&str, Vec<u64>)> =
            sent.senders().map(|sender| (sender, sent.months(&self.prepared.slots, sender, horizon))).collect();
        let mut all = vec![0; MONTHS];
        by_sender.iter().for_each(|(_, months)| all.iter_mut().zip(months).for_each(|(all, rows)| *all += rows));
        let (mut lowest, of_feed) = judge(&all);
        let mut found: Vec<(&str, Fall)> = of_feed.iter().map(|fall| (ALL_SENDERS, fall.clone())).collect();
        for (sender, months) in &by_sender {
            let (lowest_here, falls) = judge(months);
            let is_news = |fall: &Fall| !of_feed.iter().any(|of_feed| of_feed.holds(fall.first));
            let falls = falls.into_iter().filter(is_news).filter(|fall| !self.people_left(input, sender, fall, limit));
            let before = found.len();
            found.extend(falls.map(|fall| (*sender, fall)));
            // What the people who left explain is not the nearest to a breach.
            if let Some(fall) = lowest_here.filter(|fall| fall.share() >= limit || found.len() > before)
                && lowest.as_ref().is_none_or(|lowest| fall.share() < lowest.share())
            {
                lowest = Some(fall);
            }
        }
        if found.is_empty() {
            return judged.push(match lowest {
                None => Judged::not(gate, name, limit, FEW_ROWS),
                Some(fall) => Judged::new(gate, name, fall.share(), limit, fall_in_words(name, "", &fall)),
            });
        }
        for (sender, fall) in found {
            let scope = format!("{name}/{sender}/{}", fall.first);
            let mut one = Judged::new(gate, &scope, fall.share(), limit, fall_in_words(name, sender, &fall));
            if settings.limits.expects_fall(&scope) {
                one.outcome = Outcome::Allowed;
                one.words.push_str(" (limits.expected_month_falls names it)");
            }
            judged.push(one);
        }
    }

    /// Whether a practice sent less because its people left it.
    fn people_left(&self, input: &Input, sender: &str, fall: &Fall, limit: f64) -> bool {
        let spine = &self.loaded.people.spine;
        if input.layout.layout.covers != Covers::Practices {
            return false;
        }
        let Some(practice) = spine.practices.iter().position(|code| code.eq_ignore_ascii_case(sender)) else {
            return true;
        };
        let people = |month: Month| {
            let day = month.first_day();
            let is_there = |end: Option<Day>| end.is_none_or(|end| end >= day);
            let periods = spine.registrations.iter().filter(|period| period.practice as usize == practice);
            periods.filter(|period| period.start <= day && is_there(period.end)).count() as f64
        };
        let (now, before) = (people(fall.first), people(Month(fall.first.0 - 6)));
        before > 0.0 && fall.rows as f64 >= limit * fall.usual as f64 * now / before
    }

    /// A source against its rows in the last published run.
    fn rows_against(&self, source: &SourceQuality, last: Option<&LastRun>, judged: &mut Vec<Judged>) {
        let name = &source.source;
        let settings = &self.prepared.settings;
        let limit = |gate: Gate| settings.limit(gate, Some(name)).unwrap_or(gate.usual_limit());
        let then = last.and_then(|last| Some((last, *last.counted.rows.get(name)?)));
        let (why, then) = match then {
            None => (NOTHING_TO_COMPARE, None),
            Some((_, (rows, _))) if rows < settings.judged_from_rows(name) => (FEW_ROWS, None),
            Some(then) => ("", Some(then)),
        };
        let Some((last, (rows, asked))) = then else {
            let gates = [Gate::RowsFallShare, Gate::RowsRiseShare, Gate::AskedFallShare];
            judged.extend(gates.map(|gate| Judged::not(gate, name, limit(gate), why)));
            return;
        };
        for (gate, figure, what) in [
            (Gate::RowsFallShare, share(rows.saturating_sub(source.rows), rows), "fall"),
            (Gate::RowsRiseShare, share(source.rows.saturating_sub(rows), rows), "rise"),
        ] {
            let words = format!(
                "source \"{name}\": {} rows, and {rows} in the run as of {}: a {what} by a share of {figure:.4}",
                source.rows, last.as_of
            );
            judged.push(Judged::new(gate, name, figure, limit(gate), words));
        }
        let gate = Gate::AskedFallShare;
        if last.counted.models != self.counted.models {
            return judged.push(Judged::not(gate, name, limit(gate), OTHER_MODELS));
        }
        let (now, before) = (share(source.asked, source.rows), share(asked, rows));
        let figure = fall(now, before);
        let words = format!(
            "source \"{name}\": models ask about a share of {now:.4} of rows, and of {before:.4} in the run as of {}: a fall by a share of {figure:.4}",
            last.as_of
        );
        judged.push(Judged::new(gate, name, figure, limit(gate), words));
    }

    fn people(&self, last: Option<&LastRun>, judged: &mut Vec<Judged>) {
        let of = &self.loaded.people;
        let (people, opted_out) = (self.counted.people, of.opted_out + of.opted_out_by_code);
        let register = "register";
        let words = format!("the register has {} people", some(people));
        judged.push(Judged::new(
            Gate::PeopleAtLeast,
            register,
            people as f64,
            self.limit(Gate::PeopleAtLeast, None),
            words,
        ));
        let from = self.prepared.settings.judged_from_rows(register);
        let (gate, limit) = (Gate::OptedOutShare, self.limit(Gate::OptedOutShare, None));
        let (all, figure) = (people + opted_out, share(opted_out, people + opted_out));
        let words = format!("{opted_out} of {all} people on the register opted out, a share of {figure:.4}");
        judged.push(match all < from {
            true => Judged::not(gate, register, limit, FEW_ROWS),
            false => Judged::new(gate, register, figure, limit, words),
        });
        let (gate, limit) = (Gate::PeopleFallShare, self.limit(Gate::PeopleFallShare, None));
        judged.push(match last {
            None => Judged::not(gate, register, limit, NOTHING_TO_COMPARE),
            Some(last) if last.counted.people < from => Judged::not(gate, register, limit, FEW_ROWS),
            Some(last) => {
                let before = last.counted.people;
                let figure = share(before.saturating_sub(people), before);
                let words = format!(
                    "the register has {people} people, and had {before} in the run as of {}: a fall by a share of {figure:.4}",
                    last.as_of
                );
                Judged::new(gate, register, figure, limit, words)
            }
        });
    }

    /// Births that cannot be.
    fn births(&self, judged: &mut Vec<Judged>) {
        let (gate, register) = (Gate::BirthsThatCannotBeShare, "register");
        let (counts, limit) = (&self.loaded.people.register_counts, self.limit(gate, None));
        let (births, rows) = (counts.noted.get("births_that_cannot_be").copied().unwrap_or(0), counts.used);
        let figure = share(births, rows);
        let words =
            format!("{births} of {rows} rows of the register have a birth that cannot be, a share of {figure:.4}");
        judged.push(match rows < self.prepared.settings.judged_from_rows(register) {
            true => Judged::not(gate, register, limit, FEW_ROWS),
            false => Judged::new(gate, register, figure, limit, words),
        });
    }

    /// Streams of which far more events repeat another than in the last published run.
    fn repeats(&self, last: Option<&LastRun>, judged: &mut Vec<Judged>) {
        let (gate, limit) = (Gate::RepeatsRiseShare, self.limit(Gate::RepeatsRiseShare, None));
        let last = match last {
            None => return judged.push(Judged::not(gate, "streams", limit, NOTHING_TO_COMPARE)),
            Some(last) if last.counted.models != self.counted.models => {
                return judged.push(Judged::not(gate, "streams", limit, OTHER_MODELS));
            }
            Some(last) => last,
        };
        for (stream, &(repeated, events)) in &self.counted.repeats {
            let Some(&(repeated_before, events_before)) = last.counted.repeats.get(stream) else { continue };
            if events_before < self.prepared.settings.limits.judged_from_rows() {
                continue;
            }
            let (now, before) = (share(repeated, events), share(repeated_before, events_before));
            let figure = ((now - before).max(0.0) * 1e6).round() / 1e6;
            let words = format!(
                "{repeated} of {events} events of {stream} repeat another, a share of {now:.4}, and {before:.4} in the run as of {}: {figure:.4} more",
                last.as_of
            );
            judged.push(Judged::new(gate, stream, figure, limit, words));
        }
    }

    /// Files of a source that are another file of it, where rows have no key that tells copies.
    fn same_files(&self, input: &Input, judged: &mut Vec<Judged>) {
        let (gate, name) = (Gate::SameFiles, &input.name);
        let is_keyed = input.layout.duplicates.is_some() || input.layout.layout.builds == Builds::Spells;
        if is_keyed || !matches!(input.layout.layout.builds, Builds::Events | Builds::Intervals) {
            return;
        }
        let files = self.files.iter().filter(|file| file.source == *name && file.bytes >= SAME_FILES_FROM_BYTES);
        let mut by_hash: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        files.for_each(|file| by_hash.entry(&file.sha256).or_default().push(&file.file));
        let same: Vec<String> =
            by_hash.values().filter(|files| files.len() > 1).map(|files| files.join(" and ")).collect();
        let copies: usize = by_hash.values().map(|files| files.len() - 1).sum();
        let words = format!(
            "source \"{name}\": {} files are another byte for byte{}{}",
            some(copies as u64),
            if same.is_empty() { "" } else { ": " },
            same.join("; ")
        );
        judged.push(Judged::new(gate, name, copies as f64, self.limit(gate, Some(input)), words));
    }

    /// Code lists that find far fewer events than in the last published run.
    fn lists(&self, last: Option<&LastRun>, judged: &mut Vec<Judged>) {
        let (gate, limit) = (Gate::ListHitsFallShare, self.limit(Gate::ListHitsFallShare, None));
        let last = match last {
            None => return judged.push(Judged::not(gate, "lists", limit, NOTHING_TO_COMPARE)),
            Some(last) if last.counted.models != self.counted.models => {
                return judged.push(Judged::not(gate, "lists", limit, OTHER_MODELS));
            }
            Some(last) => last,
        };
        for (list, &(hits, rows)) in &self.counted.list_hits {
            let Some(&(hits_before, rows_before)) = last.counted.list_hits.get(list) else { continue };
            if hits_before < self.prepared.settings.limits.judged_from_rows() {
                continue;
            }
            // Of fewer rows a list finds less, which is another gate's business.
            let figure = fall(hits as f64 / rows.max(1) as f64, hits_before as f64 / rows_before.max(1) as f64);
            let (stream, of) = list.split_once('/').unwrap_or((list, ""));
            let words = format!(
                "code list \"{of}\" finds {hits} events of {stream} in {rows} rows, and {hits_before} in {rows_before} in the run as of {}: a fall by a share of {figure:.4}",
                last.as_of
            );
            judged.push(Judged::new(gate, list, figure, limit, words));
        }
    }

    fn terms(&self, model: &Model, of: &ModelScores, judged: &mut Vec<Judged>) {
        let limits = &self.prepared.settings.limits;
        let (gate, limit) = (Gate::DeadTerms, self.limit(Gate::DeadTerms, None));
        let is_judged = |people: u64| people > 0 && people >= limits.dead_terms_from_people();
        if !of.terms.iter().any(|tally| is_judged(tally.people)) {
            return judged.push(Judged::not(gate, &model.id, limit, "too few people are scored to judge by"));
        }
        let withheld = self.withheld_terms(model);
        let is_dead = |(place, (term, tally)): &(usize, (&crate::model::Term, &crate::score::people::TermTally))| {
            let is_expected = withheld[*place] || limits.expects_dead(&model.id, &term.name);
            is_judged(tally.people) && tally.is_dead() && !is_expected
        };
        let dead = model.terms.iter().zip(&of.terms).enumerate().filter(is_dead);
        let dead: Vec<_> = dead.map(|(_, dead)| dead).collect();
        if gate.lets(dead.len() as f64, limit) {
            let words = format!("model \"{}\": {} terms are the same for everybody", model.id, some(dead.len() as u64));
            return judged.push(Judged::new(gate, &model.id, dead.len() as f64, limit, words));
        }
        for (term, tally) in &dead {
            let words = format!(
                "model \"{}\", term \"{}\": the same ({}) for all {} people scored",
                model.id, term.name, tally.lowest, tally.people
            );
            judged.push(Judged::new(gate, format!("{}/{}", model.id, term.name), dead.len() as f64, limit, words));
        }
    }

    /// Which terms of a model are made of nothing but streams that no score may use: those say nothing by order.
    fn withheld_terms(&self, model: &Model) -> Vec<bool> {
        let (plan, withheld) = (&self.loaded.plan, self.prepared.withheld_streams());
        let is_withheld = |number: &usize| withheld.contains(&plan.streams[plan.measures[*number].stream].name);
        let of_model = self.prepared.models.iter().position(|known| known.id == model.id);
        let nodes = of_model.map_or(&[][..], |number| &plan.models[number].terms);
        let measures = nodes.iter().map(|node| plan.measures_of(*node));
        measures.map(|measures| !measures.is_empty() && measures.iter().all(is_withheld)).collect()
    }

    fn scored(&self, model: &Model, scored: u64, last: Option<&LastRun>, judged: &mut Vec<Judged>) {
        let (gate, limit) = (Gate::ScoredFallShare, self.limit(Gate::ScoredFallShare, None));
        let before = last.and_then(|last| Some((last, *last.scored.get(&model.id)?)));
        judged.push(match before {
            None => Judged::not(gate, &model.id, limit, NOTHING_TO_COMPARE),
            Some((_, before)) if before < self.prepared.settings.limits.judged_from_rows() => {
                Judged::not(gate, &model.id, limit, "too few people were scored to judge by")
            }
            Some((last, before)) => {
                let figure = share(before.saturating_sub(scored), before);
                let words = format!(
                    "model \"{}\": {scored} people scored, and {before} in the run as of {}: a fall by a share of {figure:.4}",
                    model.id, last.as_of
                );
                Judged::new(gate, &model.id, figure, limit, words)
            }
        });
    }

    fn look_ups(&self, scored: &Scored, judged: &mut Vec<Judged>) {
        let gate = Gate::LookUpMissesShare;
        for (planned, look_ups) in self.loaded.plan.measures.iter().zip(&scored.scores.look_ups) {
            if let Take::LookUp { table, field, .. } = &planned.measure.take {
                let missed = share(look_ups.missed, look_ups.done);
                let words = format!(
                    "table \"{table}\" lacks the {field} of a share of {missed:.4} of the {} look-ups",
                    look_ups.done
                );
                let scope = format!("{table}/{field}");
                judged.push(Judged::new(gate, scope, missed, self.limit(gate, None), words));
            }
        }
    }
}

/// Stops whoever reads past data for another purpose than a run, where it is not fit for one.
///
/// # Errors
/// Every breach of what was read, as in a run that has nothing to compare with.
pub(super) fn check_reading(prepared: &Prepared, loaded: &Loaded) -> Result<()> {
    check_alone(prepared, loaded, |gatekeeper| (gatekeeper.of_reading(None), Vec::new()))
}

/// As [`check_reading`], of the scores of one day.
pub(super) fn check_scores(prepared: &Prepared, loaded: &Loaded, scored: &Scored) -> Result<()> {
    let as_of = scored.scores.as_of.to_string();
    check_alone(prepared, loaded, |gatekeeper| (Vec::new(), vec![(as_of, gatekeeper.of_date(scored, None))]))
}

type JudgedAt = (Vec<Judged>, Vec<(String, Vec<Judged>)>);

fn check_alone(prepared: &Prepared, loaded: &Loaded, judge: impl FnOnce(&Gatekeeper) -> JudgedAt) -> Result<()> {
    let sources = source_quality(prepared, loaded);
    let people = loaded.people.spine.people() as u64;
    let counted = Counted {
        people,
        models: Vec::new(),
        rows: BTreeMap::new(),
        list_hits: BTreeMap::new(),
        repeats: BTreeMap::new(),
    };
    let (judged, at) = judge(&Gatekeeper { prepared, loaded, sources: &sources, counted: &counted, files: &[] });
    let breaches = breaches(&judged, &at);
    if breaches.is_empty() { Ok(()) } else { Err(anyhow!(breaches.join("\n"))) }
}

/// The share by which a share fell.
fn fall(now: f64, before: f64) -> f64 {
    if before > now { ((before - now) / before * 1e6).round() / 1e6 } else { 0.0 }
}

fn fall_in_words(source: &str, sender: &str, fall: &Fall) -> String {
    let Fall { first, months, rows, usual } = fall;
    let by = match sender {
        "" | ALL_SENDERS => String::new(),
        sender => format!(" of \"{sender}\""),
    };
    let last = Month(first.0 + *months as i32 - 1);
    let until = if *months > 1 { format!(", and too few up to {last}") } else { String::new() };
    format!(
        "source \"{source}\": {rows} rows{by} in {first}, where {usual} are usual, a share of {:.4}{until}",
        fall.share()
    )
}

fn some(number: u64) -> String {
    if number == 0 { "no".to_owned() } else { number.to_string() }
}

/// The first places where a source's rows break a rule, a line each.
fn first_rejects(input: &Input, counts: &Counts) -> String {
    let place = |reject: &Reject| {
        let file = &input.files[reject.file].name;
        format!("\n  {file}, row {}, column \"{}\": {}", reject.row, reject.column, reject.rule.meaning())
    };
    counts.rejects.iter().take(3).map(place).collect()
}

/// Lets through what somebody allowed.
pub(super) fn let_through(judged: &mut [Judged], allowed: &[Allowance]) {
    for one in judged.iter_mut().filter(|one| one.outcome == Outcome::Breached) {
        if allowed.iter().any(|allowance| allowance.is_of(one.gate, &one.scope)) {
            one.outcome = Outcome::Allowed;
        }
    }
}

/// What a stopped run prints: every breach, and how one is let through. Empty where nothing is breached.
pub(super) fn breaches_in_words(judged: &[Judged], of_dates: &[(String, Vec<Judged>)], ended: &[Allowance]) -> String {
    let mut lines = breaches(judged, of_dates);
    let all = || judged.iter().chain(of_dates.iter().flat_map(|(_, judged)| judged));
    let is_breached = |allowance: &&Allowance| {
        all().any(|one| one.outcome == Outcome::Breached && allowance.is_of(one.gate, &one.scope))
    };
    lines.extend(ended.iter().filter(is_breached).map(ended_in_words));
    if let Some(first) = all().find(|one| one.outcome == Outcome::Breached) {
        lines.push(format!(
            "nothing is published; to let a gate through, once and for a reason that is written down: --allow {}:{} --because \"...\"",
            first.gate.name(),
            first.scope
        ));
    }
    lines.join("\n")
}

/// A standing allowance that has ended, in words.
pub(super) fn ended_in_words(allowance: &Allowance) -> String {
    let until = allowance.until.map(|until| until.to_string()).unwrap_or_default();
    format!("the settings let {} through until {until}, which is over", allowance.typed())
}

/// Every breach, a line each; of one that several dates have, the first.
fn breaches(judged: &[Judged], of_dates: &[(String, Vec<Judged>)]) -> Vec<String> {
    let breached = |judged: &&Judged| judged.outcome == Outcome::Breached;
    let mut lines: Vec<String> = judged.iter().filter(breached).map(Judged::breach_in_words).collect();
    let mut of_date: BTreeMap<(Gate, &str), (&str, &Judged, usize)> = BTreeMap::new();
    for (as_of, judged) in of_dates {
        for one in judged.iter().filter(breached) {
            let (_, _, dates) = of_date.entry((one.gate, &one.scope)).or_insert((as_of, one, 0));
            *dates += 1;
        }
    }
    for (as_of, one, dates) in of_date.values() {
        let others = if *dates > 1 { format!(" and {} later", dates - 1) } else { String::new() };
        lines.push(format!("as of {as_of}{others}: {}", one.breach_in_words()));
    }
    lines
}

/// The breaches that were let through, and why, a line each.
pub(super) fn let_through_in_words(judged: &[Judged], allowed: &[Allowance]) -> Vec<String> {
    let allowance = |one: &Judged| allowed.iter().find(|allowance| allowance.is_of(one.gate, &one.scope));
    let passed = judged.iter().filter(|one| one.outcome == Outcome::Allowed);
    let mut lines: Vec<String> = passed
        .filter_map(|one| {
            let words = one.breach_in_words();
            let places = words.find('\n').unwrap_or(words.len());
            Some(format!("{}, because: {}", &words[..places], allowance(one)?.because))
        })
        .collect();
    lines.sort();
    lines.dedup();
    lines
}

/// Allowances that no breach needed: a standing one may be out of date.
pub(super) fn not_needed<'a>(allowed: &'a [Allowance], judged: &[Judged]) -> Vec<&'a Allowance> {
    let is_needed = |allowance: &&Allowance| {
        judged.iter().any(|one| one.outcome == Outcome::Allowed && allowance.is_of(one.gate, &one.scope))
    };
    allowed.iter().filter(|allowance| !is_needed(allowance)).collect()
}
