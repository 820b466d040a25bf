//! Every view on a screen of memory.

use std::sync::mpsc::sync_channel;

use proptest::prelude::*;
use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::Buffer,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
    style::{Color, Modifier},
};
use serde_json::json;

use super::{
    app::{App, View, Wish},
    call::Call,
    filter::Filter,
    rates::Rates,
    ring::Update,
    source::{Event, Source},
    theme::Theme,
    view,
};
use crate::time::Timestamp;

/// A call of a key and a score, which is also how many seconds after 14:00 it came.
pub(super) fn call(key: u64, score: u8) -> Call {
    let level = match score {
        90.. => "critical",
        70.. => "high",
        40.. => "medium",
        _ => "low",
    };
    let second = Timestamp::new(1_764_079_200 + u64::from(score), 0);
    let json = json!({
        "ts": second.to_string(), "call": format!("{key:016x}"), "call_id": format!("call-{key}@test"),
        "caller": "+441632960001", "callee": "+442079460123", "network_number": "+441632960777",
        "caller_country": "GB", "callee_country": "GB", "source": "192.0.2.1:5060",
        "destination": "192.0.2.2:5060", "transport": "udp", "trunk": "transit", "score": score,
        "level": level, "tags": if score >= 40 { vec!["spoofed", "unattested"] } else { vec![] },
        "reasons": [
            { "feature": "presentation_differs_from_network", "contribution": 1.3,
              "text": "the number shown differs from the one the network asserts" },
            { "feature": "user_agent_is_scanner", "contribution": 0.4, "text": "a scanner" },
        ],
        "action": "pass", "would": "reject", "model": "ensemble-1", "profile": "00000000000000aa",
        "fingerprint": "d457caf59188c9b9", "latency_ns": 8_811,
        "ladder": [
            { "ts": second.to_string(), "from": "caller", "what": "INVITE" },
            { "ts": second.to_string(), "from": "callee", "what": "180" },
        ],
    });
    Call::of(json).expect("a call")
}

/// What the API tells of it.
fn told(key: u64) -> Call {
    let json = json!({
        "call": format!("{key:016x}"), "outcome": "completed", "code": 200, "level": "low",
        "features": [
            { "name": "hops", "group": "header", "value": 9, "low": 1, "high": 4, "unusual": true },
            { "name": "pai_count", "group": "identity", "value": 1 },
            { "name": "codecs", "group": "sdp", "value": null },
        ],
        "headers": [
            { "name": "From", "value": "\"A\u{1b}[2J\" <sip:+441632960001@x>", "odd": "a control character" },
            { "name": "Max-Forwards", "value": "70", "odd": null },
        ],
    });
    Call::of(json).expect("details")
}

fn app(calls: u64) -> App {
    let mut app = App::new(1_000, "capture x.pcap".into(), true, Filter::default());
    for key in 1..=calls {
        app.event(Event::Call(Box::new(call(key, (key * 10 % 101) as u8))));
    }
    app
}

fn press(app: &mut App, code: KeyCode) -> Wish {
    app.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn type_in(app: &mut App, text: &str) {
    for c in text.chars() {
        press(app, KeyCode::Char(c));
    }
}

fn drawn(app: &mut App, (columns, rows): (u16, u16), colours: bool) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("memory");
    let now = Timestamp::new(1_764_079_260, 0);
    terminal.draw(|frame| view::draw(frame, app, Theme { colours }, now)).expect("memory");
    terminal.backend().buffer().clone()
}

/// The screen's lines.
fn screen(app: &mut App, size: (u16, u16)) -> Vec<String> {
    let buffer = drawn(app, size, false);
    let row = |y| (0..size.0).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..size.1).map(|y| row(y).trim_end().to_owned()).collect()
}

const SMALL: (u16, u16) = (80, 24);

fn has(lines: &[String], text: &str) {
    assert!(
        lines.iter().any(|line| line.contains(text)),
        "{text:?} is not in\n{}",
        lines.join("\n")
    );
}

fn has_not(lines: &[String], text: &str) {
    assert!(!lines.iter().any(|line| line.contains(text)), "{text:?} is in\n{}", lines.join("\n"));
}

