//! Lists as CSV: `list,value[,reason[,author[,created[,expires[,from]]]]]`, one entry a
//! line, with or without a line of these names before; and
//! `consortium,number[,organisations[,seconds since 1970]]`.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
};

use super::{Entry, List, ListError};

/// Longest line, bytes.
const LINE: u64 = 4_096;
/// Names of the columns, in their order.
pub const COLUMNS: [&str; 7] = ["list", "value", "reason", "author", "created", "expires", "from"];

/// A line's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The list.
    pub list: List,
    /// What it names, as written.
    pub value: Cow<'a, str>,
    /// Why.
    pub reason: Cow<'a, str>,
    /// Who says so.
    pub author: Cow<'a, str>,
    /// When it was said, seconds since 1970.
    pub created: Option<i64>,
    /// When it stops.
    pub expires: Option<i64>,
    /// Where an allowed caller calls from.
    pub from: Cow<'a, str>,
    /// Of a consortium entry: organisations, and when it was last shared.
    pub shared: (u8, u32),
}

/// Lines of a file, of bounded length.
#[derive(Debug)]
pub struct Rows<R> {
    from: R,
    text: Vec<u8>,
    line: u64,
}

impl<R: BufRead> Rows<R> {
    /// Reads them from `from`.
    pub fn new(from: R) -> Self {
        Self { from, text: Vec::new(), line: 0 }
    }

    /// The next entry, or what is wrong with the next line; with the line's number.
    /// Empty lines, those that begin with `#` and, in the first line, the names of the
    /// columns are passed over. `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read on.
    pub fn next_row(&mut self) -> io::Result<Option<(u64, Result<Row<'_>, String>)>> {
        loop {
            self.text.clear();
            self.line += 1;
            if (&mut self.from).take(LINE).read_until(b'\n', &mut self.text)? == 0 {
                return Ok(None);
            }
            if self.text.last() != Some(&b'\n') && self.text.len() as u64 == LINE {
                self.pass_over()?;
                return Ok(Some((self.line, Err(format!("is longer than {LINE} bytes")))));
            }
            let text = self.text.trim_ascii();
            let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
            let names = self.line == 1
                && text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"list,"));
            if names && !are_columns(text) {
                let columns = COLUMNS.join(",");
                let what = format!("names other columns than {columns}, which have this order");
                return Ok(Some((self.line, Err(what))));
            }
            if !(text.is_empty() || text.starts_with(b"#") || names) {
                break;
            }
        }
        let text = std::str::from_utf8(&self.text).map_err(|_| "is not UTF-8".to_owned());
        let row = text.and_then(|text| row(text.trim_start_matches('\u{feff}').trim()));
        Ok(Some((self.line, row)))
    }

    /// The rest of a line that is too long.
    fn pass_over(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.from.fill_buf()?;
            let end = memchr::memchr(b'\n', buffer);
            let (used, done) = (end.map_or(buffer.len(), |end| end + 1), end.is_some());
            let over = buffer.is_empty();
            self.from.consume(used);
            if done || over {
                return Ok(());
            }
        }
    }
}

/// Whether a line names the columns, or the first of them.
fn are_columns(line: &[u8]) -> bool {
    let mut names = line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let known = COLUMNS.iter().zip(&mut names);
    known.fold(true, |same, (column, name)| same && name.eq_ignore_ascii_case(column.as_bytes()))
        && names.next().is_none()
}

