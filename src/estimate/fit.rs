//! Logistic regression: coefficients by iteratively reweighted least squares, with ridge or lasso where asked.
//!
//! # Conventions
//! What is made small is the mean over people of the negative log-likelihood, plus
//! `ridge / 2 x sum (s b)^2 + lasso x sum |s b|`, where `b` is a coefficient and `s` the standard deviation of its column
//! over everybody (divided by their number): glmnet's objective with standardised columns. Coefficients are those of the
//! columns as they are; the intercept is never penalised. scikit-learn's `C` is one over people times lambda, on
//! columns that were standardised first.
//!
//! A step needs one walk over the rows, which yields the gradient and the information matrix; what follows is work on a
//! matrix as wide as the model. The lasso goes over its coordinates on that small matrix, so that a path costs a few walks
//! a lambda.

use std::sync::OnceLock;

use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

use super::sample::Grouped;
use super::{CHUNK, inverse_logit};

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Penalty {
    pub ridge: f64,
    pub lasso: f64,
}

impl Penalty {
    pub const NONE: Penalty = Penalty { ridge: 0.0, lasso: 0.0 };

    fn is_none(&self) -> bool {
        self.ridge == 0.0 && self.lasso == 0.0
    }
}

/// Coefficients and what is known of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    pub intercept: f64,
    pub coefficients: Vec<f64>,
    /// Of the intercept and of each coefficient; empty with a lasso, which has none of this kind.
    pub standard_errors: Vec<f64>,
    pub steps: usize,
    /// Twice the negative log-likelihood.
    pub deviance: f64,
    pub null_deviance: f64,
}

/// Why there are no coefficients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoFit {
    /// Nobody has the outcome, or everybody.
    OneClass,
    /// These columns tell people with and without the outcome apart without a fault, so that their coefficients grow
    /// without end.
    Separated(Vec<usize>),
    /// No answer after so many steps.
    NotConverged(usize),
}

/// What stands in the way of a column's coefficient.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    Fitted,
    /// Nobody has anything but zero.
    Empty,
    /// Of those who have it, too few have the outcome, or too few lack it.
    Few {
        people: u64,
        with: u64,
    },
    /// The same for everybody.
    Constant,
    /// A constant and these columns times these numbers.
    Collinear(Vec<(usize, f64)>),
}

const MOST_STEPS: usize = 60;
/// A step is the last where no coefficient, on a standardised column, moves by more than this. Steps shrink quadratically, so that after one of this size next to nothing is left.
const CLOSE: f64 = 1e-7;

/// Gradient, information (upper triangle; the intercept first) and deviance at some coefficients.
struct Sums {
    gradient: Vec<f64>,
    information: Vec<f64>,
    deviance: f64,
}

impl Sums {
    fn none(width: usize) -> Sums {
        Sums { gradient: vec![0.0; width], information: vec![0.0; width * width], deviance: 0.0 }
    }

    fn add(&mut self, other: &Sums) {
        self.gradient.iter_mut().zip(&other.gradient).for_each(|(sum, part)| *sum += part);
        self.information.iter_mut().zip(&other.information).for_each(|(sum, part)| *sum += part);
        self.deviance += other.deviance;
    }

    /// The whole matrix from its upper triangle.
    fn matrix(&self) -> DMatrix<f64> {
        let width = self.gradient.len();
        DMatrix::from_fn(width, width, |row, column| self.information[row.min(column) * width + row.max(column)])
    }
}

/// Rows with what is fixed about them: what columns that are held add to each linear predictor.
pub struct Fitting<'a> {
    pub rows: &'a Grouped,
    /// One a row, or empty.
    pub offsets: Vec<f64>,
    /// Standard deviation of each column over people.
    pub scales: Vec<f64>,
    null: OnceLock<Result<(f64, f64), NoFit>>,
}

/// Where a fit stands.
struct At {
    intercept: f64,
    coefficients: Vec<f64>,
    sums: Sums,
    objective: f64,
}

impl<'a> Fitting<'a> {
    pub fn new(rows: &'a Grouped) -> Fitting<'a> {
        Fitting { rows, offsets: Vec::new(), scales: scales(rows), null: OnceLock::new() }
    }

    /// What a coefficient of each column of another design would add, for columns that are not fitted.
    pub fn with_offsets(mut self, offsets: Vec<f64>) -> Fitting<'a> {
        assert!(offsets.len() == self.rows.rows(), "one offset a row");
        (self.offsets, self.null) = (offsets, OnceLock::new());
        self
    }