#[test]
fn the_list_fits_eighty_columns() {
    let mut app = app(30);
    let rates = Rates {
        calls: 61.0,
        high: 7.0,
        latency: Some((8.0, 40.0)),
        drops: Some(2),
        active: Some(3),
    };
    app.event(Event::Rates(rates));
    app.event(Event::State("connected".into()));
    let lines = screen(&mut app, SMALL);
    assert!(lines[0].starts_with("scorer top - capture x.pcap (connected)"), "{}", lines[0]);
    assert_eq!(lines[1], "calls/min 61  high/min 7  p50 8 p99 40 µs  active 3  drops 2");
    assert_eq!(lines[2], "Calls: 30");
    assert!(lines[3].starts_with("Tags spoofed 19  unattested 19"), "{}", lines[3]);
    assert_eq!(lines[4], "From GB 30  Trunks transit 30");
    assert!(lines[5].starts_with("Time^     Risk Level    Caller          Callee"), "{}", lines[5]);
    // The latest is at the end, and at hand.
    let last = &lines[22];
    assert!(
        last.starts_with(
            "14:01:38    98 critical +441632960001   +442079460123   GB>GB   spoofed,unattes~"
        ),
        "{last}"
    );
    assert!(
        lines[23].starts_with("Esc Quit Enter Show F1 Help F2 Save F3 Find F7 Filter"),
        "{}",
        lines[23]
    );
    // Wider ones show more.
    let lines = screen(&mut app, (200, 50));
    for text in ["Trunk", "Action", "would reject", "Outcome", "the number shown differs from"] {
        has(&lines, text);
    }
}

#[test]
fn levels_are_told_without_colours() {
    let mut app = app(9);
    for colours in [false, true] {
        let buffer = drawn(&mut app, SMALL, colours);
        let coloured = buffer.content().iter().any(|cell| cell.fg != Color::Reset);
        assert_eq!(coloured, colours);
        // The ninth call: critical, in words and in bold.
        let cell = &buffer[(15, 14)];
        assert_eq!(cell.symbol(), "c");
        assert!(cell.modifier.contains(Modifier::BOLD), "{cell:?}");
    }
}

#[test]
fn details_tell_why() {
    let mut app = app(9);
    assert_eq!(press(&mut app, KeyCode::Enter), Wish::Ask(9));
    let lines = screen(&mut app, (100, 60));
    for text in [
        "90 critical",
        "Caller      +441632960001 (GB)",
        "Network's   +441632960777",
        "Action      pass, would reject",
        "Call-ID     call-9@test",
        "+1.30 ######## the number shown differs from the one the network asserts",
        "+0.40 ##       a scanner",
        "|-------- INVITE --------->|",
        "|<---------- 180 ----------|",
        "asking ...",
    ] {
        has(&lines, text);
    }
    app.event(Event::Details(9, Ok(Box::new(told(9)))));
    let lines = screen(&mut app, (100, 60));
    for text in [
        "Outcome     completed, 200",
        "! From: \"A\\u{1b}[2J\" <sip:+441632960001@x>",
        "^ a control character",
        "  Max-Forwards: 70",
        "! hops                                              9  usually 1 to 4",
        "1 have no value",
    ]
    .map(|text| text.trim_start_matches("  "))
    {
        has(&lines, text);
    }
    has_not(&lines, "asking");
    // Two columns, scrolled to the end and back; the next call; back to the list.
    has(&screen(&mut app, (160, 24)), "Headers");
    press(&mut app, KeyCode::End);
    has(&screen(&mut app, SMALL), "1 have no value");
    press(&mut app, KeyCode::Home);
    has(&screen(&mut app, SMALL), "90 critical");
    assert_eq!(press(&mut app, KeyCode::Left), Wish::Ask(8));
    has(&screen(&mut app, SMALL), "80 high");
    app.event(Event::Details(8, Err("it is gone".into())));
    has(&screen(&mut app, (100, 60)), "no details: it is gone");
    press(&mut app, KeyCode::Esc);
    assert_eq!(app.view, View::List);
}

