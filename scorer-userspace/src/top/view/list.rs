//! The list of calls.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::Paragraph,
};
use unicode_width::UnicodeWidthChar as _;

use crate::top::{app::App, call::Call, columns::Column, rates::most, theme::Theme};

/// Lines above the calls: what is shown, two of counts, headings.
const HEAD: u16 = 4;

pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, theme: Theme, area: Rect) {
    let rows = usize::from(area.height.saturating_sub(HEAD)).max(1);
    app.page = rows;
    scroll(app, rows);
    let fitting = Column::fitting(&app.shown, area.width);
    let mut lines = vec![what_is_shown(app)];
    lines.extend(counts(app, theme));
    lines.push(headings(app, &fitting));
    for number in app.order.iter().skip(app.top).take(rows) {
        let Some(call) = app.ring.get(*number) else { continue };
        lines.push(row(call, &fitting, theme, app.at == Some(*number)));
    }
    if app.order.is_empty() {
        let text = if app.ring.len() == 0 { "no calls yet" } else { "no call is like that" };
        lines.push(Line::styled(text, theme.quiet()));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// Keeps the call at hand on the screen.
fn scroll(app: &mut App, rows: usize) {
    let last = app.order.len().saturating_sub(rows);
    let place = app.place().unwrap_or(0);
    app.top = app.top.clamp(place.saturating_sub(rows - 1), place).min(last);
}

fn what_is_shown(app: &App) -> Line<'static> {
    let mut text = format!("Calls: {}", app.ring.len());
    if app.order.len() != app.ring.len() {
        text = format!("{text}, shown: {}", app.order.len());
    }
    let filter = app.filter.words();
    if !filter.is_empty() {
        text = format!("{text}  Filter: {filter}");
    }
    if !app.find.is_empty() {
        text = format!("{text}  Find: {}", app.find);
    }
    Line::raw(text)
}

/// The most frequent tags; countries and trunks.
fn counts(app: &App, theme: Theme) -> [Line<'static>; 2] {
    let words = |counts: Vec<(&str, usize)>, few: usize| {
        let few: Vec<_> =
            counts.iter().take(few).map(|(name, count)| format!("{name} {count}")).collect();
        if few.is_empty() { "-".to_owned() } else { few.join("  ") }
    };
    let heading = |text: &'static str| Span::styled(text, theme.heading());
    let tags = most(&app.ring, |call| call.tags.iter().map(String::as_str).collect());
    let from = most(&app.ring, |call| vec![&*call.caller_country]);
    let trunks = most(&app.ring, |call| vec![&*call.trunk]);
    [
        Line::from(vec![heading("Tags "), Span::raw(words(tags, 6))]),
        Line::from(vec![
            heading("From "),
            Span::raw(words(from, 5)),
            heading("  Trunks "),
            Span::raw(words(trunks, 4)),
        ]),
    ]
}

fn headings(app: &App, fitting: &[(Column, u16)]) -> Line<'static> {
    let mut text = String::new();
    for (i, (column, width)) in fitting.iter().enumerate() {
        if i > 0 {
            text.push(' ');
        }
        let mark = match (*column == app.sort, app.rising) {
            (false, _) => "",
            (true, true) => "^",
            (true, false) => "v",
        };
        let heading = format!("{}{mark}", column.name());
        text.push_str(&padded(&heading, *width, column.is_number()));
    }
    Line::styled(text, Theme::REVERSED)
}

fn row(call: &Call, fitting: &[(Column, u16)], theme: Theme, at_hand: bool) -> Line<'static> {
    let mut spans = Vec::with_capacity(2 * fitting.len());
    for (i, (column, width)) in fitting.iter().enumerate() {
        if i > 0 {
            spans.push(Span::raw(" "));
        }
        let text = padded(&column.text(call), *width, column.is_number());
        let style = match column {
            Column::Score | Column::Level => theme.level(call.level),
            _ => Style::new(),
        };
        spans.push(Span::styled(text, style));
    }
    let line = Line::from(spans);
    if at_hand { line.patch_style(Theme::REVERSED) } else { line }
}

/// The text in so many cells; what is cut ends in `~`.
fn padded(text: &str, width: u16, right: bool) -> String {
    let width = usize::from(width);
    let cells = |c: char| c.width().unwrap_or(0);
    let whole: usize = text.chars().map(cells).sum();
    let mut out = String::with_capacity(width);
    let mut used = 0;
    if whole > width {
        for c in text.chars() {
            if used + cells(c) + 1 > width {
                break;
            }
            out.push(c);
            used += cells(c);
        }
        out.push('~');
        used += 1;
    } else {
        if right {
            out.extend(std::iter::repeat_n(' ', width - whole));
            used += width - whole;
        }
        out.push_str(text);
        used += whole;
    }
    out.extend(std::iter::repeat_n(' ', width.saturating_sub(used)));
    out
}

#[cfg(test)]
mod tests {
    use super::padded;

    #[test]
    fn texts_fill_their_cells() {
        assert_eq!(padded("ab", 4, false), "ab  ");
        assert_eq!(padded("ab", 4, true), "  ab");
        assert_eq!(padded("abcdef", 4, true), "abc~");
        assert_eq!(padded("銀行銀行", 6, false), "銀行~ ");
        assert_eq!(padded("", 2, false), "  ");
    }
}
