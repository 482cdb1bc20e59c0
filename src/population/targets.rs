//! What is published beside what was made, line by line: the report shows the lines, and the tests hold them to it.

use super::calibration;
use super::tables::{ByAge, Row, Sex, band, number, rows, sex_of, text};
use super::tally::{Ages, Count, Single, Tally};
use super::world::{World, years};

/// One published figure and what was made of it.
#[derive(Clone, Debug)]
pub struct Target {
    pub subject: &'static str,
    pub what: String,
    /// None where the facts at hand do not say.
    pub published: Option<f64>,
    pub made: f64,
    /// Standard error of what was made, from sampling alone.
    pub sampling: f64,
    /// The largest relative distance that tests allow, beside three standard errors; None where nothing is promised.
    pub within: Option<f64>,
    /// The table that the published figure comes from, or where it is said to come from.
    pub source: &'static str,
    pub note: &'static str,
}

impl Target {
    fn new(subject: &'static str, what: impl Into<String>, source: &'static str) -> Target {
        let what = what.into();
        Target { subject, what, published: None, made: 0.0, sampling: 0.0, within: None, source, note: "" }
    }

    /// A share of people, in hundredths. Where chance left fewer than are published, the error is that of the published.
    fn share(self, published: Option<f64>, of: u64, people: u64) -> Target {
        let people = people.max(1) as f64;
        let made = of as f64 / people;
        let likely = made.max(published.unwrap_or(0.0)).min(1.0);
        let sampling = 100.0 * (likely * (1.0 - likely) / people).sqrt();
        Target { published: published.map(|share| share * 100.0), made: 100.0 * made, sampling, ..self }
    }

    fn value(self, published: Option<f64>, made: f64, sampling: f64) -> Target {
        Target { published, made, sampling, ..self }
    }

    fn within(self, within: f64) -> Target {
        Target { within: Some(within), ..self }
    }

    fn note(self, note: &'static str) -> Target {
        Target { note, ..self }
    }

    /// Whether it lies as near as is promised, given what chance does.
    pub fn holds(&self) -> bool {
        match (self.published, self.within) {
            (Some(published), Some(within)) => {
                (self.made - published).abs() <= (within * published.abs()).max(3.0 * self.sampling)
            }
            _ => true,
        }
    }
}

/// Every target, in the order of the report.
pub fn targets(world: &World, tally: &Tally) -> Vec<Target> {
    let mut all = Vec::new();
    districts(tally, &mut all);
    registers(world, tally, &mut all);
    clustering(world, tally, &mut all);
    emergencies(world, tally, &mut all);
    emergency_counts(world, tally, &mut all);
    stays(tally, &mut all);
    rates_of_use(world, tally, &mut all);
    items(tally, &mut all);
    residence(world, tally, &mut all);
    social_care(tally, &mut all);
    mortality(world, tally, &mut all);
    costs(tally, &mut all);
    all
}

const EVERY_AGE: usize = super::tables::AGES - 1;

fn districts(tally: &Tally, all: &mut Vec<Target>) {
    let table = rows(include_str!("tables/district_population.csv"));
    let people: f64 = table.iter().map(|row| number(row, "total")).sum();
    let made: u64 = tally.districts.iter().flatten().flatten().sum();
    let old = |row: &Row| {
        ["65-69", "70-74", "75-79", "80-84", "85-89", "90+"].iter().map(|name| number(row, name)).sum::<f64>()
    };
    for (name, district) in super::places::Places::district_names().zip(&tally.districts) {
        let of_district: Vec<&Row> = table.iter().filter(|row| text(row, "district") == name).collect();
        let total: f64 = of_district.iter().map(|row| number(row, "total")).sum();
        let count: u64 = district.iter().flatten().sum();
        let new = |what: &str| Target::new("People", format!("{name}: {what}, %"), "district_population.csv");
        let of_county = new("of the county's people").share(Some(total / people), count, made).within(0.05);
        all.push(of_county.note("a small population has few practices, and a practice is where people live"));
        let over64: u64 = district.iter().flat_map(|bands| &bands[13..]).sum();
        let published = of_district.iter().map(|row| old(row)).sum::<f64>() / total;
        all.push(new("aged 65 and over").share(Some(published), over64, count).within(0.08));
        let women: u64 = district[Sex::Female as usize].iter().sum();
        let published = of_district.iter().filter(|row| sex_of(row) == Sex::Female).map(|row| number(row, "total"));
        all.push(new("women").share(Some(published.sum::<f64>() / total), women, count).within(0.05));
    }
}

