//! A layout in plain words: which columns, what they mean, what is taken as missing, what makes two rows one.

use std::fmt::Write;

use super::layout::{AmountUnit, Builds, Covers, DayColumn, Encoding, Field, FieldSystem, LayoutFile};

/// How many raw values of a word are printed.
const SHOWN_VALUES: usize = 12;

/// The whole layout as text: a page that a body's data manager can hold against the extract.
pub fn describe(layout: &LayoutFile) -> String {
    let mut text = String::new();
    let out = &mut text;
    let header = &layout.layout;
    line(out, &format!("{}  {}", header.id, header.title));
    line(out, &format!("source:  {}", header.source));
    line(out, &format!("one row: {}", header.one_row));
    line(out, &format!("becomes: {}", becomes(layout)));
    line(out, &format!("covers:  {}", covers(header.covers)));
    line(out, &format!("files:   {}", files(layout)));
    line(out, "\ncolumns:");
    columns(out, layout);
    fields(out, layout);
    rules(out, layout);
    text
}

/// One line about a layout, for a list of them.
pub fn summary(layout: &LayoutFile) -> String {
    format!("{:<24} {:<12} {}", layout.layout.id, kind(layout.layout.builds), layout.layout.title)
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("writing to a string");
}

fn kind(builds: Builds) -> &'static str {
    match builds {
        Builds::Register => "register",
        Builds::Registrations => "registrations",
        Builds::Deaths => "deaths",
        Builds::OptOuts => "opt-outs",
        Builds::Practices => "practices",
        Builds::Events => "events",
        Builds::Intervals => "intervals",
        Builds::Spells => "spells",
    }
}

fn becomes(layout: &LayoutFile) -> String {
    let stream = layout.layout.stream.as_deref().unwrap_or_default();
    match layout.layout.builds {
        Builds::Register => "people and their registrations: who is scored, where, and from when".to_owned(),
        Builds::Registrations => "registrations of people whom the register has, under [[register.with]]".to_owned(),
        Builds::Deaths => "deaths of people whom the register has, under [[register.with]]".to_owned(),
        Builds::OptOuts => "people to leave out of everything".to_owned(),
        Builds::Practices => "names and places of practices, by practice code".to_owned(),
        Builds::Events => format!("one event of stream `{stream}` for each row"),
        Builds::Intervals => format!("one event of stream `{stream}` for each row, from its first day to its last"),
        Builds::Spells => {
            "spells, joined from episodes: one event of stream `admission` each, one `continuous_spell` for \
             spells that follow each other by transfer, one `episode` for each episode, one \
             `diagnosis` or `procedure` for each distinct code"
                .to_owned()
        }
    }
}

fn covers(covers: Covers) -> &'static str {
    match covers {
        Covers::Everyone => "everybody of the area",
        Covers::Practices => "the people of the practices that send it",
    }
}

fn files(layout: &LayoutFile) -> String {
    let encoding = match layout.csv.encoding {
        Encoding::Utf8 => "utf-8",
        Encoding::Windows1252 => "windows-1252",
    };
    let delimiter = match layout.csv.delimiter.as_str() {
        "," => "commas",
        "\t" => "tabs",
        ";" => "semicolons",
        "|" => "bars",
        other => other,
    };
    format!("CSV in {encoding} with {delimiter} (also .gz, .zst), or Parquet")
}

fn column(out: &mut String, name: &str, means: &str) {
    line(out, &format!("  {name:<32} {means}"));
}

fn day(out: &mut String, of: &DayColumn, means: &str) {
    column(out, &of.column, means);
    if !of.null.is_empty() {
        column(out, "", &format!("taken as missing: empty, {}", of.null.join(", ")));
    }
}

fn columns(out: &mut String, layout: &LayoutFile) {
    let person = match layout.layout.builds {
        Builds::Practices => "the practice code",
        _ => "the pseudonym; its case does not matter",
    };
    column(out, &layout.person.column, person);
    if let Some(of) = &layout.day {
        day(out, of, "the day of the event; a row without one is a reject");
    }
    if let Some(of) = &layout.recorded {
        day(out, of, "the day of recording: an event is not known before it");
    }
    if let Some(of) = &layout.end {
        day(out, of, "the last day; missing means that it goes on");
    }
    layout.ended_by.iter().for_each(|of| day(out, of, "a day that ends it, whatever its own end says"));
    if let Some(amount) = &layout.amount {
        let unit = match amount.unit {
            AmountUnit::Pounds => "an amount in pounds, kept as pence",
            AmountUnit::Pence => "an amount in pence",
            AmountUnit::Measured => "a measured value, kept in thousandths",
        };
        column(out, &amount.column, unit);
        if let Some(weekly) = &amount.weekly {
            column(out, "", "the price of a unit; kept is the cost a week, by the number of units that a week has");
            let rates = weekly.units_in_weeks.iter().map(|(name, (units, weeks))| format!("{name} {units}/{weeks}"));
            column(out, &weekly.frequency, &rates.collect::<Vec<_>>().join(", "));
            weekly.once.iter().for_each(|name| column(out, "", &format!("{name}: paid once, on the first day")));
            column(out, &weekly.planned, "units a week for every other frequency");
        }
    }
    register_columns(out, layout);
    episode_columns(out, layout);
}

