//! What is shown, and what keys do to it. Draws nothing.

use std::{
    io::{self, Write as _},
    path::Path,
};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use scorer_common::verdict::Level;

use super::{
    call::{Call, Details},
    columns::Column,
    filter::{Filter, found},
    rates::{Minute, Rates},
    ring::Ring,
    source::Event,
};
use crate::{private, time::Timestamp};

/// Which view is in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// Calls.
    List,
    /// What the calls that are kept are like.
    Overview,
    /// One call, by its number, from this line on.
    Call { number: u64, scroll: usize },
    /// Keys; what was in front.
    Help(Box<View>),
    /// What goes into the search, or a file's name.
    Prompt(Prompt, String),
    /// The filter's fields, and which one is at hand.
    Filter(Fields, usize),
    /// Which columns are shown, and which one is at hand.
    Columns(usize),
}

/// What a line of text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    Find,
    Save,
}

/// The filter as it is being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) level: Option<Level>,
    /// Score, tag, trunk, country, caller, callee.
    pub(super) texts: [String; 6],
}

impl Fields {
    /// Names, the level's first.
    pub(super) const NAMES: [&str; 7] =
        ["Level", "Score", "Tag", "Trunk", "Country", "Caller", "Callee"];

    fn of(filter: &Filter) -> Self {
        let score = if filter.score == 0 { String::new() } else { filter.score.to_string() };
        let Filter { level, tag, trunk, country, caller, callee, .. } = filter.clone();
        Self { level, texts: [score, tag, trunk, country, caller, callee] }
    }

    fn filter(self) -> Filter {
        let [score, tag, trunk, country, caller, callee] = self.texts;
        let score = score.trim().parse().unwrap_or(0);
        Filter { level: self.level, score, tag, trunk, country, caller, callee }
    }
}

/// Longest text that is typed, characters.
const TYPED: usize = 128;

/// What the keys ask of who runs this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    Quit,
    /// Details of the call of this key.
    Ask(u64),
}

/// The state.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "switches that have nothing to do with another")]
pub(super) struct App {
    pub(super) ring: Ring,
    pub(super) view: View,
    pub(super) filter: Filter,
    pub(super) find: String,
    pub(super) shown: Vec<Column>,
    pub(super) sort: Column,
    pub(super) rising: bool,
    /// Calls that are shown, in this order; made anew when they may have changed.
    pub(super) order: Vec<u64>,
    /// Number of the call at hand.
    pub(super) at: Option<u64>,
    /// The latest is at hand, whatever comes.
    pub(super) follow: bool,
    /// First line of the list.
    pub(super) top: usize,
    /// Lines of the list or page, as last drawn.
    pub(super) page: usize,
    pub(super) paused: bool,
    pub(super) passed_by: u64,
    pub(super) lost: u64,
    pub(super) about: String,
    pub(super) state: String,
    pub(super) notice: String,
    pub(super) rates: Rates,
    minute: Minute,
    /// Time of the latest call.
    latest: Timestamp,
    live: bool,
    changed: bool,
}

impl App {
    /// Room for `most` calls.
    pub(super) fn new(most: usize, about: String, live: bool, filter: Filter) -> Self {
        Self {
            ring: Ring::new(most),
            view: View::List,
            filter,
            find: String::new(),
            shown: Column::FIRST.to_vec(),
            sort: Column::Time,
            rising: true,
            order: Vec::new(),
            at: None,
            follow: true,
            top: 0,
            page: 1,
            paused: false,
            passed_by: 0,
            lost: 0,
            about,
            state: String::new(),
            notice: String::new(),
            rates: Rates { calls: f64::NAN, ..Rates::default() },
            minute: Minute::default(),
            latest: Timestamp(0),
            live,
            changed: true,
        }
    }

    /// Whether events are to be taken: a capture can wait.
    pub(super) fn takes(&self) -> bool {
        self.live || !self.paused
    }

