//! Two models, or two versions of one, held against what came on the same people.

use std::path::Path;

use super::card::{Card, cell, find};
use super::files::{manifest, shared_cells};
use super::groups::groupings;
use super::validate::{Options, People, check_classes, figure};
use super::{Published, publish_all};
use crate::estimate::decision::Ranking;
use crate::estimate::discrimination::auc_difference;
use crate::estimate::interval::Estimate;
use crate::output::figures::{self, Figure, Value};
use crate::run::{BackCast, Cast, Failure, PastDay, Progress};

const ONE_CLASS: &str = "nobody has the outcome, or everybody has it";

/// The people who have a score of both models, and both scores.
struct Pair {
    cast: Cast,
    first: People,
    second: People,
    /// On the list of each model.
    on_first: Vec<bool>,
    on_second: Vec<bool>,
    bands: [Vec<Option<u8>>; 2],
}

impl Pair {
    fn new(back_cast: &BackCast, day: &PastDay, options: &Options) -> Pair {
        let models = &back_cast.prepared.models;
        let (first, second) = (day.cast(0), day.cast(1));
        let rows = |of: &Cast, other: &Cast| -> Vec<u32> {
            let is_in = |row: &u32| other.people.binary_search(&of.people[*row as usize]).is_ok();
            (0..of.people.len() as u32).filter(is_in).collect()
        };
        let (rows_first, rows_second) = (rows(&first, &second), rows(&second, &first));
        let one = People::new(&models[0], &first).only(&rows_first);
        let two = People::new(&models[1], &second).only(&rows_second);
        let listed = |people: &People| {
            let ranking = Ranking::new(&people.scores);
            let on_list = options.list.flagged(&ranking, &people.probabilities).unwrap_or(ranking.people());
            let mut listed = vec![false; ranking.people()];
            ranking.order[..on_list].iter().for_each(|&row| listed[row as usize] = true);
            listed
        };
        let people: Vec<u32> = rows_first.iter().map(|&row| first.people[row as usize]).collect();
        let bands = [0, 1].map(|model: usize| {
            people.iter().map(|&person| day.scored.strata[model].bands[person as usize]).collect::<Vec<_>>()
        });
        let outcomes = rows_first.iter().map(|&row| first.outcomes[row as usize]).collect();
        let linear_predictors = rows_first.iter().map(|&row| first.linear_predictors[row as usize]).collect();
        let cast = Cast { people, linear_predictors, outcomes, left_out: Default::default() };
        Pair { on_first: listed(&one), on_second: listed(&two), first: one, second: two, bands, cast }
    }

    /// The figures of some of them, in order.
    fn figures(&self, rows: &[u32]) -> Vec<(&'static str, Value)> {
        let (first, second) = (self.first.only(rows), self.second.only(rows));
        let (events, all) = (first.with_outcome(), rows.len() as u64);
        let others = all - events;
        let of = |estimate: Option<Estimate>| Value::estimate(estimate, events, others, ONE_CLASS);
        let areas = auc_difference(&first.scores, &second.scores, &first.events);
        let on = |row: &u32| (self.on_first[*row as usize], self.on_second[*row as usize]);
        let moved = |from: bool, to: bool| {
            let rows = rows.iter().filter(|row| on(row) == (from, to));
            rows.fold((0, 0), |(people, with), row| (people + 1, with + u64::from(self.first.events[*row as usize])))
        };
        let (gained, lost, kept) = (moved(false, true), moved(true, false), moved(true, true));
        let share = |(people, with): (u64, u64)| Value::Share { part: with, whole: people };
        vec![
            ("people", Value::Count(all)),
            ("people with the outcome", Value::Count(events)),
            ("AUC of the first", of(areas.map(|areas| areas.first))),
            ("AUC of the second", of(areas.map(|areas| areas.second))),
            ("AUC, second less first", of(areas.map(|areas| areas.difference))),
            ("p of the difference", of(areas.map(|areas| Estimate::alone(areas.p_value)))),
            ("on both lists", Value::Count(kept.0)),
            ("only on the list of the second", Value::Count(gained.0)),
            ("of these with the outcome", share(gained)),
            ("only on the list of the first", Value::Count(lost.0)),
            ("of these with the outcome, too", share(lost)),
        ]
    }

    /// Who changes band, by outcome.
    fn reclassified(&self, names: [Vec<&str>; 2]) -> Vec<Figure> {
        let mut figures = Vec::new();
        for (from, first) in names[0].iter().enumerate() {
            for (to, second) in names[1].iter().enumerate() {
                let is_there =
                    |row: &usize| self.bands[0][*row] == Some(from as u8) && self.bands[1][*row] == Some(to as u8);
                let rows: Vec<usize> = (0..self.cast.people.len()).filter(is_there).collect();
                let with = rows.iter().filter(|&&row| self.first.events[row]).count() as u64;
                let at = format!("{first} to {second}");
                figures.push(figure("bands", at.clone(), "people", Value::Count(rows.len() as u64)));
                let value = Value::Share { part: with, whole: rows.len() as u64 };
                figures.push(figure("bands", at, "share with the outcome", value));
            }
        }
        figures
    }
}

