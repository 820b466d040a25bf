//! `scorer top` in a real terminal: with a capture, a running scorer, an interface.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use scorer_tests::{
    calls::{Invite, capture},
    frames::{invite, udp4},
    lab::{INTERFACE, Lab},
    scorer,
    screen::Screen,
    shared,
};

/// The shell has its terminal back: no other screen, lines are read and shown again.
fn is_restored(screen: &Screen) {
    screen.run(
        "stty -a | tr ' ' '\\n' | grep -x -e icanon -e echo -e isig | sort | tr '\\n' ,; echo over",
    );
    screen.wait("echo,icanon,isig,over");
    assert_eq!(screen.variable("alternate_on"), "0");
    assert_eq!(screen.variable("cursor_flag"), "1");
}

fn ordinary() -> Invite {
    Invite::of("+441632960001", "+441632960001")
}

#[test]
fn a_capture_is_looked_at_with_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("calls.pcap");
    let saved = folder.path().join("saved.jsonl");
    let mut calls = vec![ordinary(); 30];
    calls.push(Invite::of("+441632960555", "+441632960777"));
    let calls: Vec<_> = (0..).zip(calls).map(|(i, call)| call.at(i)).collect();
    capture(&file, &calls);
    let screen = Screen::new(80, 24);
    screen.run(&format!(
        "NO_COLOR=1 {} top {}; echo ended $?",
        scorer::binary().display(),
        file.display()
    ));
    let text = screen.wait("(at its end)");
    assert_eq!(screen.variable("alternate_on"), "1");
    for part in
        ["Calls: 31", "From GB 31", "Time^     Risk Level    Caller", "+441632960555", "Esc Quit"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    // No colour but the terminal's own: only bold, underlined, reverse.
    let styled = screen.styled().replace("\x1b[39m", "").replace("\x1b[49m", "");
    assert!(styled.contains("\x1b[1;4m"), "{styled:?}");
    for colour in ["\x1b[3", "\x1b[4", "\x1b[9", ";3", ";9", ";48"] {
        assert!(!styled.contains(colour), "{colour:?} is in {styled:?}");
    }
    screen.keys(&["F7", "Tab", "Tab", "s", "p", "o", "o", "f", "e", "d", "Enter"]);
    screen.wait("shown: 1  Filter: tag=spoofed");
    screen.keys(&["Enter"]);
    let text = screen.wait("Reasons");
    for part in ["Caller      +441632960555 (GB)", "Network's   +441632960777", " ######## "] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    screen.keys(&["PageDown"]);
    let text = screen.wait("P-Asserted-Identity:");
    assert!(text.contains("INVITE ----"), "{text}");
    screen.keys(&["End"]);
    screen.wait("have no value");
    // One at a time: Escape and a key at once are Alt and the key.
    screen.keys(&["Escape"]);
    screen.wait("Esc Quit");
    screen.keys(&["F2"]);
    screen.wait("Write the calls that are shown");
    screen.keys(&["-l", &saved.display().to_string()]);
    screen.keys(&["Enter"]);
    screen.wait("1 calls saved to");
    let line = fs::read_to_string(&saved).expect("a file");
    assert!(line.contains("\"caller\":\"+441632960555\"") && line.lines().count() == 1, "{line}");
    screen.keys(&["q"]);
    screen.wait("ended 0");
    is_restored(&screen);
}