const START: &str = "first day of the registration; missing is taken as 1900-01-01, and counted";
const END: &str = "last day of the registration; missing means that it goes on";

fn register_columns(out: &mut String, layout: &LayoutFile) {
    if let Some(registration) = &layout.registration {
        day(out, &registration.start, START);
        registration.end.iter().for_each(|end| day(out, end, END));
        registration
            .practice
            .iter()
            .for_each(|name| column(out, name, "the practice that the person is registered with"));
    }
    let Some(register) = &layout.register else { return };
    if let Some(month) = &register.birth_month {
        day(out, month, "month of birth; of a whole date the month is kept");
    }
    if let Some(birth) = &register.birth {
        column(out, &birth.year, "year of birth");
        column(out, &birth.month, &format!("month of birth; missing is taken as month {}", birth.month_otherwise));
    }
    column(out, &register.sex, "sex");
    for (word, raws) in &register.sex_values {
        column(out, "", &format!("{word}: {}", raws.join(", ")));
    }
    column(out, &register.practice, "the practice that the person is registered with");
    if !register.practice_null.is_empty() {
        column(out, "", &format!("no practice: empty, {}", register.practice_null.join(", ")));
    }
    if let Some(otherwise) = &register.practice_otherwise {
        column(out, "", &format!("people without one count under {otherwise}"));
    }
    register.registration_start.iter().for_each(|of| day(out, of, START));
    register.registration_end.iter().for_each(|of| day(out, of, END));
    register.death.iter().for_each(|of| day(out, of, "day of death"));
    if let Some(area) = &register.area {
        column(out, area, "small area of residence");
        if !register.area_null.is_empty() {
            column(out, "", &format!("no area: empty, {}", register.area_null.join(", ")));
        }
    }
    for (name, of) in &register.words {
        column(out, of, &format!("published as `{name}`, as it stands"));
    }
    for (name, of) in &register.numbers {
        column(out, of, &format!("published as `{name}`, a number"));
    }
}

fn episode_columns(out: &mut String, layout: &LayoutFile) {
    let Some(episode) = &layout.episode else { return };
    day(out, &episode.admission, "day of admission");
    episode.start.iter().for_each(|of| day(out, of, "first day of the episode"));
    episode.end.iter().for_each(|of| day(out, of, "last day of the episode"));
    day(out, &episode.discharge, "day of discharge; of whole spells, one without has not ended and is counted");
    if let Some(order) = &episode.order {
        let none = format!("place of the episode in its spell; {} mean none", episode.order_null.join(", "));
        column(out, order, &none);
    }
    if let Some(status) = &episode.status {
        column(out, status, &format!("{} is a finished episode; others are counted and left out", episode.finished));
    }
    episode.key.iter().for_each(|of| column(out, of, "tells episodes apart where all else is equal"));
    episode.submitted.iter().for_each(|of| day(out, of, "when the row was sent: of two copies the newer counts"));
}

fn fields(out: &mut String, layout: &LayoutFile) {
    if layout.fields.is_empty() {
        return;
    }
    line(out, "\nfields that models can ask about:");
    for field in &layout.fields {
        column(out, &field.name, &format!("{}, from {}", system(field), field_columns(field)));
        if !field.null.is_empty() {
            column(out, "", &format!("taken as missing: empty, {}", field.null.join(", ")));
        }
        for (word, raws) in &field.values {
            column(out, "", &format!("{word}: {}", some_of(raws)));
        }
    }
}

fn field_columns(field: &Field) -> String {
    let optional = if field.optional { " (a file may lack them)" } else { "" };
    match &field.columns[..] {
        [first, .., last] if field.columns.len() > 3 => {
            format!("{} columns, {first} to {last}{optional}", field.columns.len())
        }
        columns => format!("{}{optional}", columns.join(", ")),
    }
}

