//! Pages: how many, and from where on.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;

use super::problem::Problem;
use crate::time::Timestamp;

/// Items of a page, unless asked otherwise.
const USUAL: usize = 50;
/// Items of a page at most.
const MOST: usize = 500;
/// Longest cursor, bytes.
const LONGEST: usize = 2_048;

/// A page.
#[derive(Debug, Serialize)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// Where the next page begins; null at the end.
    pub(super) next: Option<String>,
}

/// How many are asked for.
pub(super) fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    match asked {
        None => Ok(USUAL),
        Some(limit) if (1..=MOST).contains(&limit) => Ok(limit),
        Some(_) => Err(Problem::wrong(format!("limit is a number from 1 to {MOST}"))),
    }
}

fn wrong() -> Problem {
    Problem::wrong("the cursor is none that was given out")
}

/// A place between calls, newest first: behind the call of this time and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Behind {
    pub(super) ts: Timestamp,
    pub(super) call: u64,
}

impl Behind {
    /// As a client keeps it.
    pub(super) fn cursor(self) -> String {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.ts.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.call.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// # Errors
    /// A [`Problem`] when it is none.
    pub(super) fn read(cursor: &str) -> Result<Self, Problem> {
        let mut bytes = [0; 16];
        match URL_SAFE_NO_PAD.decode_slice(cursor, &mut bytes) {
            Ok(16) => {}
            _ => return Err(wrong()),
        }
        let number =
            |at: usize| bytes[at..at + 8].iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
        let (ts, call) = (number(0), number(8));
        // Later than any clock of ours, and what SQL could not write.
        if ts > i64::MAX as u64 {
            return Err(wrong());
        }
        Ok(Self { ts: Timestamp(ts), call })
    }
}

/// A cursor that is a text: the last item's key.
pub(super) fn cursor(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

/// The key in a cursor.
pub(super) fn key(cursor: &str) -> Result<String, Problem> {
    if cursor.len() > LONGEST {
        return Err(wrong());
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::{Behind, cursor, key, limit};
    use crate::time::Timestamp;
    use proptest::prelude::*;

    #[test]
    fn limits() {
        assert_eq!(limit(None).unwrap(), 50);
        assert_eq!(limit(Some(500)).unwrap(), 500);
        assert!(limit(Some(0)).is_err() && limit(Some(501)).is_err());
    }

    proptest! {
        #[test]
        fn read_as_given_out(ts in 0..i64::MAX as u64, call: u64, text: String) {
            let behind = Behind { ts: Timestamp(ts), call };
            prop_assert_eq!(Behind::read(&behind.cursor()).unwrap(), behind);
            prop_assert_eq!(&key(&cursor(&text)).unwrap(), &text);
        }

        #[test]
        fn any_text(text in ".{0,40}") {
            if let Ok(behind) = Behind::read(&text) {
                prop_assert_eq!(&behind.cursor(), &text);
            }
            let _ = key(&text);
        }
    }
}
