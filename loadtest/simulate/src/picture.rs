//! The comparison as a picture: how far each goes above the limit and how much of it is used, by
//! the size of the fleet.

use std::{error::Error, path::Path};

use plotters::{coord::Shift, prelude::*};

use super::{
    matrix::{BANK, FLEETS, RIVALS, Row, Trouble},
    shape::Shape,
};

const SIZE: (u32, u32) = (1_240, 660);
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(60, 60, 60);
const PALE: RGBColor = RGBColor(228, 228, 228);

/// The bank stands out; the others are told apart by colours that the colour-blind can tell, too.
const COLOURS: [RGBColor; 5] =
    [RGBColor(0, 0, 0), RGBColor(213, 94, 0), RGBColor(230, 159, 0), RGBColor(204, 121, 167), RGBColor(0, 114, 178)];

/// Vertical axis of a panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    Overshoot,
    Used,
}

/// Draws the rows without failures to `path`, as SVG.
pub fn draw(rows: &[Row], path: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(as_text)?;
        let (head, panels) = root.split_vertically(70);
        legend(&head)?;
        let panels = panels.split_evenly((2, Shape::ALL.len()));
        for (index, panel) in panels.iter().enumerate() {
            let measure = if index < Shape::ALL.len() { Measure::Overshoot } else { Measure::Used };
            let shape = Shape::ALL[index % Shape::ALL.len()];
            let rows: Vec<_> = rows.iter().filter(|row| row.shape == shape && row.trouble == Trouble::None).collect();
            chart(panel, measure, shape, &rows)?;
        }
        root.present().map_err(as_text)?;
    }
    std::fs::write(path, svg)?;
    Ok(())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn legend(area: &Area<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let title = "A limit of 1,000 requests/s with a burst of 1,000, shared by N gateways, at five times that load";
    area.draw(&Text::new(title, (20, 14), (FONT, 18).into_font().color(&BLACK))).map_err(as_text)?;
    let names = std::iter::once(BANK).chain(RIVALS.map(|(name, _)| name));
    for ((name, colour), index) in names.zip(COLOURS).zip(0..) {
        let left = 20 + 150 * index;
        let line = PathElement::new([(left, 52), (left + 26, 52)], colour.stroke_width(width(name)));
        area.draw(&line).map_err(as_text)?;
        area.draw(&Text::new(name, (left + 34, 45), (FONT, 14).into_font().color(&INK))).map_err(as_text)?;
    }
    Ok(())
}

fn chart(area: &Area<'_>, measure: Measure, shape: Shape, rows: &[&Row]) -> Result<(), Box<dyn Error + Send + Sync>> {
    let caption = match measure {
        Measure::Overshoot => format!("{shape}: requests above the limit"),
        Measure::Used => format!("{shape}: use of what is allowed"),
    };
    let top = if measure == Measure::Overshoot { 5.0 } else { 2.0 };
    let mut chart = ChartBuilder::on(area)
        .caption(caption, (FONT, 14).into_font().color(&INK))
        .margin(8)
        .x_label_area_size(28)
        .y_label_area_size(52)
        .build_cartesian_2d(-0.2..(FLEETS.len() as f64 - 0.8), 0.0..top)
        .map_err(as_text)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .bold_line_style(PALE)
        .axis_style(INK)
        .x_labels(FLEETS.len() + 1)
        .y_labels(6)
        .x_label_formatter(&|place| fleet(*place))
        .y_label_formatter(&|value| match measure {
            Measure::Overshoot => requests(*value),
            Measure::Used => format!("{:.0} %", value * 100.0),
        })
        .label_style((FONT, 12).into_font().color(&INK))
        .draw()
        .map_err(as_text)?;
    // The bank last: on top.
    for (index, colour) in COLOURS.iter().enumerate().rev() {
        let points = rows.iter().zip(0_u32..).filter_map(|(row, place)| {
            let figure = row.figures.get(index)?;
            let height = match measure {
                Measure::Overshoot => (1.0 + figure.overshoot).log10(),
                Measure::Used => figure.used.min(top),
            };
            Some((f64::from(place), height))
        });
        let points: Vec<_> = points.collect();
        let name = rows.first().and_then(|row| row.figures.get(index)).map_or(BANK, |figure| figure.name);
        chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(width(name)))).map_err(as_text)?;
        chart.draw_series(points.into_iter().map(|at| Circle::new(at, 3, colour.filled()))).map_err(as_text)?;
    }
    Ok(())
}

fn width(name: &str) -> u32 {
    if name == BANK { 4 } else { 2 }
}

/// The label of a place on the axis of fleets.
fn fleet(place: f64) -> String {
    let label = FLEETS.iter().zip(0_u32..).find(|(_, at)| (f64::from(*at) - place).abs() < 1e-6);
    label.map_or_else(String::new, |(gateways, _)| format!("N={gateways}"))
}

/// The label of a power of ten.
fn requests(power: f64) -> String {
    if power < 0.5 { "0".to_owned() } else { format!("{:.0}", 10_f64.powf(power)) }
}

/// Converts an error of the backend, which borrows from it, to text.
fn as_text(error: impl Error) -> Box<dyn Error + Send + Sync> {
    error.to_string().into()
}
