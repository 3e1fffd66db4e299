//! Line plots as SVG, styled only by the page.

use std::fmt::Write;

const WIDTH: f64 = 880.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 68.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;

/// The scale of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// From zero.
    Linear,
    /// By powers of ten.
    Log,
    /// Quantiles, with the same distance between one nine and the next.
    Nines,
}

/// A plot.
#[derive(Debug)]
pub struct Plot<'a> {
    /// Below the x axis.
    pub x_label: &'a str,
    /// The x axis.
    pub x: Scale,
    /// The y axis.
    pub y: Scale,
    /// A tick of the y axis in words.
    pub y_tick: fn(f64) -> String,
    /// What is drawn.
    pub lines: Vec<Line>,
}

/// A line of a plot.
#[derive(Debug, Clone)]
pub struct Line {
    /// The colour; the same number has the same one in every plot.
    pub number: usize,
    /// For the legend.
    pub name: String,
    /// Joined in this order.
    pub points: Vec<(f64, f64)>,
}

impl Plot<'_> {
    /// The SVG element; `None` without two points to join.
    pub fn svg(&self) -> Option<String> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        if !self.lines.iter().any(|line| line.points.len() > 1) {
            return None;
        }
        let x = Axis::new(self.x, points().map(|point| point.0), LEFT, WIDTH - RIGHT);
        let y = Axis::new(self.y, points().map(|point| point.1), HEIGHT - BOTTOM, TOP);
        let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
        // Writing to a string cannot fail.
        for tick in y.ticks() {
            let at = y.place(tick);
            let label = (self.y_tick)(tick);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"tick\" text-anchor=\"end\" x=\"{}\" y=\"{:.1}\">{label}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                at + 4.0
            );
        }
        for tick in x.ticks() {
            let at = x.place(tick);
            let label = x.label(tick);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{}\"/>\
                 <text class=\"tick\" text-anchor=\"middle\" x=\"{at:.1}\" y=\"{}\">{label}</text>",
                HEIGHT - BOTTOM,
                HEIGHT - BOTTOM + 16.0
            );
        }
        let _ = write!(
            svg,
            "<text class=\"tick\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">{}</text>",
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 6.0,
            self.x_label
        );
        for Line { number, points, .. } in &self.lines {
            let places = points.iter().map(|point| format!("{:.1},{:.1}", x.place(point.0), y.place(point.1)));
            let places: Vec<String> = places.collect();
            let _ = write!(svg, "<polyline class=\"line {}\" points=\"{}\"/>", color(*number), places.join(" "));
        }
        svg.push_str("</svg>");
        Some(svg)
    }

    /// Names of the lines in their colours.
    pub fn legend(&self) -> String {
        let entry = |Line { number, name, .. }: &Line| {
            format!("<span class=\"key\"><i class=\"{}\"></i>{}</span>", color(*number), super::html::escape(name))
        };
        format!("<p class=\"legend\">{}</p>", self.lines.iter().map(entry).collect::<String>())
    }
}

/// The class of a line's colour: eight colours, then the same ones dashed.
fn color(number: usize) -> String {
    format!("c{}{}", number % 8, if number >= 8 { " dashed" } else { "" })
}

struct Axis {
    scale: Scale,
    /// In the scale's own units.
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Axis {
    fn new(scale: Scale, values: impl Iterator<Item = f64>, start: f64, end: f64) -> Self {
        let values: Vec<f64> = values.map(|value| position(scale, value)).filter(|value| value.is_finite()).collect();
        let (least, most) =
            (values.iter().copied().fold(f64::INFINITY, f64::min), values.iter().copied().fold(0.0, f64::max));
        let (from, to) = match scale {
            Scale::Linear | Scale::Nines => (0.0, most),
            Scale::Log => (least.min(most).floor(), most.ceil()),
        };
        Self { scale, from, to: if to > from { to } else { from + 1.0 }, start, end }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (position(self.scale, value) - self.from) / (self.to - self.from);
        self.start + (self.end - self.start) * share.clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        let whole = || (0..16).map(f64::from).filter(|power| (self.from..=self.to).contains(power));
        match self.scale {
            Scale::Log => whole().map(|power| 10_f64.powf(power)).collect(),
            Scale::Nines => whole().map(|nines| 1.0 - 10_f64.powf(-nines)).collect(),
            Scale::Linear => {
                let step = round_step((self.to - self.from) / 6.0);
                (0..=12).map(|number| f64::from(number) * step).take_while(|tick| *tick <= self.to * 1.001).collect()
            }
        }
    }

    fn label(&self, tick: f64) -> String {
        match self.scale {
            Scale::Nines => {
                let digits = format!("{:.6}", tick * 100.0);
                format!("{} %", digits.trim_end_matches('0').trim_end_matches('.'))
            }
            Scale::Linear | Scale::Log => {
                let digits = format!("{tick:.3}");
                digits.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
        }
    }
}

fn position(scale: Scale, value: f64) -> f64 {
    match scale {
        Scale::Linear => value,
        Scale::Log => value.max(1e-9).log10(),
        Scale::Nines => -(1.0 - value).max(1e-7).log10(),
    }
}

/// 1, 2 or 5 times a power of ten, at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|round| *round >= step).unwrap_or(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(lines: Vec<(&str, Vec<(f64, f64)>)>) -> Plot<'static> {
        let lines = lines.into_iter().enumerate();
        let lines = lines.map(|(number, (name, points))| Line { number, name: name.into(), points }).collect();
        Plot { x_label: "seconds", x: Scale::Linear, y: Scale::Log, y_tick: |value| value.to_string(), lines }
    }

    #[test]
    fn every_line_is_drawn_within_the_frame() {
        let line = |factor: f64| (1..50).map(|at| (f64::from(at), factor * f64::from(at))).collect();
        let svg = plot(vec![("one", line(1.0)), ("two <&>", line(1_000.0))]).svg().unwrap();
        let lines: Vec<&str> = svg.split("points=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(lines.len(), 2);
        for point in lines.iter().flat_map(|line| line.split(' ')) {
            let (x, y) = point.split_once(',').unwrap();
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!((LEFT..=WIDTH - RIGHT).contains(&x) && (TOP..=HEIGHT - BOTTOM).contains(&y), "{point}");
        }
    }

    #[test]
    fn nothing_to_join_is_no_plot() {
        assert!(plot(vec![("one", vec![(1.0, 1.0)])]).svg().is_none());
    }

    #[test]
    fn steps_are_round() {
        for (step, round) in [(0.13, 0.2), (17.0, 20.0), (100.0, 100.0), (5_001.0, 10_000.0)] {
            assert!((round_step(step) / round - 1.0).abs() < 1e-9, "{step}");
        }
    }
}
