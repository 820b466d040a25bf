//! What the calls that are kept are like.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::{Line, Span},
    widgets::Paragraph,
};
use scorer_common::verdict::Level;

use crate::top::{app::App, call::Call, rates::most, theme::Theme};

/// What is counted of a call.
type Names = fn(&Call) -> Vec<&str>;

pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, theme: Theme, area: Rect) {
    let [levels, rest] = Layout::vertical([Constraint::Length(6), Constraint::Min(1)]).areas(area);
    draw_levels(frame, app, theme, levels);
    let columns = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).spacing(2);
    let [left, right] = columns.areas(rest);
    let rows = Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]);
    let [tags, trunks] = rows.areas(left);
    let [countries, reasons] = rows.areas(right);
    let tables: [(&str, Rect, Names); 4] = [
        ("Tags", tags, |call| call.tags.iter().map(String::as_str).collect()),
        ("Trunks", trunks, |call| vec![&*call.trunk]),
        ("From", countries, |call| vec![&*call.caller_country]),
        ("First reasons", reasons, |call| {
            call.reasons.first().map(|why| &*why.text).into_iter().collect()
        }),
    ];
    for (heading, area, of) in tables {
        let mut lines = vec![Line::styled(heading, theme.heading())];
        let counts = most(&app.ring, of);
        if counts.is_empty() {
            lines.push(Line::styled("none known", theme.quiet()));
        }
        for (name, count) in counts {
            lines.push(Line::raw(format!("{count:>7}  {name}")));
        }
        frame.render_widget(Paragraph::new(lines), area);
    }
}

/// A bar for each level.
fn draw_levels(frame: &mut Frame<'_>, app: &App, theme: Theme, area: Rect) {
    let all = app.ring.len();
    let mut lines = vec![Line::styled(format!("Levels of {all} calls"), theme.heading())];
    let room = usize::from(area.width.saturating_sub(27));
    for level in Level::ALL.into_iter().rev() {
        let count = app.ring.iter().filter(|(_, call)| call.level == level).count();
        let share = count as f64 / all.max(1) as f64;
        // What there is shows, however little.
        let bar = ((share * room as f64).round() as usize).max(usize::from(count > 0));
        lines.push(Line::from(vec![
            Span::styled(format!("{:<9}", level.name()), theme.level(level)),
            Span::raw(format!("{count:>7} {:>6.1} % ", share * 100.0)),
            Span::styled("#".repeat(bar), theme.level(level)),
        ]));
    }
    frame.render_widget(Paragraph::new(lines), area);
}
