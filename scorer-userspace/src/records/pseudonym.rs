//! Pseudonyms of numbers: the same number always gets the same one, in whatever form
//! it was written, and nobody without the key can tell which number it was.

use std::{fs, io, path::Path};

use ring::{
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};

use super::RecordsError;
use crate::{hex::hex, number::Number, private};

/// File of the key, in the folder of the records. Who has it can try numbers out; who
/// deletes it makes the pseudonyms anonymous for good.
const FILE: &str = "pseudonym.key";
const BYTES: usize = 32;
/// Bytes of a pseudonym: enough that no two of a country's numbers share one.
const SHOWN: usize = 12;

/// What stands in From when nobody shall be shown; says nothing of a person.
const NOBODY: [&str; 7] =
    ["", "anonymous", "unknown", "unavailable", "restricted", "private", "withheld"];

/// The key of a folder's pseudonyms.
#[derive(Debug)]
pub(super) struct Key {
    key: hmac::Key,
    home: Option<u16>,
}

impl Key {
    /// Reads the key; `None` when there is none. `home` is the country code of
    /// national numbers.
    pub(super) fn read(folder: &Path, home: Option<u16>) -> Result<Option<Self>, RecordsError> {
        let path = folder.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(RecordsError::io("read", &path)(error)),
        };
        if bytes.len() != BYTES {
            let what =
                format!("it has {} bytes, not {BYTES}; restore it from a backup", bytes.len());
            return Err(RecordsError::Damaged { path, what });
        }
        Ok(Some(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &bytes), home }))
    }

    /// The same, made if there is none.
    pub(super) fn open(folder: &Path, home: Option<u16>) -> Result<Self, RecordsError> {
        if let Some(key) = Self::read(folder, home)? {
            return Ok(key);
        }
        let path = folder.join(FILE);
        let mut bytes = [0; BYTES];
        let made =
            SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("no randomness"));
        made.and_then(|()| private::write_new(&path, &bytes))
            .map_err(RecordsError::io("make", &path))?;
        super::files::sync_folder(folder)?;
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &bytes), home })
    }

    /// What stands in place of a user part; `None` where it may stay: it says nothing
    /// of a person, or is a pseudonym.
    pub(super) fn of_user(&self, user: &str) -> Option<String> {
        if NOBODY.iter().any(|nobody| user.eq_ignore_ascii_case(nobody)) || is_pseudonym(user) {
            return None;
        }
        Some(match Number::parse(user.as_bytes(), self.home) {
            // Switches write E.164 digits without a plus sign, too.
            Some(number) if number.international || number.as_bytes().len() >= 8 => {
                self.of_number(&number)
            }
            _ => self.of(*b"user", user.as_bytes()),
        })
    }

    /// Of a number, international as far as is known.
    pub(super) fn of_number(&self, number: &Number) -> String {
        self.of(*b"e164", number.as_bytes())
    }

    /// Of a Call-ID that has a number in it.
    pub(super) fn of_call_id(&self, call_id: &str) -> String {
        self.of(*b"call", call_id.as_bytes())
    }

    fn of(&self, kind: [u8; 4], bytes: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&kind);
        context.update(bytes);
        let tag = context.sign();
        format!("{MARK}{}", hex(&tag.as_ref()[..SHOWN]))
    }
}

const MARK: char = '~';

fn is_pseudonym(text: &str) -> bool {
    text.strip_prefix(MARK).is_some_and(|hex| {
        hex.len() == 2 * SHOWN && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{FILE, Key};

    #[test]
    fn one_number_has_one_pseudonym_and_the_key_is_its_owners() {
        let at = tempfile::tempdir().unwrap();
        let home = Some(44);
        assert!(Key::read(at.path(), home).unwrap().is_none());
        let key = Key::open(at.path(), home).unwrap();
        let one = key.of_user("+441632960001").unwrap();
        for form in ["00441632960001", "441632960001", "01632960001", "+44 1632 960001"] {
            assert_eq!(key.of_user(form).as_ref(), Some(&one), "{form}");
        }
        assert_ne!(key.of_user("+441632960002").as_ref(), Some(&one));
        assert_eq!(key.of_user("Anonymous"), None);
        assert_eq!(key.of_user(&one), None, "no pseudonyms of pseudonyms");
        let again = Key::open(at.path(), home).unwrap();
        assert_eq!(again.of_user("+441632960001"), Some(one.clone()));
        let mode = std::fs::metadata(at.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Key::open(other.path(), home).unwrap().of_user("+441632960001"), Some(one));
        std::fs::write(at.path().join(FILE), b"short").unwrap();
        assert!(Key::open(at.path(), home).unwrap_err().to_string().contains("5 bytes, not 32"));
    }
}