    fn width(&self) -> usize {
        self.rows.design.width + 1
    }

    fn offset(&self, row: usize) -> f64 {
        self.offsets.get(row).copied().unwrap_or(0.0)
    }

    /// One walk over the rows.
    fn sums(&self, intercept: f64, coefficients: &[f64]) -> Sums {
        let rows = self.rows.rows();
        let width = self.width();
        let parts: Vec<Sums> = (0..rows.div_ceil(CHUNK))
            .into_par_iter()
            .map(|chunk| {
                let mut sums = Sums::none(width);
                for row in chunk * CHUNK..((chunk + 1) * CHUNK).min(rows) {
                    self.take(row, intercept, coefficients, &mut sums);
                }
                sums
            })
            .collect();
        let mut all = Sums::none(width);
        parts.iter().for_each(|part| all.add(part));
        all
    }

    #[inline]
    fn take(&self, row: usize, intercept: f64, coefficients: &[f64], sums: &mut Sums) {
        let Grouped { design, people, with, .. } = self.rows;
        let (people, with) = (f64::from(people[row]), f64::from(with[row]));
        let lp = design.predict(row, intercept, coefficients) + self.offset(row);
        let p = inverse_logit(lp);
        let (residual, weight) = (with - people * p, people * p * (1.0 - p));
        sums.deviance += deviance(lp, people, with);
        let width = self.width();
        sums.gradient[0] += residual;
        sums.information[0] += weight;
        let (columns, values) = design.row(row);
        for (place, (&column, &value)) in columns.iter().zip(values).enumerate() {
            let column = usize::from(column) + 1;
            sums.gradient[column] += residual * value;
            let weighted = weight * value;
            sums.information[column] += weighted;
            let line = &mut sums.information[column * width..(column + 1) * width];
            for (&other, &other_value) in columns[place..].iter().zip(&values[place..]) {
                line[usize::from(other) + 1] += weighted * other_value;
            }
        }
    }

    /// Twice the negative log-likelihood at some coefficients.
    pub fn deviance(&self, intercept: f64, coefficients: &[f64]) -> f64 {
        super::sum_of(self.rows.rows(), |row| {
            let lp = self.rows.design.predict(row, intercept, coefficients) + self.offset(row);
            deviance(lp, f64::from(self.rows.people[row]), f64::from(self.rows.with[row]))
        })
    }

    /// The intercept alone, with whatever is held, and its deviance.
    fn null(&self) -> Result<(f64, f64), NoFit> {
        self.null.get_or_init(|| self.work_out_null()).clone()
    }

    fn work_out_null(&self) -> Result<(f64, f64), NoFit> {
        let (with, people) = (self.rows.all_with() as f64, self.rows.all_people() as f64);
        if with == 0.0 || with == people {
            return Err(NoFit::OneClass);
        }
        let mut intercept = if self.offsets.is_empty() { libm::log(with / (people - with)) } else { 0.0 };
        let none = vec![0.0; self.rows.design.width];
        for _ in 0..200 {
            let [residuals, weights] = self.residuals(intercept);
            let step = (residuals / weights.max(1e-12)).clamp(-2.0, 2.0);
            intercept += step;
            if step.abs() < 1e-10 {
                return Ok((intercept, self.deviance(intercept, &none)));
            }
        }
        Err(NoFit::NotConverged(200))
    }

    /// Sums of residuals and of weights with the intercept alone.
    fn residuals(&self, intercept: f64) -> [f64; 2] {
        let of = |row: usize| {
            let p = inverse_logit(intercept + self.offset(row));
            (f64::from(self.rows.people[row]), f64::from(self.rows.with[row]), p)
        };
        let rows = self.rows.rows();
        let residuals = super::sum_of(rows, |row| {
            let (people, with, p) = of(row);
            with - people * p
        });
        let weights = super::sum_of(rows, |row| {
            let (people, _, p) = of(row);
            people * p * (1.0 - p)
        });
        [residuals, weights]
    }