/// First age of the people that a register counts.
fn register_ages(text: &str) -> (usize, usize) {
    match text {
        "all" => (0, EVERY_AGE),
        _ => {
            let (first, last) = band(text);
            (first as usize, last as usize)
        }
    }
}

fn registers(world: &World, tally: &Tally, all: &mut Vec<Target>) {
    for row in rows(include_str!("tables/qof.csv")) {
        let code = text(&row, "qof_code");
        let (first, last) = register_ages(text(&row, "denominator_age"));
        let published = Some(number(&row, "kent_medway_prevalence"));
        let people = tally.ages(Count::Registered).between(None, first, last);
        let what = format!("{}, {}, %", text(&row, "condition"), text(&row, "denominator_age"));
        let new = Target::new("Registers", what, "qof.csv");
        let condition = world.conditions.list.iter().position(|condition| condition.register == code);
        all.push(match (condition, code) {
            (Some(condition), _) => new.share(published, tally.with_condition[condition], people).within(0.05),
            (None, "PC") => new.share(published, tally.single(Single::Palliative), people).within(0.05),
            (None, "OB") => {
                let shared = tally.ages(Count::Shared).between(None, first, last);
                let new = new.share(published, tally.single(Single::Obese), shared).within(0.05);
                new.note("a body-mass index of 30 or more in the last year, where GP data are shared")
            }
            _ => {
                new.value(published, 0.0, 0.0).note("not made: the register needs risk scores that nothing here reads")
            }
        });
    }
}

/// People by number of priority conditions, over what independence would give.
fn clustering(world: &World, tally: &Tally, all: &mut Vec<Target>) {
    let people: u64 = tally.priority_conditions.iter().sum();
    let mut expected = vec![1.0];
    for (condition, count) in world.conditions.list.iter().zip(&tally.with_condition) {
        if condition.priority {
            let share = *count as f64 / people.max(1) as f64;
            expected = (0..=expected.len())
                .map(|with| {
                    let without = expected.get(with).copied().unwrap_or(0.0) * (1.0 - share);
                    without + if with > 0 { expected[with - 1] * share } else { 0.0 }
                })
                .collect();
        }
    }
    const LEVEL: &str = "the more common conditions are, the less there is to gain over independence, and Kent's registers count more \
                         of them than Somerset did";
    for row in rows(include_str!("tables/condition_counts.csv")) {
        let count = number(&row, "conditions") as usize;
        let made = tally.priority_conditions[count] as f64;
        let chance = (expected.get(count).copied().unwrap_or(0.0) * people as f64).max(1e-9);
        let new = |what: String| Target::new("Clustering", what, "condition_counts.csv");
        let with = new(format!("people with {count} of 8 priority conditions, over independence"));
        let published = text(&row, "expected_if_independent").parse::<f64>().ok();
        let published = published.map(|expected| number(&row, "observed_people") / expected);
        let with = with.value(published, made / chance, made.sqrt() / chance);
        let with = with.note(LEVEL);
        all.push(match count {
            0..=3 => with.within([0.03, 0.15, 0.25, 0.25][count]),
            _ => with,
        });
        const OTHER_YEAR: &str =
            "conflict: Somerset 2013/14 counts fewer cases than Kent's registers of 2019/20, which are followed";
        let share = new(format!("people with {count} of 8 priority conditions, %"));
        let published = number(&row, "observed_people") / SOMERSET_PEOPLE;
        all.push(share.share(Some(published), tally.priority_conditions[count], people).note(OTHER_YEAR));
    }
}