#[test]
fn callers_do_not_reach_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("calls.pcap");
    // Sets the title, clears the screen, rings, in 7 and 8 bits; and turns text around.
    let evil = "\x1b]0;owned\x07\x1b[2J\u{9b}2J\u{202e}";
    let calls = [
        ordinary().replacing("\"Alice\"", &format!("\"{evil}\"")),
        Invite::of(&format!("+4416329{evil}"), "+441632960001"),
        ordinary().replacing("CALL-ID", &format!("CALL-ID{evil}")),
    ];
    capture(&file, &calls);
    let screen = Screen::new(120, 60);
    screen.run(&format!("{} top {}; echo ended $?", scorer::binary().display(), file.display()));
    screen.wait("(at its end)");
    // As many as the parser took; each is shown in the list and in full.
    for _ in 0..3 {
        screen.keys(&["Enter"]);
        screen.wait("Reasons");
        screen.keys(&["Left"]);
        screen.keys(&["Escape"]);
        screen.wait("Esc Quit");
    }
    assert!(!screen.variable("pane_title").contains("owned"));
    assert!(screen.text().starts_with("scorer top - capture"), "{}", screen.text());
    screen.keys(&["q"]);
    screen.wait("ended 0");
    is_restored(&screen);
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("calls.pcap");
    capture(&file, &[ordinary()]);
    for signal in ["TERM", "HUP", "INT"] {
        let screen = Screen::new(80, 24);
        // The shell's own child, so that it can be named without looking for it.
        let program = scorer::binary();
        let kill = format!("(sleep 2; kill -{signal} $(cat pid)) & ");
        screen.run(&format!(
            "cd {}; {kill} sh -c 'echo $$ >pid; exec {} top calls.pcap'; echo ended $?",
            folder.path().display(),
            program.display()
        ));
        screen.wait("(at its end)");
        screen.wait("ended 0");
        is_restored(&screen);
    }
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("calls.pcap");
    capture(&file, &[ordinary()]);
    for (args, said) in [
        (vec!["top", file.to_str().expect("text")], "needs a terminal"),
        (vec!["top", "/nowhere.pcap"], "/nowhere.pcap"),
        (vec!["top", "--level", "huge"], "there are low, medium, high and critical"),
        (vec!["top", "--api", "http://192.0.2.1:8600"], "ssh -L 8600:127.0.0.1:8600"),
        (vec!["top", "-i", "nowhere0"], "nowhere0"),
    ] {
        let ran = scorer::run(&args);
        assert!(ran.code == 2 && ran.err.contains(said), "{args:?}: {} {}", ran.code, ran.err);
    }
}

const CALL: &str = r#"{"ts":"2026-11-25T14:00:00.000000000Z","call":"00000000000000a1","call_id":"live-1@test",
"caller":"+441632960001","network_number":"+441632960777","callee":"+442079460123","caller_country":"GB",
"callee_country":"GB","source":"192.0.2.1:5060","destination":"192.0.2.2:5060","transport":"udp","trunk":"transit",
"fingerprint":"d457caf59188c9b9","profile":"00000000000000aa","score":91,"probability":0.91,"level":"critical",
"tags":["spoofed"],"reasons":[{"feature":"presentation_differs_from_network","text":"another number","contribution":1.5}],
"model":"m","action":"pass","rule":null,"response":null,"would":null,"dry_run":null,"lists":[],"outcome":null,
"code":null,"setup_s":null,"duration_s":null,"label":null,"latency_ns":8000"#;