fn system(field: &Field) -> String {
    let what = match field.system {
        FieldSystem::Words if field.others_missing => "one of these words; any other value is taken as missing",
        FieldSystem::Words => "one of these words; any other value is a reject",
        FieldSystem::Text => "any text, in capitals",
        FieldSystem::Icd10 => "ICD-10 codes, with or without dot, filler and marks",
        FieldSystem::Opcs4 => "OPCS-4 codes",
        FieldSystem::Snomed => "SNOMED CT concept ids, as text or whole numbers",
        FieldSystem::Read2 => "Read v2 codes, five characters",
        FieldSystem::Ctv3 => "CTV3 codes, five characters",
        FieldSystem::Bnf => "BNF codes, up to 15 characters",
        FieldSystem::Dmd => "dm+d codes, as text or whole numbers",
    };
    let cut = field.characters.map(|count| format!(", the first {count} characters")).unwrap_or_default();
    let zeros = if field.leading_zeros_ignored { ", leading zeros ignored" } else { "" };
    let list = if field.list { ", several in a cell" } else { "" };
    let of = field.dictionary.as_ref().map(|name| format!(", by the dictionary {name}")).unwrap_or_default();
    format!("{what}{cut}{zeros}{list}{of}")
}

fn some_of(raws: &[String]) -> String {
    let more = raws.len().saturating_sub(SHOWN_VALUES);
    let shown = raws[..raws.len() - more].join(" | ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

fn rules(out: &mut String, layout: &LayoutFile) {
    for keep in &layout.keep {
        line(out, &format!("\nkept are rows whose {} is {}; others are counted", keep.field, keep.words.join(" or ")));
    }
    for table in &layout.dictionaries {
        let kept = table.keep.as_ref().map(|keep| format!(", where {} is {}", keep.column, keep.values.join(" or ")));
        let may_lack = if table.optional { "; a run may do without, and then has no such fields" } else { "" };
        let kept = kept.unwrap_or_default();
        line(out, &format!("\ndictionary {}: {} to {}{kept}{may_lack}", table.name, table.key, table.code));
        line(out, &format!("  source: {}", table.source));
    }
    if layout.layout.builds == Builds::Spells {
        line(
            out,
            "\ncopies of an episode agree in person, provider, first and last day, order, transit, admission and",
        );
        line(out, "  discharge: the fuller counts, then the newer");
    }
    if let Some(duplicates) = &layout.duplicates {
        line(out, &format!("\ncopies of a row agree in: {}", duplicates.columns.join(", ")));
        if let Some(near) = &duplicates.near {
            let minutes = near.within_minutes;
            line(out, &format!("  and lie in {} within {minutes} minutes of the first of them", near.column));
        }
        let newest = duplicates.newest.iter().map(|newest| format!("the one with the latest {}", newest.column));
        let open = layout.end.iter().map(|_| "one that goes on".to_owned());
        let prefer = duplicates.prefer.iter();
        let prefer = prefer.map(|prefer| format!("the first in {}: {}", prefer.column, prefer.order.join("; ")));
        let ranks: Vec<String> = newest.chain(open).chain(prefer).collect();
        ranks.iter().for_each(|rank| line(out, &format!("  of several: {rank}; else")));
        line(out, "  the fuller counts");
        line(out, &format!("  source: {}", duplicates.source));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::library::Library;

    fn layouts() -> Vec<LayoutFile> {
        let library = Library::load(None).unwrap().unwrap();
        library.layouts.values().map(|text| LayoutFile::parse(&text.file, &text.text).unwrap()).collect()
    }

    #[test]
    fn a_page_names_every_column_and_word_that_its_layout_has() {
        for layout in layouts() {
            let page = describe(&layout);
            let days = [&layout.day, &layout.recorded, &layout.end];
            let mut names: Vec<&str> = days.into_iter().flatten().map(|day| day.column.as_str()).collect();
            names.extend(layout.fields.iter().flat_map(|field| [field.name.as_str(), field.columns[0].as_str()]));
            names.extend(layout.fields.iter().flat_map(|field| field.values.keys().map(String::as_str)));
            names.extend(layout.amount.iter().map(|amount| amount.column.as_str()));
            names.push(&layout.person.column);
            for name in names {
                assert!(page.contains(name), "{}: no {name} in:\n{page}", layout.layout.id);
            }
        }
    }

    #[test]
    fn a_page_says_what_is_missing_and_what_is_a_copy() {
        let layouts = layouts();
        let page = |id: &str| describe(layouts.iter().find(|layout| layout.layout.id == id).unwrap());
        let outpatients = page("hes_op");
        for expected in [
            "taken as missing: empty, 1800-01-01, 1801-01-01",
            "attended: 5 | 6",
            "copies of a row agree in: ENCRYPTED_HESID, APPTDATE, PROCODE",
            "one event of stream `outpatient` for each row",
        ] {
            assert!(outpatients.contains(expected), "no {expected} in:\n{outpatients}");
        }
        assert!(page("hes_apc").contains("20 columns, DIAG_01 to DIAG_20"), "{}", page("hes_apc"));
        assert!(page("register").contains("female: 2"));
    }
}