/// People in the rows that the clustering table has: its last row is cut off.
const SOMERSET_PEOPLE: f64 = 552_295.0;

/// Standard error of a count of events that follow a gamma frailty, over several years of the same people.
fn spread(events: f64, years_each: f64, rate: f64, follows: f64, shape: f64) -> f64 {
    // One in ten brings another with it.
    const IN_PAIRS: f64 = 1.2;
    (IN_PAIRS * events.max(1.0) * (1.0 + years_each * rate * follows * follows / shape)).sqrt()
}

const DAYS_PER_YEAR: f64 = super::people::DAYS_PER_YEAR;

/// Events over person-years at ages, with the standard error, each for 1,000; the published rate is for 1,000 too.
fn rate(world: &World, events: u64, days: u64, published: f64, follows: f64) -> (f64, f64) {
    let person_years = (days as f64 / DAYS_PER_YEAR).max(1e-9);
    let made = events as f64 / person_years;
    let likely = made.max(published / 1_000.0);
    let history = years(world.first, world.reference);
    let error = spread(likely * person_years, history, likely, follows, world.frailty_shape) / person_years;
    (1_000.0 * made, 1_000.0 * error)
}

fn emergencies(world: &World, tally: &Tally, all: &mut Vec<Target>) {
    let (events, days) = (tally.ages(Count::Emergencies), tally.ages(Count::Days));
    let follows = calibration::EMERGENCY_FOLLOWS;
    let mut expected = 0.0;
    for row in rows(include_str!("tables/emergency_rates.csv")) {
        let (sex, published) = (sex_of(&row), number(&row, "emergency_admissions_per_1000"));
        let (first, last) = band(text(&row, "age_band"));
        let (first, last) = (first as usize, last as usize);
        let lived = days.between(Some(sex), first, last);
        expected += published * lived as f64;
        let (made, error) = rate(world, events.between(Some(sex), first, last), lived, published, follows);
        let what = format!("emergency admissions per 1,000 a year, {} {}", word(sex), text(&row, "age_band"));
        let new = Target::new("Emergency admissions", what, "emergency_rates.csv");
        all.push(new.value(Some(published), made, error).within(0.05));
    }
    let published = expected / days.all().max(1) as f64;
    let (made, error) = rate(world, events.all(), days.all(), published, follows);
    let new = Target::new("Emergency admissions", "emergency admissions per 1,000 a year, all", "emergency_rates.csv");
    all.push(new.value(Some(published), made, error).within(0.03).note("the rates above over the people made"));
}

fn word(sex: Sex) -> &'static str {
    if sex == Sex::Female { "women" } else { "men" }
}

fn emergency_counts(world: &World, tally: &Tally, all: &mut Vec<Target>) {
    let table = rows(include_str!("tables/emergency_counts.csv"));
    let row = table.iter().find(|row| number(row, "gamma_shape") == world.frailty_shape);
    let people = tally.single(Single::HereAllYear);
    let columns = ["share_0", "share_1", "share_2", "share_3_plus"];
    for (index, name) in ["none", "one", "two", "three or more"].into_iter().enumerate() {
        let what = format!("people with {name} in the last year, %");
        let published = row.map(|row| number(row, columns[index]));
        let new = Target::new("Emergency admissions", what, "emergency_counts.csv");
        let new = new.share(published, tally.emergencies_in_year[index], people).within([0.01, 0.1, 0.15, 0.35][index]);
        all.push(
            new.note("the table leaves out deprivation, readmission and the last months of life, which add repeats"),
        );
    }
    let scottish = rows(include_str!("tables/admission_counts.csv"));
    let row = &scottish[0];
    let counts = ["zero", "one", "two", "three_plus"].map(|column| number(row, column));
    let new = Target::new(
        "Emergency admissions",
        "people with none, all causes and kinds, Scotland, %",
        "admission_counts.csv",
    );
    let new = new.share(Some(counts[0] / counts.iter().sum::<f64>()), tally.emergencies_in_year[0], people);
    all.push(new.note(
        "conflict: the source counts all admissions over an observation of unstated length, so it is not followed",
    ));
}