fn row(text: &str) -> Result<Row<'_>, String> {
    if !text.contains(',') {
        return Err("has no comma; a line is LIST,VALUE and perhaps more".to_owned());
    }
    let fields = fields(text)?;
    let field = |at: usize| fields.get(at).cloned().unwrap_or(Cow::Borrowed(""));
    let name = field(0);
    let list = List::by_name(&name).ok_or_else(|| {
        let name: String = name.chars().take(40).collect();
        format!("there is no list {name:?}; did you mean {}?", List::nearest(&name))
    })?;
    let mut row = Row {
        list,
        value: field(1),
        reason: Cow::Borrowed(""),
        author: Cow::Borrowed(""),
        created: None,
        expires: None,
        from: Cow::Borrowed(""),
        shared: (1, 0),
    };
    if list == List::Consortium {
        let wrong = || "organisations and seconds since 1970 must be whole numbers".to_owned();
        let number = |at: usize, or: u32| match &*field(at) {
            "" => Ok(or),
            text => text.parse().map_err(|_| wrong()),
        };
        row.shared = (u8::try_from(number(2, 1)?).map_err(|_| wrong())?, number(3, 0)?);
        return Ok(row);
    }
    if fields.len() > 7 {
        return Err("has more than the seven fields list, value, reason, author, created, \
                    expires, from; text with commas stands in double quotes"
            .to_owned());
    }
    (row.reason, row.author, row.from) = (field(2), field(3), field(6));
    row.created = moment(&field(4), Day::Start).map_err(|what| format!("created {what}"))?;
    row.expires = moment(&field(5), Day::End).map_err(|what| format!("expires {what}"))?;
    Ok(row)
}

/// Fields of a line; most have no quotes.
fn fields(text: &str) -> Result<Vec<Cow<'_, str>>, String> {
    if !text.contains('"') {
        return Ok(text.split(',').map(|field| Cow::Borrowed(field.trim())).collect());
    }
    if memchr::memchr_iter(b'"', text.as_bytes()).count() % 2 == 1 {
        return Err(
            "has a double quote that is not closed; one within quotes is doubled".to_owned()
        );
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    match reader.read_record(&mut record) {
        Ok(true) => Ok(record.iter().map(|field| Cow::Owned(field.to_owned())).collect()),
        Ok(false) => Ok(Vec::new()),
        Err(error) => Err(error.to_string()),
    }
}

/// Which moment a day stands for.
#[derive(Clone, Copy)]
enum Day {
    Start,
    End,
}

/// A time: `2026-12-31T12:00:00Z`, the start or end of a day `2026-12-31` (UTC), or none.
fn moment(text: &str, of_day: Day) -> Result<Option<i64>, String> {
    if text.is_empty() || text == "never" {
        return Ok(None);
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(Some(at.as_second()));
    }
    let at = text.parse::<jiff::civil::Date>().ok().and_then(|day| {
        let midnight = match of_day {
            Day::Start => day,
            Day::End => day.tomorrow().ok()?,
        };
        midnight.to_zoned(jiff::tz::TimeZone::UTC).ok()
    });
    at.map(|at| Some(at.timestamp().as_second())).ok_or_else(|| {
        "must be a date or a time, such as 2026-12-31 or 2026-12-31T12:00:00Z".to_owned()
    })
}

/// When an entry stops: a time as in a file, or so many days, hours or minutes after
/// `now`, such as `30d`, `12h`, `90m`; `never` is none.
///
/// # Errors
/// What it must be.
pub fn parse_expiry(text: &str, now: i64) -> Result<Option<i64>, String> {
    let units = [('d', 86_400), ('h', 3_600), ('m', 60)];
    for (unit, seconds) in units {
        if let Some(count) = text.strip_suffix(unit).and_then(|count| count.parse::<u32>().ok()) {
            return Ok(Some(now.saturating_add(i64::from(count) * seconds)));
        }
    }
    moment(text, Day::End).map_err(|_| {
        "must be a date, a time, or such as 30d, 12h, 90m: 2026-12-31, 2026-12-31T12:00:00Z"
            .to_owned()
    })
}

