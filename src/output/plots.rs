//! Plots as SVG, drawn from figures as they may be shown; text, lines and points, no fonts and no scripts inside.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::OutputFile;
use crate::estimate::interval::Estimate;

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Line,
    /// What the other series are to be held against.
    Guide,
    /// Points, with whiskers where there is an interval.
    Points,
}

#[derive(Debug, Clone)]
pub struct Series {
    pub name: String,
    pub mark: Mark,
    pub points: Vec<(f64, Estimate)>,
}

#[derive(Debug, Clone)]
pub struct Plot {
    /// The file's name, without folder and ending.
    pub name: &'static str,
    pub title: String,
    pub x: &'static str,
    pub y: &'static str,
    pub x_range: (f64, f64),
    /// Fitted to the points where absent.
    pub y_range: Option<(f64, f64)>,
    pub series: Vec<Series>,
}

const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 94, 184), RGBColor(174, 37, 115), RGBColor(0, 103, 71), RGBColor(237, 139, 0)];
const GREY: RGBColor = RGBColor(120, 120, 120);
const FONT: &str = "sans-serif";

impl Plot {
    /// The plot as a file.
    pub fn svg(&self) -> Result<OutputFile> {
        let mut text = String::new();
        self.draw(&mut text).map_err(|error| anyhow!("failed to draw {}: {error}", self.name))?;
        Ok(OutputFile::new(format!("plots/{}.svg", self.name), text.into_bytes()))
    }

    fn draw(&self, text: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let area = SVGBackend::with_string(text, (720, 540)).into_drawing_area();
        area.fill(&WHITE)?;
        let y = self.y_range.unwrap_or_else(|| self.fitted());
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, (FONT, 18))
            .margin(14)
            .x_label_area_size(44)
            .y_label_area_size(60)
            .build_cartesian_2d(self.x_range.0..self.x_range.1, y.0..y.1)?;
        chart.configure_mesh().x_desc(self.x).y_desc(self.y).label_style((FONT, 13)).light_line_style(WHITE).draw()?;
        let mut colours = COLOURS.iter().cycle();
        for series in &self.series {
            let colour = if series.mark == Mark::Guide { GREY } else { *colours.next().expect("colours go round") };
            let line = series.points.iter().map(|(x, y)| (*x, y.value));
            match series.mark {
                Mark::Points => {
                    chart.draw_series(series.points.iter().filter_map(|(x, y)| {
                        let (low, high) = y.interval?;
                        Some(PathElement::new([(*x, low), (*x, high)], colour.stroke_width(1)))
                    }))?;
                    chart
                        .draw_series(line.map(|point| Circle::new(point, 4, colour.filled())))?
                        .label(&series.name)
                        .legend(move |(x, y)| Circle::new((x + 8, y), 4, colour.filled()));
                }
                Mark::Line | Mark::Guide => {
                    let width = if series.mark == Mark::Guide { 1 } else { 2 };
                    chart
                        .draw_series(LineSeries::new(line, colour.stroke_width(width)))?
                        .label(&series.name)
                        .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(width)));
                }
            }
        }
        chart
            .configure_series_labels()
            .label_font((FONT, 13))
            .background_style(WHITE.mix(0.85))
            .position(SeriesLabelPosition::UpperLeft)
            .draw()?;
        area.present()?;
        Ok(())
    }

    /// From the lowest to the highest point or whisker, with a margin.
    fn fitted(&self) -> (f64, f64) {
        let points = self.series.iter().flat_map(|series| &series.points).map(|(_, y)| y);
        let ends =
            points.flat_map(|y| [y.value, y.interval.map_or(y.value, |i| i.0), y.interval.map_or(y.value, |i| i.1)]);
        let (low, high) = ends
            .filter(|end| end.is_finite())
            .fold((f64::MAX, f64::MIN), |(low, high), end| (low.min(end), high.max(end)));
        if low > high {
            return (0.0, 1.0);
        }
        let margin = ((high - low) * 0.05).max(1e-6);
        (low - margin, high + margin)
    }
}

/// One row a level: its name and a figure with its interval, beside a guide.
#[derive(Debug, Clone)]
pub struct Forest {
    pub name: &'static str,
    pub title: String,
    pub x: &'static str,
    pub guide: f64,
    pub rows: Vec<(String, Estimate)>,
}

impl Forest {
    pub fn svg(&self) -> Result<OutputFile> {
        let mut text = String::new();
        self.draw(&mut text).map_err(|error| anyhow!("failed to draw {}: {error}", self.name))?;
        Ok(OutputFile::new(format!("plots/{}.svg", self.name), text.into_bytes()))
    }

    fn draw(&self, text: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let rows = self.rows.len();
        let area = SVGBackend::with_string(text, (720, 120 + 22 * rows as u32)).into_drawing_area();
        area.fill(&WHITE)?;
        let ends = self.rows.iter().flat_map(|(_, of)| {
            [of.value, of.interval.map_or(of.value, |i| i.0), of.interval.map_or(of.value, |i| i.1)]
        });
        let (low, high) =
            ends.chain([self.guide]).fold((f64::MAX, f64::MIN), |(low, high), end| (low.min(end), high.max(end)));
        let margin = ((high - low) * 0.05).max(1e-6);
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, (FONT, 18))
            .margin(14)
            .x_label_area_size(44)
            .y_label_area_size(200)
            .build_cartesian_2d(low - margin..high + margin, -0.5..rows as f64 - 0.5)?;
        chart.configure_mesh().x_desc(self.x).disable_y_mesh().disable_y_axis().light_line_style(WHITE).draw()?;
        let y = |row: usize| (rows - 1 - row) as f64;
        chart.draw_series([PathElement::new(
            [(self.guide, -0.5), (self.guide, rows as f64 - 0.5)],
            GREY.stroke_width(1),
        )])?;
        for (row, (name, of)) in self.rows.iter().enumerate() {
            if let Some((low, high)) = of.interval {
                chart.draw_series([PathElement::new([(low, y(row)), (high, y(row))], COLOURS[0].stroke_width(1))])?;
            }
            chart.draw_series([Circle::new((of.value, y(row)), 4, COLOURS[0].filled())])?;
            let (_, at) = chart.backend_coord(&(of.value, y(row)));
            area.draw(&Text::new(name.clone(), (16, at - 7), (FONT, 13).into_font()))?;
        }
        area.present()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_is_svg_with_its_words_and_the_same_bytes_again() {
        let plot = Plot {
            name: "calibration",
            title: "Calibration".to_owned(),
            x: "expected",
            y: "observed",
            x_range: (0.0, 1.0),
            y_range: None,
            series: vec![
                Series {
                    name: "here".to_owned(),
                    mark: Mark::Points,
                    points: vec![(0.2, Estimate::normal(0.3, 0.05))],
                },
                Series {
                    name: "as it should be".to_owned(),
                    mark: Mark::Guide,
                    points: vec![(0.0, Estimate::alone(0.0)), (1.0, Estimate::alone(1.0))],
                },
            ],
        };
        let file = plot.svg().unwrap();
        let text = String::from_utf8(file.bytes.clone()).unwrap();
        assert!(text.starts_with("<svg") && text.contains("as it should be") && text.contains("expected"), "{text}");
        assert!(plot.svg().unwrap().bytes == file.bytes);
        let rows = vec![("sex: female".to_owned(), Estimate::normal(1.1, 0.1))];
        let forest =
            Forest { name: "subgroups", title: "By group".to_owned(), x: "observed / expected", guide: 1.0, rows };
        assert!(String::from_utf8(forest.svg().unwrap().bytes).unwrap().contains("sex: female"));
    }
}