fn stays(tally: &Tally, all: &mut Vec<Target>) {
    let table = rows(include_str!("tables/length_of_stay.csv"));
    let fact = |name: &str| {
        let row = table.iter().find(|row| text(row, "fact") == name).expect("the table has the fact");
        Some(leading_number(text(row, "value")))
    };
    let new = |what: &str| Target::new("Length of stay", what, "length_of_stay.csv");
    let admitted = tally.single(Single::EmergencyStays);
    let same_day = new("emergency stays that end on the day, %");
    let published = fact("admitted in fourth hour: discharged same day").map(|share| share / 100.0);
    let same_day = same_day.share(published, tally.single(Single::SameDay), admitted).within(0.1);
    all.push(
        same_day.note("conflict: 51 in 100 of those admitted in the first hour, 36 in the fourth, where most are"),
    );
    let some_days = |what: &str, name: &str, count: Single| {
        let published = fact(name).map(|share| share / 100.0);
        new(what).share(published, tally.single(count), admitted)
    };
    let two = "admitted in fourth hour: 2-3 days";
    all.push(some_days("emergency stays of 2 or 3 days, %", two, Single::TwoOrThreeDays));
    let four = "admitted in fourth hour: 4-5 days";
    all.push(some_days("emergency stays of 4 or 5 days, %", four, Single::FourOrFiveDays));
    let mean = |days: Single, stays: Single| {
        let stays = tally.single(stays).max(1) as f64;
        // Stays are more spread than they are long.
        let mean = tally.single(days) as f64 / stays;
        (mean, mean * 1.7 / stays.sqrt())
    };
    let (made, error) = mean(Single::StayDays, Single::Stays);
    let every = new("mean days, all stays but day cases").value(
        fact("all admissions average length of stay 2014-15"),
        made,
        error,
    );
    all.push(every.within(0.1).note("births and regular attenders left out; the source does not say"));
    let (made, error) = mean(Single::StrokeDays, Single::Strokes);
    let published = fact("stroke mean length of stay, spell");
    all.push(new("mean days, stroke").value(published, made, error).within(0.15));
    let (made, error) = mean(Single::HeartAttackDays, Single::HeartAttacks);
    all.push(new("mean days, heart attack").value(Some(6.5), made, error).within(0.15));
}

/// The number that a cell of a fact table opens with.
fn leading_number(cell: &str) -> f64 {
    let end = cell.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(cell.len());
    cell[..end].parse().unwrap_or_else(|_| panic!("a fact opens with a number: {cell:?}"))
}

/// A published rate per person by age and sex over the ages and sexes of the people made, per 1,000.
fn over_people(rates: &ByAge, days: &Ages, ages: (usize, usize)) -> f64 {
    let (mut events, mut lived) = (0.0, 0.0);
    for sex in [Sex::Female, Sex::Male] {
        for age in ages.0..=ages.1.min(EVERY_AGE) {
            let days = days.0[sex as usize][age] as f64;
            events += rates.at(sex, age as i32) * days;
            lived += days;
        }
    }
    1_000.0 * events / f64::max(lived, 1.0)
}

const ATTENDANCE_BANDS: [(usize, usize); 8] =
    [(0, 0), (1, 4), (5, 12), (13, 17), (18, 34), (35, 54), (55, 74), (75, EVERY_AGE)];
const APPOINTMENT_BANDS: [(usize, usize); 8] =
    [(0, 4), (5, 14), (15, 29), (30, 44), (45, 59), (60, 69), (70, 79), (80, EVERY_AGE)];
