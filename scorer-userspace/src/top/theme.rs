//! How things look. Colours only repeat what words and brightness tell.

use ratatui::style::{Color, Modifier, Style};
use scorer_common::verdict::Level;

/// Colours, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Theme {
    pub(super) colours: bool,
}

impl Theme {
    /// By the environment: <https://no-color.org>, and terminals that have none.
    pub(super) fn of_environment() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let has_none = std::env::var("TERM").is_ok_and(|term| term == "dumb" || term == "vt100");
        Self { colours: !refused && !has_none }
    }

    fn coloured(self, style: Style, colour: Color) -> Style {
        if self.colours { style.fg(colour) } else { style }
    }

    pub(super) fn level(self, level: Level) -> Style {
        let plain = Style::new();
        match level {
            Level::Low => plain,
            Level::Medium => self.coloured(plain, Color::Yellow),
            Level::High => self.coloured(plain.add_modifier(Modifier::BOLD), Color::LightRed),
            Level::Critical => {
                let marked = plain.add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
                self.coloured(marked, Color::LightRed)
            }
        }
    }

    pub(super) fn heading(self) -> Style {
        self.coloured(Style::new().add_modifier(Modifier::BOLD), Color::Cyan)
    }

    pub(super) fn quiet(self) -> Style {
        self.coloured(Style::new(), Color::DarkGray)
    }

    pub(super) fn warning(self) -> Style {
        self.coloured(Style::new().add_modifier(Modifier::BOLD), Color::Yellow)
    }

    /// A bar across the screen, and what is at hand.
    pub(super) const REVERSED: Style = Style::new().add_modifier(Modifier::REVERSED);
}