    pub(super) fn event(&mut self, event: Event) {
        match event {
            Event::Call(call) => {
                self.latest = self.latest.max(call.ts);
                self.minute.count(&call);
                if self.paused {
                    self.passed_by += 1;
                } else {
                    self.ring.push(*call);
                    self.changed = true;
                }
            }
            Event::Update(update) => {
                self.ring.update(&update);
                self.changed |= self.sort == Column::Outcome || !self.find.is_empty();
            }
            Event::Step { call_id, sender, step } => self.ring.step(&call_id, &sender, step),
            Event::Rates(rates) => self.rates = rates,
            Event::Lost(count) => self.lost += count,
            Event::Details(key, Ok(told)) => {
                let call = self.ring.number(key).and_then(|number| self.ring.get_mut(number));
                if let Some(call) = call {
                    let Call { ladder, details, outcome, code, label, .. } = *told;
                    if !ladder.is_empty() {
                        call.ladder = ladder;
                    }
                    (call.outcome, call.code, call.label) = (outcome, code, label);
                    // Asked once, whatever came.
                    call.details = Some(details.unwrap_or_default());
                }
            }
            Event::Details(key, Err(error)) => {
                let call = self.ring.number(key).and_then(|number| self.ring.get_mut(number));
                if let Some(call) = call {
                    call.details = Some(Box::<Details>::default());
                }
                self.notice = format!("no details: {error}");
            }
            Event::State(state) => self.state = state,
            Event::End(None) => self.state = "at its end".into(),
            Event::End(Some(why)) => self.state = format!("ended: {why}"),
        }
    }

    /// Rates of the last minute: the source's, where it counts itself.
    pub(super) fn per_minute(&self, now: Timestamp) -> (f64, f64) {
        if self.rates.calls.is_nan() {
            self.minute.rates(if self.live { now } else { self.latest })
        } else {
            (self.rates.calls, self.rates.high)
        }
    }