/// Compares the two models of a back-cast at each of its days and publishes `OUT/<first>-<second>/<as-of>/`.
///
/// # Errors
/// What stops a back-cast; nobody with both scores, or one class alone.
pub fn compare(
    back_cast: &BackCast,
    options: &Options,
    out: &Path,
    progress: &dyn Progress,
) -> Result<Vec<Published>, Failure> {
    let models = &back_cast.prepared.models;
    let mut made = Vec::new();
    for as_of in &back_cast.prepared.settings.as_of.0 {
        let day = back_cast.at(*as_of, progress)?;
        let pair = Pair::new(back_cast, &day, options);
        let both = format!("{}\" and of \"{}", models[0].id, models[1].id);
        check_classes(&both, &day, &pair.cast).map_err(Failure::Data)?;
        let figures = all_figures(back_cast, &day, &pair);
        let mut shared = shared_cells(back_cast, *as_of, &models[0]).to_vec();
        shared.insert(2, ("second", models[1].id.clone()));
        shared.insert(3, ("second_version", models[1].version.clone()));
        let mut files = vec![
            figures::csv(&shared, &figures).map_err(Failure::Unexpected)?,
            card(back_cast, &day, options, &figures).file(),
        ];
        files.push(manifest(back_cast, *as_of, &files));
        made.push((*as_of, files, figures));
    }
    let folder = out.join(format!("{}-{}", models[0].id, models[1].id));
    let names = made.iter().map(|(as_of, files, _)| (as_of.to_string(), files.clone())).collect();
    let folders = publish_all(&folder, names)?;
    let published = made.into_iter().zip(folders);
    Ok(published.map(|((as_of, _, figures), folder)| Published { as_of, folder, figures }).collect())
}

fn all_figures(back_cast: &BackCast, day: &PastDay, pair: &Pair) -> Vec<Figure> {
    let models = &back_cast.prepared.models;
    let everybody: Vec<u32> = (0..pair.cast.people.len() as u32).collect();
    let lines = |group: &str, level: &str, rows: &[u32]| -> Vec<Figure> {
        let line = |(name, value)| Figure {
            group: group.to_owned(),
            level: level.to_owned(),
            ..figure("comparison", "", name, value)
        };
        pair.figures(rows).into_iter().map(line).collect()
    };
    let mut figures = lines("all", "everybody", &everybody);
    figures.extend(pair.reclassified([models[0].bands.names(), models[1].bands.names()]));
    for grouping in groupings(back_cast, day, 0, &pair.cast) {
        for (place, level) in grouping.levels.iter().enumerate() {
            let rows: Vec<u32> =
                everybody.iter().copied().filter(|&row| usize::from(grouping.of[row as usize]) == place).collect();
            figures.extend(lines(grouping.name, level, &rows));
        }
    }
    figures
}

fn card(back_cast: &BackCast, day: &PastDay, options: &Options, figures: &[Figure]) -> Card {
    let [first, second] = [0, 1].map(|model: usize| &back_cast.prepared.models[model]);
    let title = format!("{} {} against {} {} as of {}", first.id, first.version, second.id, second.version, day.as_of);
    let mut card = Card::new(&title);
    card.about(back_cast, day, first);
    card.items([format!("Second model: {} {}, {}.", second.id, second.version, second.title)]);
    card.section(&format!("On the same people; the list is the {}", options.list));
    let everybody = figures.iter().filter(|figure| figure.group == "all" && figure.table == "comparison");
    card.table(
        &["figure", "value (95 % interval)"],
        everybody.map(|figure| vec![figure.name.to_owned(), cell(&figure.value)]),
    );
    card.section("From band to band");
    let moves = figures.iter().filter(|figure| figure.table == "bands" && figure.name == "people");
    card.table(
        &["from and to", "people", "share with the outcome"],
        moves.map(|figure| {
            let share = find(figures, "all", "everybody", "bands", &figure.at, "share with the outcome");
            vec![figure.at.clone(), cell(&figure.value), share]
        }),
    );
    card.section("Items 14 and 23b: by group");
    let names = ["people", "AUC, second less first", "only on the list of the second", "only on the list of the first"];
    let header: Vec<&str> = ["group", "level"].into_iter().chain(names).collect();
    let mut levels: Vec<(&str, &str)> = Vec::new();
    for figure in figures.iter().filter(|figure| figure.table == "comparison" && figure.group != "all") {
        if levels.last() != Some(&(&*figure.group, &*figure.level)) {
            levels.push((&figure.group, &figure.level));
        }
    }
    card.table(
        &header,
        levels.into_iter().map(|(group, level)| {
            let cells = names.map(|name| find(figures, group, level, "comparison", "", name));
            [group.to_owned(), level.to_owned()].into_iter().chain(cells).collect()
        }),
    );
    card.open_items();
    card
}
