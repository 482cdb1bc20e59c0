//! Published facts and stated assumptions that the population is drawn from, embedded as CSV.
//!
//! Every file under `tables/` opens with a line that says where its numbers come from. Rates are turned into one number per
//! single year of age, so the rest of the module never meets an age band.

use std::collections::BTreeMap;

/// Ages 0 to 105; older people have the rates of the last.
pub const AGES: usize = 106;

/// A rate by sex (0 women, 1 men) and single year of age.
#[derive(Clone)]
pub struct ByAge(pub [[f64; AGES]; 2]);

impl ByAge {
    pub fn at(&self, sex: Sex, age: i32) -> f64 {
        self.0[sex as usize][age.clamp(0, AGES as i32 - 1) as usize]
    }

    pub fn from_fn(mut rate: impl FnMut(Sex, i32) -> f64) -> ByAge {
        let mut rates = [[0.0; AGES]; 2];
        for sex in [Sex::Female, Sex::Male] {
            for age in 0..AGES as i32 {
                rates[sex as usize][age as usize] = rate(sex, age);
            }
        }
        ByAge(rates)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sex {
    Female = 0,
    Male = 1,
}

/// One row of a table: its cells by column name.
pub type Row = BTreeMap<String, String>;

/// The rows of an embedded table, without the source line.
pub fn rows(text: &str) -> Vec<Row> {
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(text.as_bytes());
    let header = reader.headers().expect("an embedded table has a header").clone();
    reader
        .records()
        .map(|record| {
            let record = record.expect("an embedded table is well formed");
            header.iter().map(str::to_owned).zip(record.iter().map(str::to_owned)).collect()
        })
        .collect()
}

/// A cell of an embedded table; that it is there is a fact of the source, not of the input.
pub fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column).unwrap_or_else(|| panic!("an embedded table lacks column {column}"))
}

pub fn number(row: &Row, column: &str) -> f64 {
    let cell = text(row, column);
    cell.parse().unwrap_or_else(|_| panic!("column {column} of an embedded table holds {cell:?}"))
}

/// First and last age of a band such as `5-9`, `0` or `85+`.
pub fn band(text: &str) -> (i32, i32) {
    let whole = |part: &str| part.parse().unwrap_or_else(|_| panic!("age band {text:?}"));
    if let Some(first) = text.strip_suffix('+') {
        return (whole(first), AGES as i32);
    }
    text.split_once('-').map_or_else(|| (whole(text), whole(text)), |(first, last)| (whole(first), whole(last)))
}

pub fn sex_of(row: &Row) -> Sex {
    if text(row, "sex") == "F" { Sex::Female } else { Sex::Male }
}

fn by_band_and_sex(table: &str, column: &str) -> ByAge {
    let rows = rows(table);
    ByAge::from_fn(|sex, age| {
        let row = rows.iter().find(|row| {
            let (first, last) = band(text(row, "age_band"));
            sex_of(row) == sex && (first..=last).contains(&age)
        });
        number(row.expect("a rate for every age and sex"), column)
    })
}

fn by_band(table: &str, column: impl Fn(Sex) -> &'static str, below_first: f64) -> ByAge {
    let rows = rows(table);
    ByAge::from_fn(|sex, age| {
        let row = rows.iter().find(|row| {
            let (first, last) = band(text(row, "age_band"));
            (first..=last).contains(&age)
        });
        row.map_or(below_first, |row| number(row, column(sex)))
    })
}

/// Five-year bands of the area population: 0-4, 5-9, …, 90 and over.
pub const BANDS: usize = 19;

/// A small area group: where people live, by sex and five-year band, and the small areas in it.
pub struct Msoa {
    pub code: String,
    pub district: String,
    pub people: [[f64; BANDS]; 2],
    pub lsoas: Vec<Lsoa>,
}

pub struct Lsoa {
    pub code: String,
    /// 1 is the most deprived tenth of England.
    pub decile: u8,
}