    /// The coefficients under a penalty, from a start where there is one.
    ///
    /// # Errors
    /// One class; without a penalty, columns that separate the classes.
    pub fn fit(&self, penalty: Penalty, start: Option<&Fit>) -> Result<Fit, NoFit> {
        let (null_intercept, null_deviance) = self.null()?;
        let mut at = match start {
            Some(start) => self.at(start.intercept, start.coefficients.clone(), penalty),
            None => self.at(null_intercept, vec![0.0; self.rows.design.width], penalty),
        };
        for steps in 1..=MOST_STEPS {
            let step = match penalty.lasso > 0.0 {
                true => self.lasso_step(&at.sums, &at.coefficients, penalty),
                false => self.newton_step(&at.sums, &at.coefficients, penalty),
            };
            let Some(step) = step else { return Err(NoFit::Separated(self.growing(&at.coefficients, None))) };
            at = self.walk(at, &step, penalty);
            let moved = step.as_slice()[1..].iter().zip(&self.scales).map(|(by, scale)| (by * scale).abs());
            let is_close = moved.fold(step[0].abs(), f64::max) < CLOSE;
            let largest = at.coefficients.iter().zip(&self.scales).map(|(b, scale)| (b * scale).abs());
            // What fits without a fault has no deviance left.
            let is_apart = largest.fold(0.0, f64::max) > 1e3 || at.sums.deviance < null_deviance * 1e-6;
            if penalty.is_none() && (is_apart || steps == MOST_STEPS) {
                return Err(NoFit::Separated(self.growing(&at.coefficients, Some(&step))));
            }
            if is_close {
                return Ok(self.finish(at, penalty, steps, null_deviance));
            }
        }
        Err(NoFit::NotConverged(MOST_STEPS))
    }

    fn at(&self, intercept: f64, coefficients: Vec<f64>, penalty: Penalty) -> At {
        let sums = self.sums(intercept, &coefficients);
        let objective = self.objective(sums.deviance, &coefficients, penalty);
        At { intercept, coefficients, sums, objective }
    }

    /// One step on, or a part of it where the whole step overshoots, as it may where probabilities are near 0 or 1.
    fn walk(&self, from: At, step: &DVector<f64>, penalty: Penalty) -> At {
        let mut share = 1.0;
        loop {
            let moved = from.coefficients.iter().zip(&step.as_slice()[1..]).map(|(b, by)| b + share * by);
            let tried = self.at(from.intercept + share * step[0], moved.collect(), penalty);
            if tried.objective <= from.objective * (1.0 + 1e-12) || share < 1e-9 {
                return tried;
            }
            share /= 2.0;
        }
    }

    fn objective(&self, deviance: f64, coefficients: &[f64], penalty: Penalty) -> f64 {
        let of = coefficients.iter().zip(&self.scales).map(|(b, scale)| {
            let standard = b * scale;
            penalty.ridge / 2.0 * standard * standard + penalty.lasso * standard.abs()
        });
        deviance / 2.0 / self.rows.all_people() as f64 + of.sum::<f64>()
    }

    /// Columns whose coefficients still grow, or are the largest, on standardised columns.
    fn growing(&self, coefficients: &[f64], step: Option<&DVector<f64>>) -> Vec<usize> {
        let size = |column: usize| {
            let moves = step.map_or(coefficients[column], |step| step[column + 1]);
            (moves * self.scales[column]).abs()
        };
        let largest = (0..coefficients.len()).map(size).fold(0.0, f64::max);
        (0..coefficients.len()).filter(|&column| largest > 0.0 && size(column) > largest / 10.0).collect()
    }

    fn newton_step(&self, sums: &Sums, coefficients: &[f64], penalty: Penalty) -> Option<DVector<f64>> {
        let people = self.rows.all_people() as f64;
        let mut matrix = sums.matrix();
        let mut gradient = DVector::from_column_slice(&sums.gradient);
        for (column, (scale, coefficient)) in self.scales.iter().zip(coefficients).enumerate() {
            let ridge = people * penalty.ridge * scale * scale;
            matrix[(column + 1, column + 1)] += ridge;
            gradient[column + 1] -= ridge * coefficient;
        }
        solve(matrix, &gradient)
    }

