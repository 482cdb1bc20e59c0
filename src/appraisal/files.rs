//! The files of a validation: the tidy table, the card, the plots, and what decided them.

use anyhow::Result;

use super::card::{Card, cell, find, levels, places};
use super::validate::{Options, Validation};
use crate::day::Day;
use crate::estimate::interval::Estimate;
use crate::model::Model;
use crate::output::OutputFile;
use crate::output::disclosure;
use crate::output::figures::{self, Figure};
use crate::output::plots::{Forest, Mark, Plot, Series};
use crate::run::{BackCast, PastDay};

/// Everything that a validation of one model at one day leaves behind.
pub fn files(
    back_cast: &BackCast,
    day: &PastDay,
    model: &Model,
    options: &Options,
    validation: &Validation,
) -> Result<Vec<OutputFile>> {
    let shared = shared_cells(back_cast, day.as_of, model);
    let mut files = vec![figures::csv(&shared, &validation.figures)?, card(back_cast, day, model, options, validation)];
    files.extend(plots(model, day.as_of, validation)?);
    files.push(manifest(back_cast, day.as_of, &files));
    Ok(files)
}

/// What every line of a table of figures opens with.
pub fn shared_cells(back_cast: &BackCast, as_of: Day, model: &Model) -> [(&'static str, String); 4] {
    [
        ("model", model.id.clone()),
        ("version", model.version.clone()),
        ("as_of", as_of.to_string()),
        ("horizon_days", back_cast.rule.days.to_string()),
    ]
}

/// `manifest.json`: hashes of everything that decided the files, and of the files.
pub fn manifest(back_cast: &BackCast, as_of: Day, files: &[OutputFile]) -> OutputFile {
    let mut decides = back_cast.decides.clone();
    decides.as_of = as_of.to_string();
    let outputs: serde_json::Map<String, serde_json::Value> =
        files.iter().map(|file| (file.path.clone(), file.sha256().into())).collect();
    let json = serde_json::json!({
        "run_id": decides.run_id(),
        "followed_until": back_cast.followed.until.to_string(),
        "decides": decides,
        "outputs": outputs,
    });
    let mut bytes = serde_json::to_vec_pretty(&json).expect("plain data has a JSON form");
    bytes.push(b'\n');
    OutputFile::new("manifest.json", bytes)
}

fn card(back_cast: &BackCast, day: &PastDay, model: &Model, options: &Options, validation: &Validation) -> OutputFile {
    let figures = &validation.figures;
    let all = |table, at: &str, name| find(figures, "all", "everybody", table, at, name);
    let mut card = Card::new(&format!("{} {} as of {}, held against what came", model.id, model.version, day.as_of));
    card.about(back_cast, day, model);
    card.section("Item 20: people");
    let counts = figures.iter().filter(|figure| matches!(figure.table, "counts" | "left out"));
    card.table(
        &["people", "number"],
        counts.map(|figure| {
            let what = if figure.at.is_empty() { figure.name.to_owned() } else { format!("left out: {}", figure.at) };
            vec![what, cell(&figure.value)]
        }),
    );
    card.section("Item 23a: how well it does");
    let whole = figures.iter().filter(|figure| matches!(figure.table, "discrimination" | "calibration"));
    card.table(
        &["figure", "value (95 % interval)"],
        whole.map(|figure| vec![figure.name.to_owned(), cell(&figure.value)]),
    );
    card.line(&format!(
        "\nIntervals: DeLong for the AUC, Wilson for shares, the fit's standard errors for calibration; for average \
         precision, Brier score, calibration error, net benefit and bed days people are drawn again {} times, seed {}.",
        options.repeats, options.seed
    ));
    card.section("What a list would have caught");
    let names =
        ["flagged", "PPV", "sensitivity", "specificity", "people to flag for one found", "bed days a flagged person"];
    let header: Vec<&str> = std::iter::once("who is flagged").chain(names).collect();
    let row = |at: &str| {
        let first = all("list", at, "flagged");
        std::iter::once(at.to_owned())
            .chain([first])
            .chain(names[1..].iter().map(|name| all("list", at, name)))
            .collect()
    };
    card.table(&header, places(figures, "list").into_iter().map(row));
    card.section("Expected and observed, by twentieth from the highest risk down and by band");
    let names = ["people", "mean predicted risk", "share with the outcome", "observed / expected"];
    let header: Vec<&str> = std::iter::once("part").chain(names).collect();
    for table in ["twentieths", "bands"] {
        let row = |at: &str| std::iter::once(at.to_owned()).chain(names.map(|name| all(table, at, name))).collect();
        card.table(&header, places(figures, table).into_iter().map(row));
        card.line("");
    }
    groups(&mut card, figures, options);
    card.open_items();
    card.file()
}

fn groups(card: &mut Card, figures: &[Figure], options: &Options) {
    card.section(&format!("Items 14 and 23b: by group; the list is the {}", options.list));
    let names = [
        "people",
        "share with the outcome",
        "AUC",
        "observed / expected",
        "slope",
        "PPV of the list",
        "sensitivity of the list",
        "false positive rate of the list",
    ];
    let header: Vec<&str> = ["group", "level"].into_iter().chain(names).collect();
    let everybody = ("all", "everybody");
    let row = |(group, level): (&str, &str)| {
        let cells = names.map(|name| find(figures, group, level, "groups", "", name));
        [group.to_owned(), level.to_owned()].into_iter().chain(cells).collect()
    };
    card.table(&header, std::iter::once(everybody).chain(levels(figures)).map(row));
    card.line("\n! marks a figure whose interval shares no value with that of everybody.");
}

fn shown(figures: &[Figure], table: &str, name: &str) -> Vec<(String, Estimate)> {
    let of = figures.iter().filter(|figure| figure.group == "all" && figure.table == table && figure.name == name);
    of.filter_map(|figure| Some((figure.at.clone(), figure.value.shown()?))).collect()
}

fn plots(model: &Model, as_of: Day, validation: &Validation) -> Result<Vec<OutputFile>> {
    let figures = &validation.figures;
    let title = |what: &str| format!("{what}: {} as of {as_of}", model.id);
    let diagonal = |name: &str, end: f64| Series {
        name: name.to_owned(),
        mark: Mark::Guide,
        points: vec![(0.0, Estimate::alone(0.0)), (end, Estimate::alone(end))],
    };
    let mut files = Vec::new();
    let (expected, observed) =
        (shown(figures, "twentieths", "mean predicted risk"), shown(figures, "twentieths", "share with the outcome"));
    let points: Vec<(f64, Estimate)> = observed
        .iter()
        .filter_map(|(at, share)| expected.iter().find(|(other, _)| other == at).map(|(_, risk)| (risk.value, *share)))
        .collect();
    if !points.is_empty() {
        let end = points.iter().map(|(x, y)| x.max(y.interval.map_or(y.value, |i| i.1))).fold(0.0, f64::max).min(1.0);
        let of = Series { name: "twentieths".to_owned(), mark: Mark::Points, points };
        let plot = Plot {
            name: "calibration",
            title: title("Calibration"),
            x: "mean predicted risk",
            y: "share with the outcome",
            x_range: (0.0, end),
            y_range: Some((0.0, end)),
            series: vec![diagonal("expected as observed", end), of],
        };
        files.push(plot.svg()?);
    }
    let may_show =
        !disclosure::is_hidden(validation.events) && !disclosure::is_hidden(validation.people - validation.events);
    if !validation.roc.is_empty() && may_show {
        let points =
            validation.roc.iter().map(|at| (at.false_positive_rate, Estimate::alone(at.true_positive_rate))).collect();
        let plot = Plot {
            name: "roc",
            title: title("Receiver operating characteristic"),
            x: "false positive rate",
            y: "true positive rate",
            x_range: (0.0, 1.0),
            y_range: Some((0.0, 1.0)),
            series: vec![
                diagonal("no better than chance", 1.0),
                Series { name: model.id.clone(), mark: Mark::Line, points },
            ],
        };
        files.push(plot.svg()?);
    }
    files.extend(precision(figures, &title)?);
    files.extend(decision_curve(figures, &model.id, &title)?);
    files.extend(subgroups(figures, &title)?);
    Ok(files)
}

/// PPV against sensitivity at the sizes of the list.
fn precision(figures: &[Figure], title: &dyn Fn(&str) -> String) -> Result<Option<OutputFile>> {
    let (ppv, sensitivity) = (shown(figures, "list", "PPV"), shown(figures, "list", "sensitivity"));
    let is_list = |at: &str| at.starts_with("top");
    let mut points: Vec<(f64, Estimate)> = ppv
        .iter()
        .filter(|(at, _)| is_list(at))
        .filter_map(|(at, ppv)| sensitivity.iter().find(|(other, _)| other == at).map(|(_, found)| (found.value, *ppv)))
        .collect();
    points.sort_by(|one, two| one.0.total_cmp(&two.0));
    if points.is_empty() {
        return Ok(None);
    }
    let plot = Plot {
        name: "precision",
        title: title("Precision at list size"),
        x: "sensitivity: share of all outcomes that is on the list",
        y: "PPV: share of the list with the outcome",
        x_range: (0.0, points.last().map_or(1.0, |(x, _)| (x * 1.05).min(1.0)).max(0.01)),
        y_range: Some((0.0, 1.0)),
        series: vec![Series { name: "lists of the King's Fund's sizes".to_owned(), mark: Mark::Points, points }],
    };
    Ok(Some(plot.svg()?))
}

fn decision_curve(figures: &[Figure], id: &str, title: &dyn Fn(&str) -> String) -> Result<Option<OutputFile>> {
    let curve = |name: &str| -> Vec<(f64, Estimate)> {
        let at = |at: &str| at.trim_start_matches("risk ").trim_end_matches(" %").parse::<f64>().unwrap_or_default();
        shown(figures, "net benefit", name).into_iter().map(|(place, of)| (at(&place), of)).collect()
    };
    let (score, all) = (curve("of the score"), curve("of flagging everybody"));
    if score.is_empty() {
        return Ok(None);
    }
    let highest = score.iter().chain(&all).map(|(_, of)| of.value).fold(0.0, f64::max);
    let last = score.last().map_or(1.0, |(x, _)| *x);
    let nobody = vec![(0.0, Estimate::alone(0.0)), (last, Estimate::alone(0.0))];
    let plot = Plot {
        name: "decision_curve",
        title: title("Decision curve"),
        x: "risk from which somebody is flagged, %",
        y: "net benefit",
        x_range: (0.0, last),
        y_range: Some((-highest * 0.25, highest * 1.05)),
        series: vec![
            Series { name: "nobody flagged".to_owned(), mark: Mark::Guide, points: nobody },
            Series { name: id.to_owned(), mark: Mark::Line, points: score },
            Series {
                name: "everybody flagged".to_owned(),
                mark: Mark::Line,
                points: all.into_iter().filter(|(_, of)| of.value >= -highest * 0.25).collect(),
            },
        ],
    };
    Ok(Some(plot.svg()?))
}

fn subgroups(figures: &[Figure], title: &dyn Fn(&str) -> String) -> Result<Option<OutputFile>> {
    let of = figures.iter().filter(|figure| figure.table == "groups" && figure.name == "observed / expected");
    let rows: Vec<(String, Estimate)> =
        of.filter_map(|figure| Some((format!("{}: {}", figure.group, figure.level), figure.value.shown()?))).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let forest =
        Forest { name: "groups", title: title("Calibration by group"), x: "observed / expected", guide: 1.0, rows };
    Ok(Some(forest.svg()?))
}
