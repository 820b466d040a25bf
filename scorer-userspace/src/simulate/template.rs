//! Message templates: text with placeholders, compiled once, rendered per call.
//!
//! `{name}` stands for a field of the call, `{hex 8}` and the like for random
//! characters. A line that begins with `?name ` is there only if the field is not empty.

use std::fmt::Write as _;

use rand::RngExt as _;

use super::random::Stream;

macro_rules! fields {
    ($($constant:ident $name:literal,)+) => {
        /// What a template may ask for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Field { $($constant,)+ }

        const FIELDS: &[(&str, Field)] = &[$(($name, Field::$constant),)+];
    };
}

fields! {
    Callee "callee", Host "host", Display "display", User "user", Domain "domain", Tag "tag",
    CallId "call_id", Branch "branch", Cseq "cseq", Src "src", Port "port", Nat "nat",
    Agent "agent", Pai "pai", Ppi "ppi", Rpid "rpid", Privacy "privacy", Diversion "diversion",
    History "history", Identity "identity", Cpc "cpc", Access "access", Date "date",
    Unix "unix", Ntp "ntp", Ctype "ctype", Length "length", Ipv "ipv",
    Media "media", Rtp "rtp", Rtp1 "rtp1", Rtp2 "rtp2", Sess "sess", Sess1 "sess1",
}

/// Values of the fields of one call.
#[derive(Debug)]
pub(super) struct Values([String; FIELDS.len()]);

impl Values {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| String::new()))
    }

    pub(super) fn clear(&mut self) {
        self.0.iter_mut().for_each(String::clear);
    }

    pub(super) fn of(&self, field: Field) -> &str {
        &self.0[field as usize]
    }

    /// Sets a field to formatted text.
    pub(super) fn set(&mut self, field: Field, text: std::fmt::Arguments<'_>) {
        let value = &mut self.0[field as usize];
        value.clear();
        // Writing to a String cannot fail.
        let _ = value.write_fmt(text);
    }
}

