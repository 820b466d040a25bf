//! `scorer top`: live calls in a terminal, in sngrep's habits.
//!
//! Calls come from a source in a thread of its own over a bounded queue; the main thread
//! takes keys and draws. What callers wrote is made safe where it comes in
//! ([`clean`]): no control character reaches the terminal. The terminal is given back
//! as it was at the end, after a signal and after a panic.

mod app;
mod call;
mod clean;
mod columns;
mod filter;
mod notices;
mod rates;
mod ring;
mod saved;
mod source;
mod theme;
mod view;

#[cfg(test)]
mod tests;

use std::{
    io::{self, IsTerminal as _},
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::TryRecvError,
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event as Input},
};

pub use filter::Filter;
pub use notices::Notices;
pub use source::{Address, From, Scoring, Source};

use app::{App, Wish};
use theme::Theme;

use crate::tap::wall;

/// How long keys are waited for before events are looked at, ms.
const TURN: u8 = 50;
/// How often calls that come are drawn; keys at once.
const DRAWN: Duration = Duration::from_millis(200);
/// Events taken between two looks at the keys.
const EVENTS: usize = 4_096;

/// Shows the source's calls until the user has seen enough, or a signal comes.
///
/// # Errors
/// Where there is no terminal, or it goes away.
pub fn run(source: Source, most: usize, filter: Filter, notices: &Notices) -> anyhow::Result<()> {
    anyhow::ensure!(
        io::stdin().is_terminal() && io::stdout().is_terminal(),
        "`scorer top` needs a terminal for its input and output; `scorer replay` and `scorer calls` \
         write lines"
    );
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
        // The second one ends it at once.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .context("cannot wait for signals")?;
    }
    let app = App::new(most, source.about.clone(), source.live, filter);
    // Sets a hook that gives the terminal back before a panic, of whatever thread, is told.
    let terminal = ratatui::try_init().context("cannot use the terminal")?;
    let restored = Restored;
    let result = show(terminal, app, &source, &stop, notices);
    drop(restored);
    drop(source);
    for line in notices.take() {
        eprintln!("{line}");
    }
    result
}

/// Gives the terminal back when dropped.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Waits for input; whether the terminal has gone instead.
fn hung_up(most: PollTimeout) -> bool {
    let input = io::stdin();
    let mut fds = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
    // An error is a signal, which is looked at elsewhere.
    poll(&mut fds, most).is_ok() && fds[0].revents().is_some_and(|events| events.intersects(gone))
}

fn show(
    mut terminal: DefaultTerminal,
    mut app: App,
    source: &Source,
    stop: &AtomicBool,
    notices: &Notices,
) -> anyhow::Result<()> {
    let theme = Theme::of_environment();
    let mut drawn: Option<Instant> = None;
    let mut at_once = true;
    while !stop.load(Ordering::Acquire) {
        for _ in 0..EVENTS {
            if !app.takes() {
                break;
            }
            match source.events.try_recv() {
                Ok(event) => app.event(event),
                // Its thread has ended; what it told stays to be looked at.
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        if let Some(notice) = notices.latest() {
            app.notice = notice;
        }
        if at_once || drawn.is_none_or(|drawn| drawn.elapsed() >= DRAWN) {
            terminal
                .draw(|frame| view::draw(frame, &mut app, theme, wall()))
                .context("cannot draw on the terminal")?;
            drawn = Some(Instant::now());
            at_once = false;
        }
        // Waits here and not in crossterm, which would read a terminal's end for ever.
        if hung_up(PollTimeout::ZERO) {
            return Ok(());
        }
        let mut ready = event::poll(Duration::ZERO).context("cannot read the terminal")?;
        if !ready {
            if hung_up(TURN.into()) {
                return Ok(());
            }
            ready = event::poll(Duration::ZERO).context("cannot read the terminal")?;
        }
        if ready {
            match event::read().context("cannot read the terminal")? {
                Input::Key(key) => match app.key(key) {
                    Wish::Quit => return Ok(()),
                    Wish::Ask(key) if !source.ask(key) => {
                        app.event(source::Event::Details(key, Err("nobody to ask".into())));
                    }
                    Wish::Ask(_) | Wish::Nothing => {}
                },
                Input::Resize(..) => {}
                _ => continue,
            }
            at_once = true;
        }
    }
    Ok(())
}