    /// Makes the order anew where it may have changed.
    pub(super) fn settle(&mut self) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        let Self { ring, filter, find, order, .. } = self;
        order.clear();
        let shown = ring.iter().filter(|(_, call)| filter.admits(call) && found(call, find));
        order.extend(shown.map(|(number, _)| number));
        if self.sort != Column::Time {
            // Those that are alike stay in the order of time.
            order.sort_by(|a, b| match (ring.get(*a), ring.get(*b)) {
                (Some(a), Some(b)) => self.sort.order(a, b),
                _ => std::cmp::Ordering::Equal,
            });
        }
        if !self.rising {
            order.reverse();
        }
        if self.follow {
            self.at = self.order.iter().copied().max();
        } else if self.place().is_none() {
            self.at = self.order.first().copied();
        }
    }

    /// Place of the call at hand in the order.
    pub(super) fn place(&self) -> Option<usize> {
        let at = self.at?;
        self.order.iter().position(|number| *number == at)
    }

    /// The call at hand.
    pub(super) fn call(&self) -> Option<&Call> {
        self.ring.get(self.at?)
    }

    fn go(&mut self, place: usize) {
        let last = self.order.len().saturating_sub(1);
        self.at = self.order.get(place.min(last)).copied();
        // At the latest one, what comes is followed.
        self.follow = self.sort == Column::Time && self.at == self.order.iter().copied().max();
    }

    /// Takes a key.
    pub(super) fn key(&mut self, key: KeyEvent) -> Wish {
        if key.kind == KeyEventKind::Release {
            return Wish::Nothing;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && matches!(key.code, KeyCode::Char('c')) {
            return Wish::Quit;
        }
        self.notice.clear();
        match self.view.clone() {
            View::List | View::Overview => return self.list_key(key.code, control),
            View::Call { number, scroll } => return self.call_key(key.code, number, scroll),
            View::Help(behind) => self.view = *behind,
            View::Prompt(prompt, text) => self.prompt_key(key.code, control, prompt, text),
            View::Filter(fields, at) => self.filter_key(key.code, fields, at),
            View::Columns(at) => self.columns_key(key.code, at),
        }
        Wish::Nothing
    }

    fn list_key(&mut self, key: KeyCode, control: bool) -> Wish {
        self.settle();
        let place = self.place().unwrap_or(0);
        let page = self.page.max(2) - 1;
        match key {
            KeyCode::Esc if self.view == View::Overview => self.view = View::List,
            KeyCode::Esc | KeyCode::Char('q' | 'Q') => return Wish::Quit,
            KeyCode::Up | KeyCode::Char('k') => self.go(place.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.go(place + 1),
            KeyCode::PageUp => self.go(place.saturating_sub(page)),
            KeyCode::PageDown => self.go(place + page),
            KeyCode::Home | KeyCode::Char('g') => self.go(0),
            KeyCode::End | KeyCode::Char('G') => self.go(usize::MAX),
            KeyCode::Enter => return self.enter(),
            KeyCode::Tab => {
                let is_list = self.view == View::List;
                self.view = if is_list { View::Overview } else { View::List };
            }
            KeyCode::F(1) | KeyCode::Char('h' | 'H' | '?') => self.help(),
            KeyCode::F(2) | KeyCode::Char('s' | 'S') => {
                self.view = View::Prompt(Prompt::Save, String::new());
            }
            KeyCode::F(3) | KeyCode::Char('/') => {
                self.view = View::Prompt(Prompt::Find, self.find.clone());
            }
            KeyCode::F(5) => self.clear(),
            KeyCode::Char('l') if control => self.clear(),
            KeyCode::F(7) | KeyCode::Char('f' | 'F') => {
                self.view = View::Filter(Fields::of(&self.filter), 0);
            }
            KeyCode::F(9) => {
                (self.filter, self.changed) = (Filter::default(), true);
                self.find.clear();
            }
            KeyCode::F(10) | KeyCode::Char('c' | 't') => self.view = View::Columns(0),
            KeyCode::Char('p' | 'P') => {
                self.paused = !self.paused;
                self.passed_by = 0;
            }
            KeyCode::Char('A') => {
                (self.follow, self.changed) = (!self.follow, true);
            }
            KeyCode::Char('<') => self.sort_by_next(-1),
            KeyCode::Char('>') => self.sort_by_next(1),
            KeyCode::Char('z') => (self.rising, self.changed) = (!self.rising, true),
            _ => {}
        }
        Wish::Nothing
    }

    fn enter(&mut self) -> Wish {
        let Some(number) = self.at else { return Wish::Nothing };
        // What is looked at stays where it is.
        self.follow = false;
        self.view = View::Call { number, scroll: 0 };
        match self.call() {
            Some(call) if call.details.is_none() && call.key != 0 => Wish::Ask(call.key),
            _ => Wish::Nothing,
        }
    }

    fn help(&mut self) {
        let behind = std::mem::replace(&mut self.view, View::List);
        self.view = View::Help(Box::new(behind));
    }

    fn clear(&mut self) {
        self.ring.clear();
        (self.changed, self.follow, self.at) = (true, true, None);
    }

    fn sort_by_next(&mut self, by: isize) {
        let columns: Vec<_> =
            Column::ALL.into_iter().filter(|column| self.shown.contains(column)).collect();
        let at = columns.iter().position(|column| *column == self.sort).unwrap_or(0);
        let next = (at as isize + by).rem_euclid(columns.len().max(1) as isize) as usize;
        self.sort = columns.get(next).copied().unwrap_or(Column::Time);
        self.follow &= self.sort == Column::Time;
        self.changed = true;
    }

    fn call_key(&mut self, key: KeyCode, number: u64, scroll: usize) -> Wish {
        let page = self.page.max(2) - 1;
        let scroll = match key {
            KeyCode::Esc | KeyCode::Char('q' | 'Q') | KeyCode::Backspace => {
                self.view = View::List;
                return Wish::Nothing;
            }
            KeyCode::F(1) | KeyCode::Char('h' | 'H' | '?') => {
                self.help();
                return Wish::Nothing;
            }
            KeyCode::Left | KeyCode::Right => {
                self.settle();
                let place = self.place().unwrap_or(0);
                let back = key == KeyCode::Left;
                self.go(if back { place.saturating_sub(1) } else { place + 1 });
                return self.enter();
            }
            KeyCode::Up | KeyCode::Char('k') => scroll.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => scroll + 1,
            KeyCode::PageUp => scroll.saturating_sub(page),
            KeyCode::PageDown | KeyCode::Char(' ') => scroll + page,
            KeyCode::Home => 0,
            // The page knows where it ends.
            KeyCode::End => usize::MAX / 2,
            _ => scroll,
        };
        self.view = View::Call { number, scroll };
        Wish::Nothing
    }

    fn prompt_key(&mut self, key: KeyCode, control: bool, prompt: Prompt, mut text: String) {
        match key {
            KeyCode::Esc => {
                self.view = View::List;
                return;
            }
            KeyCode::Enter => {
                self.view = View::List;
                match prompt {
                    Prompt::Find => (self.find, self.changed) = (text, true),
                    Prompt::Save => self.save(text.trim()),
                }
                return;
            }
            KeyCode::Char('u') if control => text.clear(),
            KeyCode::Char(_) if control => {}
            key => typed(key, &mut text),
        }
        self.view = View::Prompt(prompt, text);
    }

    fn filter_key(&mut self, key: KeyCode, mut fields: Fields, at: usize) {
        let count = Fields::NAMES.len();
        let mut at = at;
        match key {
            KeyCode::Esc => {
                self.view = View::List;
                return;
            }
            KeyCode::Enter => {
                self.view = View::List;
                (self.filter, self.changed) = (fields.filter(), true);
                return;
            }
            KeyCode::Down | KeyCode::Tab => at = (at + 1) % count,
            KeyCode::Up | KeyCode::BackTab => at = (at + count - 1) % count,
            KeyCode::Left | KeyCode::Right | KeyCode::Char(' ') if at == 0 => {
                let levels = [None, Some(Level::Medium), Some(Level::High), Some(Level::Critical)];
                let now = levels.iter().position(|level| *level == fields.level).unwrap_or(0);
                let by = if key == KeyCode::Left { levels.len() - 1 } else { 1 };
                fields.level = levels[(now + by) % levels.len()];
            }
            key => {
                if let Some(text) = at.checked_sub(1).and_then(|at| fields.texts.get_mut(at)) {
                    typed(key, text);
                }
            }
        }
        self.view = View::Filter(fields, at);
    }

    fn columns_key(&mut self, key: KeyCode, at: usize) {
        let count = Column::ALL.len();
        let mut at = at;
        match key {
            KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q') | KeyCode::F(10) => {
                self.view = View::List;
                return;
            }
            KeyCode::Down | KeyCode::Tab => at = (at + 1) % count,
            KeyCode::Up | KeyCode::BackTab => at = (at + count - 1) % count,
            KeyCode::Char(' ') => {
                let column = Column::ALL[at];
                if self.shown.contains(&column) {
                    // One stays.
                    if self.shown.len() > 1 {
                        self.shown.retain(|shown| *shown != column);
                    }
                } else {
                    self.shown.push(column);
                }
            }
            _ => {}
        }
        self.view = View::Columns(at);
    }

    /// Writes the calls that are shown, a JSON object a line, to a new file.
    fn save(&mut self, name: &str) {
        if name.is_empty() {
            self.notice = "nothing saved: give the file a name".into();
            return;
        }
        self.settle();
        self.notice = match self.write(name) {
            Ok(count) => format!("{count} calls saved to {name}"),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                format!("nothing saved: {name} exists already")
            }
            Err(error) => format!("cannot save to {name}: {error}"),
        };
    }

    fn write(&self, name: &str) -> io::Result<usize> {
        // Numbers are personal data: others on this host need not read them.
        let file = private::create_new(Path::new(name))?;
        let mut out = io::BufWriter::new(file);
        let calls = self.order.iter().filter_map(|number| self.ring.get(*number));
        let mut count = 0;
        for call in calls {
            serde_json::to_writer(&mut out, &super::saved::line(call))?;
            out.write_all(b"\n")?;
            count += 1;
        }
        out.flush()?;
        Ok(count)
    }
}

/// Takes a character, or takes one back.
fn typed(key: KeyCode, text: &mut String) {
    match key {
        KeyCode::Backspace => drop(text.pop()),
        KeyCode::Char(c) if !c.is_control() && text.chars().count() < TYPED => text.push(c),
        _ => {}
    }
}