/// Alphabets of random characters.
const ALPHABETS: &[(&str, &[u8])] = &[
    ("dec", b"0123456789"),
    ("hex", b"0123456789abcdef"),
    ("HEX", b"0123456789ABCDEF"),
    ("b26", b"abcdefghijklmnopqrstuvwxyz"),
    ("b32", b"abcdefghijklmnopqrstuv0123456789"),
    ("b36", b"abcdefghijklmnopqrstuvwxyz0123456789"),
    ("b62", b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
    ("b64", b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
];

#[derive(Clone, Debug)]
enum Op {
    Text(Box<str>),
    Field(Field),
    Random(&'static [u8], u8),
    Uuid,
    Between(u64, u64),
    /// Go on after so many operations if the field is empty.
    Unless(Field, u16),
}

/// A compiled template.
#[derive(Clone, Debug)]
pub(super) struct Template(Vec<Op>);

impl Template {
    /// Compiles a text of several lines, each ended by CRLF when rendered.
    ///
    /// # Errors
    /// A text that says which placeholder is wrong.
    pub(super) fn lines(text: &str) -> Result<Self, String> {
        let mut ops = Vec::new();
        for line in text.lines() {
            match line.strip_prefix('?').and_then(|line| line.split_once(' ')) {
                None => compile(&format!("{line}\r\n"), &mut ops)?,
                Some((name, line)) => {
                    let mut inner = Vec::new();
                    compile(&format!("{line}\r\n"), &mut inner)?;
                    ops.push(Op::Unless(field(name)?, inner.len() as u16));
                    ops.append(&mut inner);
                }
            }
        }
        Ok(Self(ops))
    }

    /// Compiles one value, without an end of line.
    ///
    /// # Errors
    /// As [`Self::lines`].
    pub(super) fn value(text: &str) -> Result<Self, String> {
        let mut ops = Vec::new();
        compile(text, &mut ops)?;
        Ok(Self(ops))
    }

    /// Whether it has a place for a field.
    pub(super) fn asks(&self, field: Field) -> bool {
        self.0.iter().any(|op| matches!(op, Op::Field(asked) if *asked == field))
    }

    /// Adds the text to `out`.
    pub(super) fn render(&self, values: &Values, random: &mut Stream, out: &mut String) {
        let mut at = 0;
        while let Some(op) = self.0.get(at) {
            at += 1;
            match op {
                Op::Text(text) => out.push_str(text),
                Op::Field(field) => out.push_str(values.of(*field)),
                Op::Random(alphabet, count) => characters(alphabet, *count, random, out),
                Op::Uuid => uuid(random, out),
                Op::Between(low, high) => {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "{}", random.random_range(*low..=*high));
                }
                Op::Unless(field, over) => {
                    if values.of(*field).is_empty() {
                        at += usize::from(*over);
                    }
                }
            }
        }
    }
}

fn characters(alphabet: &[u8], count: u8, random: &mut Stream, out: &mut String) {
    for _ in 0..count {
        let at = random.random_range(0..alphabet.len() as u32);
        out.push(char::from(alphabet[at as usize]));
    }
}

fn uuid(random: &mut Stream, out: &mut String) {
    let (high, low): (u64, u64) = (random.random(), random.random());
    // RFC 9562 version 4. Writing to a String cannot fail.
    let _ = write!(
        out,
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        0x8000 | low >> 50,
        low & 0xffff_ffff_ffff
    );
}

fn field(name: &str) -> Result<Field, String> {
    let known = FIELDS.iter().find(|(known, _)| *known == name);
    known.map(|(_, field)| *field).ok_or_else(|| format!("{{{name}}} is no field"))
}

fn compile(text: &str, ops: &mut Vec<Op>) -> Result<(), String> {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        if !before.is_empty() {
            ops.push(Op::Text(before.into()));
        }
        let (inside, after) = after.split_once('}').ok_or("a { without }")?;
        ops.push(placeholder(inside)?);
        rest = after;
    }
    if !rest.is_empty() {
        ops.push(Op::Text(rest.into()));
    }
    Ok(())
}

fn placeholder(inside: &str) -> Result<Op, String> {
    let wrong = || format!("{{{inside}}} is no placeholder");
    let words: Vec<_> = inside.split(' ').collect();
    match words[..] {
        ["uuid"] => Ok(Op::Uuid),
        [name] => field(name).map(Op::Field),
        ["int", low, high] => {
            let (low, high) = (low.parse(), high.parse());
            let (Ok(low), Ok(high)) = (low, high) else { return Err(wrong()) };
            if low <= high { Ok(Op::Between(low, high)) } else { Err(wrong()) }
        }
        [name, count] => {
            let alphabet = ALPHABETS.iter().find(|(known, _)| *known == name);
            let (_, alphabet) = alphabet.ok_or_else(wrong)?;
            Ok(Op::Random(alphabet, count.parse().map_err(|_| wrong())?))
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Field, Template, Values};
    use crate::simulate::random::stream;

    #[test]
    fn placeholders() {
        let template = Template::lines("A: {user};x={hex 4}\n?pai P: {pai}\nB: {int 7 7}").unwrap();
        let mut values = Values::new();
        values.set(Field::User, format_args!("bob"));
        let mut out = String::new();
        template.render(&values, &mut stream(1, 2, 3), &mut out);
        let lines: Vec<_> = out.split("\r\n").collect();
        assert!(lines[0].starts_with("A: bob;x=") && lines[0].len() == 13, "{out}");
        assert_eq!(lines[1..], ["B: 7", ""]);
        values.set(Field::Pai, format_args!("<tel:1>"));
        out.clear();
        template.render(&values, &mut stream(1, 2, 3), &mut out);
        assert!(out.contains("\r\nP: <tel:1>\r\n"));
        for wrong in ["{nobody}", "{hex}", "{hex x}", "{int 9 2}", "{", "{hex 1 2 3}"] {
            assert!(Template::value(wrong).is_err(), "{wrong}");
        }
    }
}