pub fn msoas() -> Vec<Msoa> {
    let mut areas: Vec<Msoa> = Vec::new();
    for row in rows(include_str!("tables/msoa_population.csv")) {
        let code = text(&row, "msoa11_code");
        if areas.last().is_none_or(|area| area.code != code) {
            let district = text(&row, "district").to_owned();
            areas.push(Msoa { code: code.to_owned(), district, people: [[0.0; BANDS]; 2], lsoas: Vec::new() });
        }
        let area = areas.last_mut().expect("just pushed");
        for (index, people) in area.people[sex_of(&row) as usize].iter_mut().enumerate() {
            let name = if index == BANDS - 1 { "90+".to_owned() } else { format!("{}-{}", index * 5, index * 5 + 4) };
            *people = number(&row, &name);
        }
    }
    let places: BTreeMap<String, usize> =
        areas.iter().enumerate().map(|(index, area)| (area.code.clone(), index)).collect();
    for row in rows(include_str!("tables/lsoa.csv")) {
        let decile = number(&row, "imd2019_decile") as u8;
        let lsoa = Lsoa { code: text(&row, "lsoa11_code").to_owned(), decile };
        if let Some(&place) = places.get(text(&row, "msoa11_code")) {
            areas[place].lsoas.push(lsoa);
        }
    }
    areas.retain(|area| !area.lsoas.is_empty());
    areas
}

/// Rates a year for one person.
pub struct Rates {
    pub emergency_admissions: ByAge,
    pub episodes_per_emergency: ByAge,
    pub electives: ByAge,
    pub outpatients: ByAge,
    pub emergency_attendances: ByAge,
    pub gp_visits: ByAge,
    pub deaths: ByAge,
    pub care_home_share: ByAge,
    /// Emergency admissions by deprivation over all, by fifth (0 most deprived), sex and age.
    pub emergency_by_fifth: [ByAge; 5],
}

impl Rates {
    pub fn load() -> Rates {
        let per_1000 = |mut rates: ByAge| {
            rates.0.iter_mut().flatten().for_each(|rate| *rate /= 1000.0);
            rates
        };
        let emergency = include_str!("tables/emergency_rates.csv");
        let activity = include_str!("tables/activity.csv");
        Rates {
            emergency_admissions: per_1000(by_band_and_sex(emergency, "emergency_admissions_per_1000")),
            episodes_per_emergency: by_band_and_sex(emergency, "episodes_per_admission_assumed"),
            electives: per_1000(by_band_and_sex(activity, "elective_episodes_per_1000")),
            outpatients: per_1000(by_band_and_sex(activity, "outpatient_appointments_per_1000")),
            emergency_attendances: per_1000(by_band(
                include_str!("tables/ae_rates.csv"),
                |_| "scaled_attendances_per_1000",
                0.0,
            )),
            gp_visits: by_band(
                include_str!("tables/gp_visits.csv"),
                |sex| if sex == Sex::Female { "female" } else { "male" },
                0.0,
            ),
            deaths: deaths(),
            care_home_share: by_band(include_str!("tables/care_home.csv"), |_| "share_in_care_or_nursing_home", 0.0),
            emergency_by_fifth: emergency_by_fifth(),
        }
    }
}

/// Yearly chance of death; the source starts at 30 and has five-year points to 55, so the young share a small constant.
fn deaths() -> ByAge {
    const INFANT: f64 = 0.0038;
    const YOUNG: f64 = 0.00025;
    let rows = rows(include_str!("tables/mortality.csv"));
    ByAge::from_fn(|sex, age| {
        let points: Vec<(f64, f64)> =
            rows.iter().filter(|row| sex_of(row) == sex).map(|row| (number(row, "age"), number(row, "qx"))).collect();
        match age {
            0 => INFANT,
            1..20 => YOUNG,
            _ => interpolate(&[(20.0, YOUNG * 1.5)].into_iter().chain(points).collect::<Vec<_>>(), f64::from(age)),
        }
    })
}