/// Calls `each` with the entries of a file and their lines.
///
/// # Errors
/// That of the first line that is wrong, or of `each`.
pub(super) fn load(
    path: &Path,
    each: &mut dyn FnMut(u64, Entry<'_>) -> Result<(), ListError>,
) -> Result<(), ListError> {
    let io = |source| ListError::Io { path: path.to_owned(), source };
    let mut rows = Rows::new(BufReader::new(File::open(path).map_err(io)?));
    while let Some((line, row)) = rows.next_row().map_err(io)? {
        let row = row.map_err(|what| ListError::Line { path: path.to_owned(), line, what })?;
        let entry = Entry {
            list: row.list,
            value: &row.value,
            reason: &row.reason,
            expires: row.expires,
            from: &row.from,
            row: None,
            organisations: row.shared.0,
            shared_at: row.shared.1,
        };
        each(line, entry)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Rows, parse_expiry};

    /// Values and reasons, and lines that are wrong.
    fn all(text: &[u8]) -> (Vec<(String, String)>, Vec<u64>) {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        let mut rows = Rows::new(text);
        while let Some((line, row)) = rows.next_row().expect("memory can be read") {
            match row {
                Ok(row) => good.push((row.value.into_owned(), row.reason.into_owned())),
                Err(_) => bad.push(line),
            }
        }
        (good, bad)
    }

    #[test]
    fn lines_good_and_bad() {
        let long = "x".repeat(9_000);
        let text = format!(
            "\u{feff}list,value,reason,author,created,expires,from\n# mine\n\ndeny_number, +442079460001 ,\"rude, twice\",ann\n\
             deny_numer,+44\n{long}\ndeny_range,+4416329,,,2026-01-01,tomorrow\nallow_number,1,2,3,,,7,8\n\
             deny_source,192.0.2.1,,,2026-01-01T00:00:00Z,2026-12-31,\nconsortium,+442079460003,3,x\ndeny_trunk,a\n\
             deny_trunk;b\ndeny_trunk,b,\"open\n"
        );
        let (good, bad) = all(text.as_bytes());
        assert_eq!(
            good,
            [
                ("+442079460001".into(), "rude, twice".into()),
                ("192.0.2.1".into(), String::new()),
                ("a".into(), String::new())
            ]
        );
        assert_eq!(bad, [5, 6, 7, 8, 10, 12, 13]);
        assert_eq!(
            all(b"deny_trunk,\xff\ndeny_trunk,a"),
            (vec![("a".into(), String::new())], vec![1])
        );
    }

    #[test]
    fn columns_by_name() {
        let of = |names: &str| all(format!("{names}\ndeny_trunk,a\n").as_bytes()).1;
        for good in ["list,value", "List, Value,REASON", &super::COLUMNS.join(",")] {
            assert_eq!(of(good), [0; 0], "{good}");
        }
        // Read in another order they would be taken for one another.
        for bad in ["list,value,author,reason", "list,number", "list,", "list,value,,"] {
            assert_eq!(of(bad), [1], "{bad}");
        }
        let more = format!("{},note", super::COLUMNS.join(","));
        assert_eq!(of(&more), [1]);
    }

    #[test]
    fn when_an_entry_stops() {
        assert_eq!(parse_expiry("2d", 100), Ok(Some(172_900)));
        assert_eq!(parse_expiry("90m", 0), Ok(Some(5_400)));
        assert_eq!(parse_expiry("1970-01-01", 0), Ok(Some(86_400)));
        assert_eq!(parse_expiry("1970-01-01T00:00:05Z", 0), Ok(Some(5)));
        assert_eq!(parse_expiry("never", 0), Ok(None));
        for bad in ["soon", "-1d", "d", "99999999999d", "2026-13-01"] {
            assert!(parse_expiry(bad, 0).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes(text in prop::collection::vec(any::<u8>(), 0..400)) {
            let lines = text.iter().filter(|b| **b == b'\n').count() + 1;
            let (good, bad) = all(&text);
            prop_assert!(good.len() + bad.len() <= lines);
        }

        #[test]
        fn nearly_lists(text in "(deny_number|allow_range|consortium|x),[+0-9]{0,20}(,[\"a, -]{0,6}){0,8}\n") {
            all(text.as_bytes());
        }
    }
}