/// Answers as the API does, over a Unix socket; the first of the `streams` breaks off.
fn answer(stream: &UnixStream, streams: &AtomicU32) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut line) = (String::new(), String::new());
    reader.read_line(&mut first)?;
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let mut out = stream;
    let mut whole = |body: &str| {
        write!(
            out,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    if first.starts_with("GET /v1/calls/00000000000000a1 ") {
        return whole(&format!(
            "{CALL},\"features\":[{{\"name\":\"hops\",\"group\":\"header\",\"value\":9,\"low\":1,\"median\":2,\
             \"high\":4,\"unusual\":true,\"text\":\"\"}}],\"ladder\":[{{\"ts\":\"2026-11-25T14:00:00Z\",\"from\":\"caller\",\
             \"what\":\"INVITE\"}},{{\"ts\":\"2026-11-25T14:00:01Z\",\"from\":\"callee\",\"what\":\"603\"}}],\
             \"headers\":[{{\"name\":\"User-Agent\",\"value\":\"scanner\",\"odd\":\"a scanning tool\"}}]}}"
        ));
    }
    if first.starts_with("GET /v1/calls?") {
        return whole(&format!(
            "{{\"items\":[{}}}],\"next\":null}}",
            CALL.replace("a1\"", "a0\"").replace("live-1", "past-1")
        ));
    }
    assert!(first.starts_with("GET /v1/stream?level=high "), "{first}");
    let is_first = streams.fetch_add(1, Ordering::Relaxed) == 0;
    write!(
        out,
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )?;
    let mut event = |name: &str, data: &str| {
        let text = format!("event: {name}\ndata: {}\n\n", data.replace('\n', "\ndata: "));
        write!(out, "{:x}\r\n{text}\r\n", text.len())
    };
    event("call", &format!("{CALL}}}"))?;
    event(
        "update",
        "{\"call\":\"00000000000000a1\",\"outcome\":\"rejected\",\"code\":603,\"setup_s\":null,\"duration_s\":null}",
    )?;
    event("lost", "{\"count\":3}")?;
    let rates = "{\"ts\":\"2026-11-25T14:00:01Z\",\"calls_per_min\":61,\"high_per_min\":7,\"latency_us\":{\"p50\":8,\"p99\":40},\"drops\":2,\"active\":5}";
    for _ in 0..if is_first { 20 } else { 600 } {
        event("rates", rates)?;
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Serves until the test's process ends.
fn serve(socket: &Path) {
    let listener = UnixListener::bind(socket).expect("bound");
    thread::spawn(move || {
        let streams = Arc::new(AtomicU32::new(0));
        for stream in listener.incoming().flatten() {
            let streams = Arc::clone(&streams);
            // Ends with a broken pipe when the reader has seen enough.
            thread::spawn(move || drop(answer(&stream, &streams)));
        }
    });
}

#[test]
fn a_running_scorer_is_looked_at() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("api.sock");
    let screen = Screen::new(140, 40);
    let program = scorer::binary();
    screen.run(&format!(
        "{} top --api {} --level high; echo ended $?",
        program.display(),
        socket.display()
    ));
    // It need not run yet.
    screen.wait("cannot reach scorer at");
    serve(&socket);
    screen.wait("(connected)");
    let text = screen.wait("603 rejected");
    assert!(text.contains("Calls: 2"), "one of the past, one live:\n{text}");
    for part in
        ["calls/min 61  high/min 7  p50 8 p99 40 µs  active 5  drops 2  not shown ", "91 critical"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    screen.keys(&["Enter"]);
    let text = screen.wait("usually 1 to 4");
    for part in ["! User-Agent: scanner", "^ a scanning tool", "|<---------- 603 ----------|"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    screen.keys(&["Escape"]);
    // The stream breaks off, and another is begun: what it lost adds up.
    screen.wait("not shown 6");
    screen.wait("(connected)");
    screen.keys(&["q"]);
    screen.wait("ended 0");
    is_restored(&screen);
}

#[test]
fn an_interface_is_tapped() {
    if !shared::privileged() {
        return;
    }
    let lab = Lab::new();
    let screen = Screen::new(100, 30);
    let mut top = lab.edge(scorer::binary());
    top.args(["top", "-i", INTERFACE]);
    screen.run(&format!("{top:?}; echo ended $?"));
    screen.wait("(listening)");
    let frames: Vec<_> = (0..5).map(|i| udp4(invite(&format!("t{i}")).as_bytes(), 5060)).collect();
    lab.send(&frames);
    let text = screen.wait("Calls: 5");
    assert!(text.contains("Tags spoofed 5"), "{text}");
    // Latencies come with the next second.
    screen.wait("drops 0");
    screen.keys(&["Enter"]);
    screen.wait("INVITE ---");
    screen.keys(&["Escape"]);
    screen.wait("Esc Quit");
    screen.keys(&["q"]);
    screen.wait("ended 0");
    is_restored(&screen);
}