/// Straight lines between points in order of x; flat beyond the ends.
pub fn interpolate(points: &[(f64, f64)], x: f64) -> f64 {
    let after = points.partition_point(|&(at, _)| at <= x);
    match (after.checked_sub(1).map(|before| points[before]), points.get(after)) {
        (Some((x0, y0)), Some(&(x1, y1))) => y0 + (y1 - y0) * (x - x0) / (x1 - x0),
        (Some((_, y)), None) | (None, Some(&(_, y))) => y,
        (None, None) => 0.0,
    }
}

fn emergency_by_fifth() -> [ByAge; 5] {
    let table = rows(include_str!("tables/emergency_by_deprivation.csv"));
    let rate = |sex: Sex, age: i32, fifth: usize| {
        let row = table.iter().find(|row| {
            let (first, last) = band(text(row, "age_band"));
            let of_fifth = number(row, "imd2010_quintile") as usize == fifth + 1;
            of_fifth && sex_of(row) == sex && (first..=last).contains(&age)
        });
        number(row.expect("a rate for every fifth"), "emergency_episodes_per_1000")
    };
    std::array::from_fn(|fifth| {
        ByAge::from_fn(|sex, age| {
            let mean = (0..5).map(|other| rate(sex, age, other)).sum::<f64>() / 5.0;
            rate(sex, age, fifth) / mean
        })
    })
}

/// SNOMED codes by group, from the reference lists and the common codes beside them.
pub fn snomed_groups() -> BTreeMap<String, Vec<String>> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for table in [include_str!("tables/snomed_groups.csv"), include_str!("tables/snomed_extra.csv")] {
        for row in rows(table) {
            groups.entry(text(&row, "group").to_owned()).or_default().push(text(&row, "snomed_code").to_owned());
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn area_populations_sum_to_the_county() {
        let areas = msoas();
        let people: f64 = areas.iter().flat_map(|area| area.people.iter().flatten()).sum();
        assert_eq!(people, 1_860_111.0);
        assert_eq!(areas.iter().map(|area| area.lsoas.len()).sum::<usize>(), 1_065);
    }

    #[test]
    fn rates_are_those_of_the_source_at_the_edges_of_bands() {
        let rates = Rates::load();
        let per_1000 = |sex, age| (rates.emergency_admissions.at(sex, age) * 1000.0 * 10.0).round() / 10.0;
        assert_eq!(per_1000(Sex::Female, 0), 192.5);
        assert_eq!(per_1000(Sex::Male, 85), 584.8);
        assert_eq!(per_1000(Sex::Male, 84), 371.1);
        assert_eq!(rates.deaths.at(Sex::Female, 100), 0.36471);
        assert_eq!(rates.care_home_share.at(Sex::Female, 40), 0.00043);
        assert_eq!(rates.care_home_share.at(Sex::Female, 10), 0.0);
        assert_eq!(rates.gp_visits.at(Sex::Male, 75), 6.248);
    }

    #[test]
    fn every_table_opens_with_its_source() {
        let tables = [
            include_str!("tables/activity.csv"),
            include_str!("tables/ae_rates.csv"),
            include_str!("tables/care_home.csv"),
            include_str!("tables/causes.csv"),
            include_str!("tables/conditions.csv"),
            include_str!("tables/drugs.csv"),
            include_str!("tables/electives.csv"),
            include_str!("tables/emergency_by_deprivation.csv"),
            include_str!("tables/emergency_rates.csv"),
            include_str!("tables/further_diagnoses.csv"),
            include_str!("tables/gp_visits.csv"),
            include_str!("tables/list_sizes.csv"),
            include_str!("tables/lsoa.csv"),
            include_str!("tables/mortality.csv"),
            include_str!("tables/msoa_population.csv"),
            include_str!("tables/qof.csv"),
            include_str!("tables/snomed_extra.csv"),
            include_str!("tables/snomed_groups.csv"),
            include_str!("tables/specialties.csv"),
            include_str!("tables/unit_costs.csv"),
        ];
        assert!(tables.iter().all(|table| table.starts_with("# ") || table.starts_with("\"# ")));
    }
}