    /// Goes over the coordinates of the weighted quadratic until they rest.
    fn lasso_step(&self, sums: &Sums, coefficients: &[f64], penalty: Penalty) -> Option<DVector<f64>> {
        let people = self.rows.all_people() as f64;
        let matrix = sums.matrix();
        let width = self.width();
        let mut step: DVector<f64> = DVector::zeros(width);
        // The gradient of the quadratic at the step so far.
        let mut left = DVector::from_column_slice(&sums.gradient);
        for _ in 0..10_000 {
            let mut largest = 0.0f64;
            for column in 0..width {
                let curvature = matrix[(column, column)];
                if curvature <= 0.0 {
                    continue;
                }
                let scale = if column == 0 { 0.0 } else { self.scales[column - 1] };
                let at = if column == 0 { 0.0 } else { coefficients[column - 1] } + step[column];
                let (ridge, lasso) = (people * penalty.ridge * scale * scale, people * penalty.lasso * scale);
                let pulled = left[column] + curvature * at;
                let to = (pulled.abs() - lasso).max(0.0) * pulled.signum() / (curvature + ridge);
                let by = to - at;
                if by != 0.0 {
                    step[column] += by;
                    left.axpy(-by, &matrix.column(column), 1.0);
                    largest = largest.max(by.abs() * (curvature / people).sqrt());
                }
            }
            if largest < CLOSE / 1e3 {
                return Some(step);
            }
        }
        None
    }

    fn finish(&self, at: At, penalty: Penalty, steps: usize, null_deviance: f64) -> Fit {
        let standard_errors = if penalty.lasso > 0.0 { Vec::new() } else { self.standard_errors(&at.sums, penalty) };
        let At { intercept, coefficients, sums, .. } = at;
        Fit { intercept, coefficients, standard_errors, steps, deviance: sums.deviance, null_deviance }
    }

    /// From the inverse information; with a ridge, the spread of the penalised estimate, which is also biased.
    fn standard_errors(&self, sums: &Sums, penalty: Penalty) -> Vec<f64> {
        let people = self.rows.all_people() as f64;
        let information = sums.matrix();
        let mut penalised = information.clone();
        for (column, scale) in self.scales.iter().enumerate() {
            penalised[(column + 1, column + 1)] += people * penalty.ridge * scale * scale;
        }
        let Some(inverse) = inverse(penalised) else { return Vec::new() };
        let covariance = if penalty.ridge > 0.0 { &inverse * information * &inverse } else { inverse };
        (0..self.width()).map(|column| covariance[(column, column)].max(0.0).sqrt()).collect()
    }

    /// The lasso's largest lambda that lets any column in.
    pub fn largest_lambda(&self) -> Result<f64, NoFit> {
        let (intercept, _) = self.null()?;
        let sums = self.sums(intercept, &vec![0.0; self.rows.design.width]);
        let people = self.rows.all_people() as f64;
        let of = sums.gradient[1..].iter().zip(&self.scales).filter(|(_, scale)| **scale > 0.0);
        Ok(of.map(|(gradient, scale)| gradient.abs() / people / scale).fold(0.0, f64::max))
    }

    /// Which columns can have a coefficient, in column order: a column that those before it make up is left out, and so
    /// is one that fewer than `fewest` people with, or without, the outcome have.
    pub fn screen(&self, fewest: u64) -> Vec<Column> {
        let tallies = column_tallies(self.rows);
        let people = self.rows.all_people();
        let gram = self.gram();
        let mut kept: Vec<usize> = Vec::new();
        let mut found = Vec::new();
        for (column, (nonzero, with)) in tallies.into_iter().enumerate() {
            let state = match self.scales[column] {
                _ if nonzero == 0 => Column::Empty,
                scale if scale <= 1e-12 => Column::Constant,
                _ if nonzero < people && (with < fewest || nonzero - with < fewest) => {
                    Column::Few { people: nonzero, with }
                }
                _ => made_of(&gram, column, &kept).map_or(Column::Fitted, Column::Collinear),
            };
            if state == Column::Fitted {
                kept.push(column);
            }
            found.push(state);
        }
        found
    }