const VISIT_BANDS: [(usize, usize); 6] = [(0, 4), (5, 15), (16, 44), (45, 64), (65, 74), (75, EVERY_AGE)];

fn rates_of_use(world: &World, tally: &Tally, all: &mut Vec<Target>) {
    let days = tally.ages(Count::Days);
    let mut add = |subject, what: &str, bands: &[(usize, usize)], rates: &ByAge, count: Count, days: &Ages, source| {
        for &ages in bands {
            let published = over_people(rates, days, ages);
            let events = tally.ages(count).between(None, ages.0, ages.1);
            let (made, error) = rate(world, events, days.between(None, ages.0, ages.1), published, 0.8);
            let last = if ages.1 == EVERY_AGE { "and over".to_owned() } else { format!("to {}", ages.1) };
            let what = format!("{what} per 1,000 a year, {} {last}", ages.0);
            // Appointments come in courses, so chance does more than with single events.
            let error = if matches!(count, Count::Appointments) { 2.0 * error } else { error };
            let new = Target::new(subject, what, source);
            all.push(new.value(Some(published), made, error).within(0.05));
        }
    };
    let rates = &world.rates;
    let (attend, appoint, visit) = (&rates.emergency_attendances, &rates.outpatients, &rates.gp_visits);
    add("A&E", "attendances", &ATTENDANCE_BANDS, attend, Count::Attendances, days, "ae_rates.csv");
    add("Outpatients", "appointments", &APPOINTMENT_BANDS, appoint, Count::Appointments, days, "activity.csv");
    let shared = tally.ages(Count::SharedDays);
    add("General practice", "visits", &VISIT_BANDS, visit, Count::Visits, shared, "gp_visits.csv");
}

fn items(tally: &Tally, all: &mut Vec<Target>) {
    let table = rows(include_str!("tables/prescription_items.csv"));
    let groups =
        [("2012", "all ages", (0, EVERY_AGE)), ("2007", "60+", (60, EVERY_AGE)), ("2007", "under 16", (0, 15))];
    for (year, group, (first, last)) in groups {
        let row = table.iter().find(|row| text(row, "year") == year && text(row, "group") == group);
        let published = row.map(|row| number(row, "items_per_head"));
        let events = tally.ages(Count::Items).between(None, first, last) as f64;
        let person_years = tally.ages(Count::SharedDays).between(None, first, last) as f64 / DAYS_PER_YEAR;
        let made = events / person_years.max(1e-9);
        let new = Target::new("Prescribing", format!("items a head, {group}, {year}"), "prescription_items.csv");
        // People differ by a mean's breadth or more, and over the years it is the same people.
        let new = new.value(published, made, 1.6 * made / (person_years / 4.0).max(1.0).sqrt());
        all.push(match year {
            "2012" => new.within(0.05),
            _ => new.within(0.15).note("conflict: groups are known for 2007 only, when all ages had 15.6"),
        });
    }
}

fn residence(world: &World, tally: &Tally, all: &mut Vec<Target>) {
    for row in rows(include_str!("tables/care_home.csv")) {
        let (first, last) = band(text(&row, "age_band"));
        let (first, last) = (first as usize, last as usize);
        let people = tally.ages(Count::Registered).between(None, first, last);
        let made = tally.ages(Count::CareHome).between(None, first, last);
        let what = format!("in a care or nursing home, {}, %", text(&row, "age_band"));
        let published = number(&row, "share_in_care_or_nursing_home");
        all.push(Target::new("Care homes", what, "care_home.csv").share(Some(published), made, people).within(0.07));
    }
    let registered = tally.ages(Count::Registered);
    let published = over_people(&world.rates.care_home_share, registered, (65, EVERY_AGE)) / 1_000.0;
    let made = tally.ages(Count::CareHome).between(None, 65, EVERY_AGE);
    let new = Target::new("Care homes", "in a care or nursing home, 65 and over, %", "care_home.csv");
    let new = new.share(Some(published), made, registered.between(None, 65, EVERY_AGE)).within(0.05);
    all.push(new.note("conflict: 2.29 in 100 in the table's source, 2.5 in the census of 2021; here the table's shares over the people made"));
}

