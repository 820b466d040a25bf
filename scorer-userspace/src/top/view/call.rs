//! One call: why it got its score, how it went, what was signalled.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::{Line, Span},
    widgets::Paragraph,
};

use crate::top::{
    app::{App, View},
    call::{Call, Details, FeatureValue, Step},
    theme::Theme,
};

/// From here on there are two columns.
const WIDE: u16 = 130;

pub(super) fn draw(
    frame: &mut Frame<'_>,
    app: &mut App,
    theme: Theme,
    (number, scroll): (u64, usize),
    area: Rect,
) {
    app.page = usize::from(area.height);
    let Some(call) = app.ring.get(number) else {
        let text = "this call has made room for newer ones; Esc goes back";
        frame.render_widget(Paragraph::new(text), area);
        return;
    };
    let mut facts = facts(call, theme);
    let mut signalled = signalled(call, theme);
    let columns = if area.width < WIDE {
        facts.push(Line::default());
        facts.append(&mut signalled);
        vec![(facts, area)]
    } else {
        let halves = Layout::horizontal([Constraint::Percentage(45), Constraint::Percentage(55)]);
        let [left, right] = halves.spacing(2).areas(area);
        vec![(facts, left), (signalled, right)]
    };
    // Not beyond the end.
    let longest = columns.iter().map(|(lines, _)| lines.len()).max().unwrap_or(0);
    let scroll = scroll.min(longest.saturating_sub(usize::from(area.height)));
    app.view = View::Call { number, scroll };
    for (lines, area) in columns {
        let lines: Vec<_> = lines.into_iter().skip(scroll).collect();
        frame.render_widget(Paragraph::new(lines), area);
    }
}

fn heading(text: &str, theme: Theme) -> Line<'static> {
    Line::styled(text.to_owned(), theme.heading())
}

fn known(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

fn facts(call: &Call, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = vec![Line::from(vec![
        Span::styled(format!("{} {}", call.score, call.level.name()), theme.level(call.level)),
        Span::raw(format!("  {}  {}", call.ts, call.tags.join(","))),
    ])];
    let mut fact = |name: &str, value: String| lines.push(Line::raw(format!("{name:<12}{value}")));
    let place = |number: &str, country: &str| {
        let country = if country.is_empty() { String::new() } else { format!(" ({country})") };
        format!("{}{country}", known(number))
    };
    fact("Caller", place(&call.caller, &call.caller_country));
    fact("Network's", known(&call.network_number).to_owned());
    fact("Callee", place(&call.callee, &call.callee_country));
    fact("Packets", format!("{} > {} {}", call.source, call.destination, call.transport));
    fact("Trunk", known(&call.trunk).to_owned());
    let rule = if call.rule.is_empty() { String::new() } else { format!(" by {}", call.rule) };
    let would = if call.would.is_empty() { String::new() } else { format!(", {}", call.would) };
    fact("Action", format!("{}{rule}{would}", known(&call.action)));
    fact("Outcome", outcome(call));
    if !call.label.is_empty() {
        fact("Label", call.label.clone());
    }
    fact("Call-ID", call.call_id.clone());
    fact("Profile", format!("{}  fingerprint {}", known(&call.profile), known(&call.fingerprint)));
    let latency = call.latency.map(|ns| format!(", {:.1} µs", ns as f64 / 1e3));
    fact("Model", format!("{}{}", known(&call.model), latency.unwrap_or_default()));
    lines.push(Line::default());
    lines.push(heading("Reasons", theme));
    if call.reasons.is_empty() {
        lines.push(Line::styled("none speaks for fraud", theme.quiet()));
    }
    let strongest = call.reasons.iter().map(|why| why.contribution).fold(0.01, f64::max);
    for why in &call.reasons {
        let bar = (why.contribution / strongest * 8.0).round().clamp(0.0, 8.0) as usize;
        let text = format!("{:>+7.2} {:<8} {}", why.contribution, "#".repeat(bar), why.text);
        lines.push(Line::raw(text));
    }
    lines.push(Line::default());
    lines.push(heading("Messages", theme));
    lines.extend(ladder(&call.ladder, theme));
    lines
}

fn outcome(call: &Call) -> String {
    let mut text = known(&call.outcome).to_owned();
    if call.code != 0 {
        text = format!("{text}, {}", call.code);
    }
    if let Some(setup) = call.setup {
        text = format!("{text}, answered after {setup:.1} s");
    }
    if let Some(duration) = call.duration {
        text = format!("{text}, lasted {duration:.1} s");
    }
    text
}

/// `caller` on the left, `callee` on the right, arrows between.
fn ladder(steps: &[Step], theme: Theme) -> Vec<Line<'static>> {
    let Some(first) = steps.first() else {
        return vec![Line::styled("none is known", theme.quiet())];
    };
    let mut lines = vec![Line::raw(format!("{:>10}   {:<8}{:>26}", "", "caller", "callee"))];
    for step in steps {
        let since = step.at.seconds_since(first.at);
        let arrow = format!("{:-^24}", format!(" {} ", step.what));
        let arrow = if step.from_caller { format!("|{arrow}->|") } else { format!("|<-{arrow}|") };
        lines.push(Line::raw(format!("{since:>+9.3}s      {arrow}")));
    }
    lines
}

fn signalled(call: &Call, theme: Theme) -> Vec<Line<'static>> {
    let Some(details) = &call.details else {
        return vec![heading("Headers", theme), Line::styled("asking ...", theme.quiet())];
    };
    let Details { features, headers } = &**details;
    let mut lines = vec![heading("Headers", theme)];
    if headers.is_empty() {
        let text = "not kept: the message is gone, or numbers are masked";
        lines.push(Line::styled(text, theme.quiet()));
    }
    for header in headers {
        match &header.odd {
            None => lines.push(Line::raw(header.text.clone())),
            Some(why) => {
                lines.push(Line::styled(format!("! {}", header.text), theme.warning()));
                lines.push(Line::styled(format!("  ^ {why}"), theme.warning()));
            }
        }
    }
    lines.push(Line::default());
    lines.push(heading("Features", theme));
    let mut group = "";
    let mut missing = 0;
    let features = features.list();
    for feature in &features {
        let Some(value) = feature.value else {
            missing += 1;
            continue;
        };
        if feature.group != group {
            group = &feature.group;
            lines.push(Line::styled(group.to_owned(), theme.quiet()));
        }
        lines.push(value_line(feature, value, theme));
    }
    if features.is_empty() {
        lines.push(Line::styled("not known", theme.quiet()));
    } else if missing > 0 {
        lines.push(Line::styled(format!("{missing} have no value"), theme.quiet()));
    }
    lines
}

fn value_line(feature: &FeatureValue, value: f64, theme: Theme) -> Line<'static> {
    let usual =
        feature.usual.map(|(low, high)| format!("  usually {} to {}", short(low), short(high)));
    let mark = if feature.unusual { '!' } else { ' ' };
    let text =
        format!("{mark} {:<38} {:>12}{}", feature.name, short(value), usual.unwrap_or_default());
    if feature.unusual { Line::styled(text, theme.warning()) } else { Line::raw(text) }
}

/// At most three decimals.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
