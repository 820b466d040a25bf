//! Draws the state.

mod call;
mod dialogs;
mod list;
mod overview;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{
    app::{App, View},
    theme::Theme,
};
use crate::time::Timestamp;

/// Smaller than this nothing can be read.
const LEAST: (u16, u16) = (40, 10);

/// Draws it all.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, theme: Theme, now: Timestamp) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let (columns, rows) = LEAST;
        let text = format!("too small: {columns}x{rows} or more");
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    app.settle();
    let [title, status, body, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .areas(area);
    draw_title(frame, app, title);
    draw_status(frame, app, theme, now, status);
    match &app.view.clone() {
        View::Overview => overview::draw(frame, app, theme, body),
        View::Call { number, scroll } => call::draw(frame, app, theme, (*number, *scroll), body),
        View::List => list::draw(frame, app, theme, body),
        over => {
            list::draw(frame, app, theme, body);
            dialogs::draw(frame, app, over, body);
        }
    }
    draw_keys(frame, &app.view, keys);
}

fn draw_title(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let mut text = format!("scorer top - {}", app.about);
    if !app.state.is_empty() {
        text = format!("{text} ({})", app.state);
    }
    if app.paused {
        text = format!("{text} PAUSED");
        if app.passed_by > 0 {
            text = format!("{text}, {} calls passed by", app.passed_by);
        }
    }
    frame.render_widget(Paragraph::new(text).style(Theme::REVERSED), area);
}

/// Rates, or what there is to say.
fn draw_status(frame: &mut Frame<'_>, app: &App, theme: Theme, now: Timestamp, area: Rect) {
    if !app.notice.is_empty() {
        let notice = Paragraph::new(app.notice.as_str()).style(theme.warning());
        frame.render_widget(notice, area);
        return;
    }
    let (calls, high) = app.per_minute(now);
    let mut parts = vec![format!("calls/min {calls:.0}"), format!("high/min {high:.0}")];
    if let Some((p50, p99)) = app.rates.latency {
        parts.push(format!("p50 {p50:.0} p99 {p99:.0} µs"));
    }
    if let Some(active) = app.rates.active {
        parts.push(format!("active {active}"));
    }
    if let Some(drops) = app.rates.drops {
        parts.push(format!("drops {drops}"));
    }
    let mut spans = vec![Span::raw(parts.join("  "))];
    if app.lost > 0 {
        spans.push(Span::styled(format!("  not shown {}", app.lost), theme.warning()));
    }
    frame.render_widget(Line::from(spans), area);
}

fn draw_keys(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let keys: &[(&str, &str)] = match view {
        View::List => &[
            ("Esc", "Quit"),
            ("Enter", "Show"),
            ("F1", "Help"),
            ("F2", "Save"),
            ("F3", "Find"),
            ("F7", "Filter"),
            ("F10", "Columns"),
            ("Tab", "Overview"),
            ("p", "Pause"),
            ("<>", "Sort"),
        ],
        View::Overview => &[("Tab", "Calls"), ("F1", "Help"), ("F7", "Filter"), ("q", "Quit")],
        View::Call { .. } => {
            &[("Esc", "Back"), ("Up/Down", "Scroll"), ("Left/Right", "Other calls"), ("F1", "Help")]
        }
        View::Help(_) => &[("any key", "Back")],
        View::Prompt(..) => &[("Enter", "Do"), ("Esc", "Cancel")],
        View::Filter(..) => {
            &[("Enter", "Apply"), ("Esc", "Cancel"), ("Tab", "Next"), ("Space", "Level")]
        }
        View::Columns(_) => &[("Space", "Show or hide"), ("Enter", "Done")],
    };
    let mut spans = Vec::with_capacity(2 * keys.len());
    for (key, what) in keys {
        spans.push(Span::raw(*key));
        spans.push(Span::styled(format!(" {what} "), Theme::REVERSED));
    }
    frame.render_widget(Line::from(spans), area);
}