fn social_care(tally: &Tally, all: &mut Vec<Target>) {
    let registered = tally.ages(Count::Registered);
    let (adults, old) = (registered.between(None, 18, 64), registered.between(None, 65, EVERY_AGE));
    let new = |what: &str| Target::new("Social care", what, "social_care_facts.csv");
    let long = new("long-term support in the year, 65 and over, %");
    let long = long.share(Some(calibration::LONG_TERM_OLD), tally.long_term_support[1], old).within(0.06);
    all.push(long.note("602,885 of the people of whom 787,530 are 8.3 in 100, England 2014-15"));
    let short = new("short-term support only, 65 and over, %");
    let short = short.share(Some(calibration::SHORT_TERM_OLD), tally.short_term_support[1], old).within(0.08);
    all.push(short.note("184,645 of the same"));
    let young = new("long-term support in the year, 18 to 64, %");
    let young = young.share(Some(calibration::LONG_TERM_YOUNG), tally.long_term_support[0], adults).within(0.08);
    all.push(young.note(
        "872,520 of 2015-16 less 602,885 of 2014-15, over England's people of those ages in mid-2023: years differ",
    ));
}

fn mortality(world: &World, tally: &Tally, all: &mut Vec<Target>) {
    let days = tally.ages(Count::Days);
    for (sex, ages) in [(Sex::Female, (0, 64)), (Sex::Male, (0, 64)), (Sex::Female, (65, 79)), (Sex::Male, (65, 79))]
        .into_iter()
        .chain([(Sex::Female, (80, EVERY_AGE)), (Sex::Male, (80, EVERY_AGE))])
    {
        let deaths = tally.ages(Count::Deaths).between(Some(sex), ages.0, ages.1);
        let expected: f64 = (ages.0..=ages.1)
            .map(|age| world.rates.deaths.at(sex, age as i32) * days.0[sex as usize][age] as f64 / DAYS_PER_YEAR)
            .sum();
        let person_years = days.between(Some(sex), ages.0, ages.1) as f64 / DAYS_PER_YEAR;
        let last = if ages.1 == EVERY_AGE { "and over".to_owned() } else { format!("to {}", ages.1) };
        let what = format!("deaths per 1,000 a year, {} {} {last}", word(sex), ages.0);
        let per_1000 = |deaths: f64| 1_000.0 * deaths / person_years.max(1e-9);
        let new = Target::new("Mortality", what, "mortality.csv");
        let new = new.value(
            Some(per_1000(expected)),
            per_1000(deaths as f64),
            per_1000(f64::max(deaths as f64, expected).sqrt()),
        );
        all.push(if ages.0 == 0 {
            new.note("below 30 the source is silent, and a small constant is used")
        } else {
            new.within(0.05)
        });
    }
}

fn costs(tally: &Tally, all: &mut Vec<Target>) {
    let new = |what: &str| Target::new("Cost", what, "cost_concentration.csv");
    let top = new("share of hospital, GP visit and drug cost of the dearest 5 in 100, %");
    let top = top.value(Some(50.0), 100.0 * tally.costs.share_of_top(0.05), 0.0).within(0.1);
    all.push(
        top.note(
            "hospital prices of 2011/12, GP minutes of 2015/16, drugs as issued: years differ, nothing is inflated",
        ),
    );
    let top = new("share of hospital cost of the dearest 1 in 100 of everybody, %");
    let top = top.value(Some(32.0), 100.0 * tally.hospital_costs.share_of_top(0.01), 0.0);
    all.push(
        top.note("hospital prices of 2011/12 are means by kind of care: no stay costs more than its kind and days"),
    );
}