#[test]
fn what_is_sought_is_shown() {
    let mut app = app(10);
    press(&mut app, KeyCode::F(3));
    type_in(&mut app, "CALL-4@x");
    press(&mut app, KeyCode::Backspace);
    has(&screen(&mut app, SMALL), "CALL-4@_");
    press(&mut app, KeyCode::Enter);
    has(&screen(&mut app, SMALL), "Calls: 10, shown: 1  Find: CALL-4@");
    press(&mut app, KeyCode::F(9));
    press(&mut app, KeyCode::F(7));
    press(&mut app, KeyCode::Char(' '));
    press(&mut app, KeyCode::Char(' '));
    press(&mut app, KeyCode::Tab);
    type_in(&mut app, "85");
    let lines = screen(&mut app, SMALL);
    has(&lines, "Level    high or higher");
    has(&lines, "Score    85_");
    press(&mut app, KeyCode::Enter);
    has(&screen(&mut app, SMALL), "Calls: 10, shown: 2  Filter: level>=high score>=85");
    press(&mut app, KeyCode::F(7));
    type_in(&mut app, "j");
    press(&mut app, KeyCode::Esc);
    assert_eq!(app.filter.score, 85, "Esc changes nothing");
}

#[test]
fn columns_and_order() {
    let mut app = app(10);
    press(&mut app, KeyCode::Char('>'));
    let lines = screen(&mut app, SMALL);
    has(&lines, "Risk^");
    assert!(lines[6].contains("   10 low"), "{}", lines[6]);
    press(&mut app, KeyCode::Char('z'));
    let lines = screen(&mut app, SMALL);
    assert!(lines[5].contains("Riskv") && lines[6].contains(" 100 critical"), "{}", lines[6]);
    press(&mut app, KeyCode::Char('<'));
    press(&mut app, KeyCode::F(10));
    has(&screen(&mut app, SMALL), "[x] Time");
    press(&mut app, KeyCode::Char(' '));
    has(&screen(&mut app, SMALL), "[ ] Time");
    press(&mut app, KeyCode::Up);
    has(&screen(&mut app, SMALL), "[ ] Call-ID");
    press(&mut app, KeyCode::Enter);
    let lines = screen(&mut app, SMALL);
    assert!(lines[5].starts_with(" Risk Level"), "{}", lines[5]);
}

#[test]
fn the_cursor_stays_on_its_call() {
    let mut app = app(40);
    screen(&mut app, SMALL);
    press(&mut app, KeyCode::Home);
    screen(&mut app, SMALL);
    assert_eq!(app.call().map(|call| call.key), Some(1));
    press(&mut app, KeyCode::PageDown);
    press(&mut app, KeyCode::Down);
    let at = app.call().map(|call| call.key);
    assert_eq!(at, Some(18));
    app.event(Event::Call(Box::new(call(41, 5))));
    let lines = screen(&mut app, SMALL);
    assert_eq!(app.call().map(|call| call.key), at);
    has(&lines, "Calls: 41");
    press(&mut app, KeyCode::End);
    app.event(Event::Call(Box::new(call(42, 5))));
    screen(&mut app, SMALL);
    assert_eq!(app.call().map(|call| call.key), Some(42), "at the end, the latest is followed");
}

#[test]
fn pausing_and_forgetting() {
    let mut app = app(3);
    press(&mut app, KeyCode::Char('p'));
    app.event(Event::Call(Box::new(call(4, 5))));
    app.event(Event::Lost(7));
    let lines = screen(&mut app, SMALL);
    has(&lines, "PAUSED, 1 calls passed by");
    has(&lines, "not shown 7");
    has(&lines, "Calls: 3");
    assert!(app.takes());
    press(&mut app, KeyCode::Char('p'));
    press(&mut app, KeyCode::F(5));
    has(&screen(&mut app, SMALL), "no calls yet");
    app.event(Event::Update(Update { key: 1, ..Update::default() }));
    // A capture waits instead.
    let mut app = App::new(10, "capture".into(), false, Filter::default());
    press(&mut app, KeyCode::Char('p'));
    assert!(!app.takes());
}

#[test]
fn the_overview_and_help() {
    let mut app = app(10);
    press(&mut app, KeyCode::Tab);
    let lines = screen(&mut app, SMALL);
    for text in [
        "Levels of 10 calls",
        "critical       2   20.0 % ###########",
        "low            3   30.0 %",
        "      7  spoofed",
        "     10  transit",
        "     10  GB",
        "First reasons",
    ] {
        has(&lines, text);
    }
    press(&mut app, KeyCode::F(1));
    has(&screen(&mut app, SMALL), "save the calls that are shown");
    press(&mut app, KeyCode::Char('x'));
    assert_eq!(app.view, View::Overview);
    assert_eq!(press(&mut app, KeyCode::Esc), Wish::Nothing);
    assert_eq!(press(&mut app, KeyCode::Char('q')), Wish::Quit);
    let quit = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(app.key(quit), Wish::Quit);
}

