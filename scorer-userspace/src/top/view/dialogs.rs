//! What comes in front of the list.

use ratatui::{
    Frame,
    layout::Rect,
    text::Line,
    widgets::{Block, Clear, Paragraph},
};

use crate::top::{
    app::{App, Fields, Prompt, View},
    columns::Column,
    theme::Theme,
};

const HELP: &[(&str, &str)] = &[
    ("Up Down PgUp PgDn Home End", "choose a call; at End the latest is followed"),
    ("Enter", "details: reasons, messages, headers, features"),
    ("Esc q", "back; from the list: quit"),
    ("F1 h ?", "this help"),
    ("F2 s", "save the calls that are shown (JSON lines)"),
    ("F3 /", "find: show calls that hold a text"),
    ("F5 Ctrl-L", "forget all calls"),
    ("F7 f", "filter by level, score, tag, trunk, country, number"),
    ("F9", "show all again"),
    ("F10 c t", "columns"),
    ("< > z", "sort by another column; the other way round"),
    ("p", "pause: a live list stands still, a capture waits"),
    ("A", "follow the latest call, or not"),
    ("Tab", "overview: levels, tags, trunks, countries, reasons"),
    ("Left Right", "in details: the call before, the next"),
];

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, view: &View, area: Rect) {
    let (title, lines): (&str, Vec<Line<'static>>) = match view {
        View::Help(_) => {
            let lines = HELP.iter().map(|(keys, what)| Line::raw(format!("{keys:<27} {what}")));
            (" Keys ", lines.collect())
        }
        View::Prompt(prompt, text) => {
            let (title, what) = match prompt {
                Prompt::Find => (" Find ", "Show calls that hold this; empty shows all:"),
                Prompt::Save => (" Save ", "Write the calls that are shown to this new file:"),
            };
            (title, vec![Line::raw(what), Line::raw(format!("{text}_"))])
        }
        View::Filter(fields, at) => (" Filter ", filter(fields, *at)),
        View::Columns(at) => (" Columns ", columns(app, *at)),
        View::List | View::Overview | View::Call { .. } => return,
    };
    let widest = lines.iter().map(Line::width).max().unwrap_or(0).max(40);
    let (width, height) = (widest as u16 + 4, lines.len() as u16 + 2);
    let width = width.min(area.width);
    let height = height.min(area.height);
    let inside = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    let rows = usize::from(height.saturating_sub(2)).max(1);
    // The chosen line is on the screen.
    let skip = match view {
        View::Columns(at) | View::Filter(_, at) => (at + 1).saturating_sub(rows),
        _ => 0,
    };
    let lines: Vec<_> = lines.into_iter().skip(skip).collect();
    frame.render_widget(Clear, inside);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(title)), inside);
}

fn filter(fields: &Fields, at: usize) -> Vec<Line<'static>> {
    let level =
        fields.level.map_or("all".to_owned(), |level| format!("{} or higher", level.name()));
    let values = std::iter::once(level).chain(fields.texts.iter().cloned());
    let lines = Fields::NAMES.iter().zip(values).enumerate().map(|(i, (name, value))| {
        let cursor = if i == at && i > 0 { "_" } else { "" };
        let line = Line::raw(format!("{name:<8} {:<40}", format!("{value}{cursor}")));
        if i == at { line.patch_style(Theme::REVERSED) } else { line }
    });
    lines.collect()
}

fn columns(app: &App, at: usize) -> Vec<Line<'static>> {
    let lines = Column::ALL.iter().enumerate().map(|(i, column)| {
        let mark = if app.shown.contains(column) { 'x' } else { ' ' };
        let line = Line::raw(format!("[{mark}] {:<30}", column.name()));
        if i == at { line.patch_style(Theme::REVERSED) } else { line }
    });
    lines.collect()
}