    /// Correlations of all columns over people.
    fn gram(&self) -> DMatrix<f64> {
        let width = self.rows.design.width;
        let people = self.rows.all_people() as f64;
        let rows = self.rows.rows();
        let parts: Vec<(Vec<f64>, Vec<f64>)> = (0..rows.div_ceil(CHUNK))
            .into_par_iter()
            .map(|chunk| {
                let (mut sums, mut products) = (vec![0.0; width], vec![0.0; width * width]);
                for row in chunk * CHUNK..((chunk + 1) * CHUNK).min(rows) {
                    let many = f64::from(self.rows.people[row]);
                    let (columns, values) = self.rows.design.row(row);
                    for (place, (&column, &value)) in columns.iter().zip(values).enumerate() {
                        sums[usize::from(column)] += many * value;
                        for (&other, &other_value) in columns[place..].iter().zip(&values[place..]) {
                            products[usize::from(column) * width + usize::from(other)] += many * value * other_value;
                        }
                    }
                }
                (sums, products)
            })
            .collect();
        let (mut sums, mut products) = (vec![0.0; width], vec![0.0; width * width]);
        for (part_sums, part_products) in &parts {
            sums.iter_mut().zip(part_sums).for_each(|(sum, part)| *sum += part);
            products.iter_mut().zip(part_products).for_each(|(sum, part)| *sum += part);
        }
        DMatrix::from_fn(width, width, |one, two| {
            let product = products[one.min(two) * width + one.max(two)];
            let covariance = product / people - sums[one] / people * sums[two] / people;
            let scale = self.scales[one] * self.scales[two];
            if scale > 0.0 { covariance / scale } else { 0.0 }
        })
    }
}

/// The part of a row's deviance; large linear predictors lose nothing.
fn deviance(lp: f64, people: f64, with: f64) -> f64 {
    // ln(1 + e^lp), without overflow.
    let softplus = lp.max(0.0) + libm::log1p(libm::exp(-lp.abs()));
    2.0 * (people * softplus - with * lp)
}

/// The columns that make a column up, with their factors, where what they leave over is next to nothing.
fn made_of(correlations: &DMatrix<f64>, column: usize, kept: &[usize]) -> Option<Vec<(usize, f64)>> {
    if kept.is_empty() {
        return None;
    }
    let among = DMatrix::from_fn(kept.len(), kept.len(), |one, two| correlations[(kept[one], kept[two])]);
    let with = DVector::from_fn(kept.len(), |one, _| correlations[(kept[one], column)]);
    let factors = among.cholesky()?.solve(&with);
    let explained = factors.dot(&with);
    let is_all = explained > 1.0 - 1e-9;
    let parts = kept.iter().zip(factors.iter()).filter(|(_, factor)| factor.abs() > 1e-6);
    is_all.then(|| parts.map(|(column, factor)| (*column, *factor)).collect())
}

/// For each column: people who have anything but zero, and how many of them have the outcome.
fn column_tallies(rows: &Grouped) -> Vec<(u64, u64)> {
    let mut tallies = vec![(0u64, 0u64); rows.design.width];
    for row in 0..rows.rows() {
        for &column in rows.design.row(row).0 {
            tallies[usize::from(column)].0 += u64::from(rows.people[row]);
            tallies[usize::from(column)].1 += u64::from(rows.with[row]);
        }
    }
    tallies
}

/// Standard deviation of each column over people, divided by their number.
fn scales(rows: &Grouped) -> Vec<f64> {
    let (width, people) = (rows.design.width, rows.all_people() as f64);
    let of = |power: i32, centres: &[f64]| {
        let chunks: Vec<Vec<f64>> = (0..rows.rows().div_ceil(CHUNK))
            .into_par_iter()
            .map(|chunk| {
                let mut sums = vec![0.0; width];
                for row in chunk * CHUNK..((chunk + 1) * CHUNK).min(rows.rows()) {
                    let (columns, values) = rows.design.row(row);
                    for (&column, &value) in columns.iter().zip(values) {
                        let column = usize::from(column);
                        // Of a column's zeros, which are not here, the part is put in below.
                        let part = match power {
                            1 => value,
                            _ => (value - centres[column]).powi(2) - centres[column].powi(2),
                        };
                        sums[column] += f64::from(rows.people[row]) * part;
                    }
                }
                sums
            })
            .collect();
        let mut sums = vec![0.0; width];
        chunks.iter().for_each(|chunk| sums.iter_mut().zip(chunk).for_each(|(sum, part)| *sum += part));
        sums
    };
    let means: Vec<f64> = of(1, &[]).into_iter().map(|sum| sum / people).collect();
    let squares = of(2, &means);
    squares.iter().zip(&means).map(|(sum, mean)| (sum / people + mean * mean).max(0.0).sqrt()).collect()
}