#[test]
fn saved_calls_are_those_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calls.jsonl");
    let mut app = app(10);
    app.filter.score = 90;
    let mut save = || {
        press(&mut app, KeyCode::F(2));
        type_in(&mut app, &path.display().to_string());
        press(&mut app, KeyCode::Enter);
        app.notice.clone()
    };
    assert!(save().starts_with("2 calls saved to"));
    assert!(save().ends_with("exists already"));
    let text = std::fs::read_to_string(&path).expect("a file");
    let calls: Vec<_> =
        text.lines().map(|line| Call::read(line.as_bytes()).expect("calls")).collect();
    assert_eq!(calls.iter().map(|call| call.score).collect::<Vec<_>>(), [90, 100]);
    assert_eq!(calls[0].ladder.len(), 2);
}

#[test]
fn screens_of_any_size() {
    let mut app = app(25);
    for view in
        [KeyCode::Esc, KeyCode::Tab, KeyCode::F(1), KeyCode::F(7), KeyCode::F(10), KeyCode::Enter]
    {
        app.view = View::List;
        if view != KeyCode::Esc {
            press(&mut app, view);
        }
        for size in [(1, 1), (20, 5), (40, 10), (79, 23), (300, 100)] {
            screen(&mut app, size);
        }
    }
    has(&screen(&mut app, (30, 5)), "too small");
}

#[test]
fn a_source_that_is_gone_is_no_failure() {
    let (sender, events) = sync_channel(1);
    let source = Source::test(events, "capture", false);
    sender.send(Event::End(Some("cut short".into()))).expect("room");
    drop(sender);
    let mut app = app(1);
    while let Ok(event) = source.events.try_recv() {
        app.event(event);
    }
    has(&screen(&mut app, SMALL), "(ended: cut short)");
    assert!(!source.ask(1));
}

proptest! {
    #[test]
    fn no_control_character_is_drawn(texts in prop::collection::vec(any::<String>(), 6)) {
        let json = json!({
            "caller": texts[0], "callee": texts[1], "call_id": texts[2], "trunk": texts[3],
            "tags": [texts[4]], "reasons": [{ "text": texts[5], "feature": texts[0] }],
            "call": "01", "level": "high", "score": 80, "source": texts[4], "model": texts[5],
            "ladder": [{ "what": texts[3] }], "outcome": texts[2], "rule": texts[1],
            "headers": [{ "name": texts[0], "value": texts[1], "odd": texts[2] }],
            "features": [{ "name": texts[3], "group": texts[4], "value": 1 }],
        });
        let mut app = App::new(10, "x".into(), true, Filter::default());
        app.event(Event::Call(Box::new(Call::of(json).expect("a call"))));
        for key in [KeyCode::Esc, KeyCode::Tab, KeyCode::Enter] {
            app.view = View::List;
            if key != KeyCode::Esc {
                press(&mut app, key);
            }
            let buffer = drawn(&mut app, (200, 60), true);
            for cell in buffer.content() {
                prop_assert!(!cell.symbol().chars().any(char::is_control), "{:?}", cell.symbol());
            }
        }
    }

    #[test]
    fn any_keys(keys in prop::collection::vec(0..40u8, 0..200)) {
        let mut app = app(12);
        for key in keys {
            let code = match key {
                0..12 => KeyCode::F(key + 1),
                12 => KeyCode::Enter,
                13 => KeyCode::Up,
                14 => KeyCode::Down,
                15 => KeyCode::Left,
                16 => KeyCode::Right,
                17 => KeyCode::Tab,
                18 => KeyCode::Esc,
                19 => KeyCode::Backspace,
                20 => KeyCode::PageDown,
                21 => KeyCode::End,
                other => KeyCode::Char(char::from(b"pzA<>kjgGhct8 f/x \tQ"[usize::from(other) % 20])),
            };
            // Nothing is written to where tests run.
            if matches!(app.view, View::Prompt(super::app::Prompt::Save, _)) {
                press(&mut app, KeyCode::Esc);
            }
            press(&mut app, code);
            screen(&mut app, SMALL);
        }
    }
}