/// The solution with a matrix that is scaled to ones on its diagonal first.
fn solve(matrix: DMatrix<f64>, right: &DVector<f64>) -> Option<DVector<f64>> {
    let scales = diagonal_scales(&matrix)?;
    let scaled = DMatrix::from_fn(matrix.nrows(), matrix.ncols(), |row, column| {
        matrix[(row, column)] * scales[row] * scales[column]
    });
    let solved = scaled.cholesky()?.solve(&right.component_mul(&scales));
    let step = solved.component_mul(&scales);
    step.iter().all(|number| number.is_finite()).then_some(step)
}

fn inverse(matrix: DMatrix<f64>) -> Option<DMatrix<f64>> {
    let scales = diagonal_scales(&matrix)?;
    let scaled = DMatrix::from_fn(matrix.nrows(), matrix.ncols(), |row, column| {
        matrix[(row, column)] * scales[row] * scales[column]
    });
    let inverse = scaled.cholesky()?.inverse();
    Some(DMatrix::from_fn(inverse.nrows(), inverse.ncols(), |row, column| {
        inverse[(row, column)] * scales[row] * scales[column]
    }))
}

fn diagonal_scales(matrix: &DMatrix<f64>) -> Option<DVector<f64>> {
    let diagonal = matrix.diagonal();
    let is_fit = diagonal.iter().all(|number| number.is_finite() && *number > 0.0);
    is_fit.then(|| diagonal.map(|number| 1.0 / number.sqrt()))
}

/// A lambda of a path, with the mean deviance of people who were left out, over folds.
#[derive(Debug, Clone, PartialEq)]
pub struct PathPoint {
    pub lambda: f64,
    /// Deviance a person left out, mean over all of them.
    pub left_out: f64,
}

/// Lambdas from the largest that matters down to a ten-thousandth of it, evenly on the scale of logarithms.
pub fn lambdas(largest: f64, number: usize) -> Vec<f64> {
    let last = (number - 1).max(1) as f64;
    (0..number).map(|place| largest * libm::pow(1e-4, place as f64 / last)).collect()
}

/// The penalty whose coefficients do best on the folds that they were not fitted on.
///
/// # Shape
/// `penalty` makes one of a lambda; folds are numbered from 0. Out: the lambda and the path down to where a smaller one
/// did no better for some time.
/// # Errors
/// A fold without one of the classes, or what stops a fit.
pub fn cross_validate(
    rows: &Grouped,
    offsets: &[f64],
    folds: u8,
    lambdas: &[f64],
    penalty: impl Fn(f64) -> Penalty,
) -> Result<(f64, Vec<PathPoint>), NoFit> {
    let people = rows.all_people() as f64;
    let mut sums = vec![0.0; lambdas.len()];
    for fold in 0..folds {
        let of_fold = |inside: bool| {
            let is_wanted = |row: &usize| (rows.folds[*row] == fold) == inside;
            (0..rows.rows()).filter(is_wanted).filter_map(|row| offsets.get(row).copied()).collect::<Vec<f64>>()
        };
        let (train, test) = (rows.outside(Some(fold)), rows.inside(fold));
        let with = |rows, offsets: Vec<f64>| match offsets.is_empty() {
            true => Fitting::new(rows),
            false => Fitting::new(rows).with_offsets(offsets),
        };
        let (fitting, testing) = (with(&train, of_fold(false)), with(&test, of_fold(true)));
        let mut last: Option<Fit> = None;
        for (place, lambda) in lambdas.iter().enumerate() {
            let fit = fitting.fit(penalty(*lambda), last.as_ref())?;
            sums[place] += testing.deviance(fit.intercept, &fit.coefficients);
            last = Some(fit);
        }
    }
    let path: Vec<PathPoint> =
        lambdas.iter().zip(&sums).map(|(lambda, sum)| PathPoint { lambda: *lambda, left_out: sum / people }).collect();
    let best = path.iter().min_by(|one, two| one.left_out.total_cmp(&two.left_out)).expect("a path has a point");
    Ok((best.lambda, path))
}
